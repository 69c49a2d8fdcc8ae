// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Which sanitizer this program is built with, for gcc and clang.

#if defined(__has_feature)
#define UFFDMM_HAS_FEATURE(feature) __has_feature(feature)
#else
#define UFFDMM_HAS_FEATURE(feature) 0
#endif

#if defined(__SANITIZE_ADDRESS__) || UFFDMM_HAS_FEATURE(address_sanitizer)
#define UFFDMM_UNDER_ASAN 1
#else
#define UFFDMM_UNDER_ASAN 0
#endif
#if defined(__SANITIZE_THREAD__) || UFFDMM_HAS_FEATURE(thread_sanitizer)
#define UFFDMM_UNDER_TSAN 1
#else
#define UFFDMM_UNDER_TSAN 0
#endif
#define UFFDMM_UNDER_SANITIZER (UFFDMM_UNDER_ASAN || UFFDMM_UNDER_TSAN)
