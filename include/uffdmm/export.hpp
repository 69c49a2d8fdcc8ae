// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// UFFDMM_CXX_API: what libuffdmm.so exports of the C++ interface. Everything else is compiled with
/// hidden visibility, so that the loader binds little and nobody depends on internals by accident.
///
/// The C++ interface promises source compatibility within a version, no binary one: its symbols are
/// in the version node UFFDMM_CXX_ plus the library's version. Programs that must outlive an
/// upgrade of the library use the C interface, uffdmm.h.

#define UFFDMM_CXX_API __attribute__((visibility("default")))
