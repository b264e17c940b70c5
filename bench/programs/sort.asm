; Insertion sort of 256 pseudo-random words, and a hash of the result.

%include "program.inc"

COUNT   equ 256

main:
    mov ebp, ROUNDS
round:
    mov eax, 12345
    xor ecx, ecx
.fill:
    imul eax, eax, 1103515245
    add eax, 12345
    mov [SCRATCH + xcx * 4], eax
    inc ecx
    cmp ecx, COUNT
    jb .fill
    mov ecx, 1
.outer:
    mov eax, [SCRATCH + xcx * 4]
    mov edx, ecx
.inner:
    mov esi, [SCRATCH + xdx * 4 - 4]
    cmp esi, eax
    jbe .place
    mov [SCRATCH + xdx * 4], esi
    dec edx
    jnz .inner
.place:
    mov [SCRATCH + xdx * 4], eax
    inc ecx
    cmp ecx, COUNT
    jb .outer
    dec ebp
    jnz round
    xor eax, eax
    xor ecx, ecx
hash:
    imul eax, eax, 31
    add eax, [SCRATCH + xcx * 4]
    inc ecx
    cmp ecx, COUNT
    jb hash
    finish
