// SPDX-License-Identifier: BSD-3-Clause
#pragma once

/// Which lock guards what, said so that clang checks it (-Wthread-safety); other compilers see
/// nothing. Use with the mutex of detail/mutex.hpp, since libstdc++ does not annotate its own.
///
///     mutex mutex_;
///     std::vector<member*> members_ UFFDMM_GUARDED_BY(mutex_);
///     void recompute() UFFDMM_REQUIRES(mutex_);   // the caller holds it
///     void join(member& m) UFFDMM_EXCLUDES(mutex_); // takes it: the caller must not hold it
///
/// What belongs to one thread without a lock (a shard's pages) is not expressed here: it is said in
/// the comment of the declaration and holds because everything else goes through the mailbox.

#if defined(__clang__)
#define UFFDMM_THREAD_ATTRIBUTE(x) __attribute__((x))
#else
#define UFFDMM_THREAD_ATTRIBUTE(x)
#endif

/// A type that is a lock; `name` appears in the compiler's messages.
#define UFFDMM_CAPABILITY(name) UFFDMM_THREAD_ATTRIBUTE(capability(name))
/// A type that holds a lock from construction to destruction.
#define UFFDMM_SCOPED_CAPABILITY UFFDMM_THREAD_ATTRIBUTE(scoped_lockable)

/// Read and written only while holding the lock; with PT, what the pointer points to.
#define UFFDMM_GUARDED_BY(lock) UFFDMM_THREAD_ATTRIBUTE(guarded_by(lock))
#define UFFDMM_PT_GUARDED_BY(lock) UFFDMM_THREAD_ATTRIBUTE(pt_guarded_by(lock))

/// The caller holds the lock(s), before and after.
#define UFFDMM_REQUIRES(...) UFFDMM_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
/// The caller does not hold the lock(s).
#define UFFDMM_EXCLUDES(...) UFFDMM_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define UFFDMM_ACQUIRE(...) UFFDMM_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define UFFDMM_RELEASE(...) UFFDMM_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))
#define UFFDMM_TRY_ACQUIRE(...) UFFDMM_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))

/// The function is right for a reason the analysis cannot see; say the reason beside it.
#define UFFDMM_NO_THREAD_SAFETY_ANALYSIS UFFDMM_THREAD_ATTRIBUTE(no_thread_safety_analysis)
