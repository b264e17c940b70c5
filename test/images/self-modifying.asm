; Code that writes code: the instruction behind the store, other pages, other addresses of the same memory,
; strings over themselves. SDM 3, "Self-Modifying Code".

%include "image.inc"
%include "paging.inc"

main:
    protected_setup
    paging_on CR0_WP, 0
    mov byte [one_there + 1], 2
    jmp short one_there
one_there:
    mov al, 1
    movzx eax, al
    show "written before a jump", eax
    mov eax, 0
    mov dword [two_there + 1], 0x22222222
two_there:
    mov eax, 0x11111111
    show "the next instruction", eax
    mov eax, 0
    mov ecx, 2
three_again:
    add eax, 1
three_there:
    nop
    mov byte [three_there], 0x40
    loop three_again
    show "in a loop", eax
    ; Written by its other address.
    mov byte [SCRATCH], 0xb8
    mov dword [SCRATCH + 1], 0x11111111
    mov byte [SCRATCH + 5], 0xc3
    mov ebx, TEST
    call ebx
    show "first", eax
    mov dword [SCRATCH + 1], 0x33333333
    call ebx
    show "written by another address", eax
    ; Another page behind the same address.
    mov byte [SCRATCH + 0x1000], 0xb8
    mov dword [SCRATCH + 0x1001], 0x44444444
    mov byte [SCRATCH + 0x1005], 0xc3
    set_entry PT, SCRATCH + 0x1000 + 7
    call ebx
    show "another page", eax
    ; Over the end of a page.
    set_entry PT, SCRATCH + 7
    set_entry PT + 4, SCRATCH + 0x1007
    mov byte [SCRATCH + 0xffe], 0xb8
    mov word [SCRATCH + 0xfff], 0x5555
    mov word [SCRATCH + 0x1001], 0x6666
    mov byte [SCRATCH + 0x1003], 0xc3
    lea ebx, [TEST + 0xffe]
    call ebx
    show "over two pages", eax
    mov byte [SCRATCH + 0x1002], 0x77
    call ebx
    show "its second page written", eax
    set_entry PT + 4, SCRATCH + 0x2007
    mov dword [SCRATCH + 0x2000], 0xc3888888
    invlpg [TEST + 0x1000]
    call ebx
    show "its second page exchanged", eax
    ; A string instruction that writes over what follows it.
    mov edi, five_there
    mov ecx, 4
    mov al, 0x40
    mov ebx, 0
    mov edx, 0
    rep stosb
five_there:
    times 4 nop
    movzx eax, al
    show "stosb over four of them", eax
    observe "a routine that was filled with INT3", call six_there
    mov edi, six_there
    mov ecx, 3
    mov al, 0x90
    rep stosb
    observe "and mended", call six_there
    ; REP STOSB over itself goes on.
    mov edi, seven_there
    mov ecx, 2
    mov al, 0x90
seven_there:
    rep stosb
    show "ecx", ecx
    finish

six_there:
    int3
    int3
    int3
    ret
