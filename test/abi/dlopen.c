/* SPDX-License-Identifier: BSD-3-Clause
 * A program that meets the library at run time only: every function is found by dlvsym, and a
 * manager lives and dies through the pointers. Argument: path of libuffdmm.so. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "uffdmm.h"

static void* library;

/** NULL, and a line on stderr, where there is no such function of version 0.1. */
static void* find(const char* name) {
    void* found = dlvsym(library, name, "UFFDMM_0.1");
    if (found == NULL)
        fprintf(stderr, "dlopen: %s\n", dlerror());
    return found;
}

#define FUNCTION(name) #name,
static const char* const names[] = {
#include "functions.inc"
};

static int missing_functions(void) {
    int missing = 0;
    size_t i;
    for (i = 0; i < sizeof names / sizeof *names; ++i)
        missing += find(names[i]) == NULL;
    return missing;
}

/** A function pointer of the type that the header declares. */
#define LOAD(name) __typeof__(name)* const p_##name = (__typeof__(name)*)find(#name)

static int manager_works(void) {
    LOAD(uffdmm_manager_options_init);
    LOAD(uffdmm_manager_create);
    LOAD(uffdmm_manager_limit);
    LOAD(uffdmm_manager_destroy);
    LOAD(uffdmm_last_error);
    struct uffdmm_manager_options options;
    uffdmm_manager* manager = NULL;
    int good = p_uffdmm_manager_options_init(&options, sizeof options) == 0 &&
               p_uffdmm_manager_create(&options, &manager) != 0 &&
               strstr(p_uffdmm_last_error(), "limit") != NULL;
    options.limit = (uint64_t)8 << 20;
    good = good && p_uffdmm_manager_create(&options, &manager) == 0 &&
           p_uffdmm_manager_limit(manager) == options.limit;
    p_uffdmm_manager_destroy(manager);
    return good;
}

int main(int argc, char** argv) {
    int failed;
    library = argc == 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (library == NULL) {
        fprintf(stderr, "dlopen: %s\n", argc == 2 ? dlerror() : "usage: dlopen-test LIBRARY");
        return 1;
    }
    failed = missing_functions() != 0 || !manager_works();
    if (dlclose(library) != 0 || failed)
        return 1;
    printf("%u functions of UFFDMM_0.1\n", (unsigned)(sizeof names / sizeof *names));
    return 0;
}
