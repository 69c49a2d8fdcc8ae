/* SPDX-License-Identifier: BSD-3-Clause */
/* Preloaded: a kernel without UFFDIO_MOVE, as before Linux 6.8. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>

#include <linux/userfaultfd.h>
#include <sys/ioctl.h>

#ifndef UFFD_FEATURE_MOVE
#define UFFD_FEATURE_MOVE (1 << 16)
#endif

typedef int ioctl_function(int fd, unsigned long request, ...);

int ioctl(int fd, unsigned long request, ...) {
    va_list arguments;
    va_start(arguments, request);
    void* const argument = va_arg(arguments, void*);
    va_end(arguments);
    ioctl_function* next = NULL;
    *(void**)&next = dlsym(RTLD_NEXT, "ioctl");
    const int result = next(fd, request, argument);
    if (request == UFFDIO_API && result == 0)
        ((struct uffdio_api*)argument)->features &= ~(__u64)UFFD_FEATURE_MOVE;
    return result;
}
