/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The guest of kvm_vmm: fills its slice of memory with pages that name themselves, swaps random
 * pairs of them, and at last checks the slice of the next vCPU. 32-bit protected mode with flat
 * segments, no paging, position-independent: the VMM copies it to where the vCPUs start.
 *
 * A page that carries the number `id` has a word every `step` bytes: first id, then v ^ v >> 15
 * with v = id * A + k * B, which do not compress, and from the middle on id again, which does.
 *
 * On entry ebx points to the orders of this vCPU (struct guest_orders of main.cpp) and esp to a
 * stack. It speaks by 32-bit writes to the ports below, and halts when it is done.
 */

#define A 0x9e3779b1
#define B 0x85ebca6b

#define PORT_PROGRESS 0xe0 /* pages worked on since the last one */
#define PORT_PHASE 0xe1    /* 1: filled, 2: shuffled, 3: checked */
#define PORT_CORRUPT 0xe2  /* address of a page with wrong contents */
#define PORT_MISSING 0xe3  /* start of a slice that lacks pages or has some twice */

#define ORDERS_FIRST 0
#define ORDERS_PAGES 4
#define ORDERS_SWAPS 8
#define ORDERS_CHECK_FIRST 12
#define ORDERS_CHECK_PAGES 16
#define ORDERS_BARRIER 20
#define ORDERS_CPUS 24
#define ORDERS_RANDOM 28
#define ORDERS_TOLD 32
#define ORDERS_STEP 36

        .section .rodata
        .globl kvm_guest_begin, kvm_guest_end
        .balign 16
        .code32
kvm_guest_begin:
        cld

        /* Fill: each page carries its own number. */
        mov     ORDERS_FIRST(%ebx), %edi
        mov     ORDERS_PAGES(%ebx), %ecx
1:      mov     %edi, %eax
        shr     $12, %eax
        call    fill_page
        call    worked
        add     $4096, %edi
        dec     %ecx
        jnz     1b
        mov     $1, %eax
        out     %eax, $PORT_PHASE

        /* Shuffle: two random pages of the slice are checked and change places. */
        mov     ORDERS_SWAPS(%ebx), %ecx
        jecxz   3f
2:      call    random_page
        mov     %eax, %esi
        call    random_page
        mov     %eax, %edi
        call    check_page
        xchg    %esi, %edi
        call    check_page
        call    swap_pages
        call    worked
        call    worked
        dec     %ecx
        jnz     2b
3:      mov     $2, %eax
        out     %eax, $PORT_PHASE

        /* Wait for the other vCPUs. */
        mov     ORDERS_BARRIER(%ebx), %edx
        lock incl (%edx)
4:      pause
        mov     (%edx), %eax
        cmp     ORDERS_CPUS(%ebx), %eax
        jb      4b

        /* Check the next slice: every page right, and every number there once. */
        mov     ORDERS_CHECK_FIRST(%ebx), %edi
        mov     ORDERS_CHECK_PAGES(%ebx), %ecx
        xor     %esi, %esi              /* squares of the numbers found less those expected */
        xor     %ebp, %ebp              /* the numbers themselves likewise */
5:      call    check_page
        add     %eax, %ebp
        imul    %eax, %eax
        add     %eax, %esi
        mov     %edi, %eax
        shr     $12, %eax
        sub     %eax, %ebp
        imul    %eax, %eax
        sub     %eax, %esi
        call    worked
        add     $4096, %edi
        dec     %ecx
        jnz     5b
        or      %esi, %ebp
        jz      6f
        mov     ORDERS_CHECK_FIRST(%ebx), %eax
        out     %eax, $PORT_MISSING
6:      mov     $3, %eax
        out     %eax, $PORT_PHASE
7:      hlt
        jmp     7b

/* Writes the page at edi with the contents of number eax. Keeps all registers. */
fill_page:
        pushal
        mov     %eax, %esi
        imul    $A, %eax, %edx
        lea     2048(%edi), %ebp
        jmp     2f                      /* with id itself at the start */
1:      add     $B, %edx
        mov     %edx, %eax
        shr     $15, %eax
        xor     %edx, %eax
2:      mov     %eax, (%edi)
        add     ORDERS_STEP(%ebx), %edi
        cmp     %ebp, %edi
        jb      1b
        add     $2048, %ebp
3:      mov     %esi, (%edi)
        add     ORDERS_STEP(%ebx), %edi
        cmp     %ebp, %edi
        jb      3b
        popal
        ret

/* Checks the page at edi and gives its number in eax. Keeps the other registers. */
check_page:
        pushal
        mov     (%edi), %esi
        mov     %esi, 28(%esp)          /* eax of popal */
        mov     %edi, %ecx
        imul    $A, %esi, %edx
        lea     2048(%edi), %ebp
        jmp     2f
1:      add     $B, %edx
        mov     %edx, %eax
        shr     $15, %eax
        xor     %edx, %eax
        cmp     %eax, (%edi)
        jne     4f
2:      add     ORDERS_STEP(%ebx), %edi
        cmp     %ebp, %edi
        jb      1b
        add     $2048, %ebp
3:      cmp     %esi, (%edi)
        jne     4f
        add     ORDERS_STEP(%ebx), %edi
        cmp     %ebp, %edi
        jb      3b
        popal
        ret
4:      mov     %ecx, %eax
        out     %eax, $PORT_CORRUPT
        popal
        ret

/* Exchanges the pages at esi and edi. Keeps all registers. */
swap_pages:
        pushal
        lea     4096(%edi), %ebp
1:      mov     (%esi), %eax
        mov     (%edi), %edx
        mov     %edx, (%esi)
        mov     %eax, (%edi)
        add     ORDERS_STEP(%ebx), %esi
        add     ORDERS_STEP(%ebx), %edi
        cmp     %ebp, %edi
        jb      1b
        popal
        ret

/* Gives a random page of the slice in eax. Keeps the other registers. */
random_page:
        push    %edx
        imul    $1664525, ORDERS_RANDOM(%ebx), %eax
        add     $1013904223, %eax
        mov     %eax, ORDERS_RANDOM(%ebx)
        mull    ORDERS_PAGES(%ebx)
        mov     %edx, %eax
        shl     $12, %eax
        add     ORDERS_FIRST(%ebx), %eax
        pop     %edx
        ret

/* Counts a page, and tells the VMM of every 256. Keeps all registers. */
worked:
        push    %eax
        incl    ORDERS_TOLD(%ebx)
        cmpl    $256, ORDERS_TOLD(%ebx)
        jb      1f
        mov     ORDERS_TOLD(%ebx), %eax
        out     %eax, $PORT_PROGRESS
        movl    $0, ORDERS_TOLD(%ebx)
1:      pop     %eax
        ret
kvm_guest_end:

        .code64
        .section .note.GNU-stack, "", @progbits
