/* SPDX-License-Identifier: BSD-3-Clause */
/* Prints its last argument: a program without a dynamic linker. */
#include <stdio.h>

int main(int count, char** arguments) {
    puts(arguments[count - 1]);
    return 0;
}
