; Copies 4 KiB by REP MOVSD and hashes the copy word by word, as FNV-1a does it with bytes.

%include "program.inc"

COPY    equ SCRATCH + 0x4000

main:
    xor ecx, ecx
fill:
    imul eax, ecx, 0x9e3779b1
    mov [SCRATCH + xcx * 4], eax
    inc ecx
    cmp ecx, 1024
    jb fill
    mov ebp, ROUNDS
    mov eax, 0x811c9dc5
round:
    mov esi, SCRATCH
    mov edi, COPY
    mov ecx, 1024
    rep movsd
    xor edx, edx
.next:
    xor eax, [COPY + xdx * 4]
    imul eax, eax, 0x01000193
    inc edx
    cmp edx, 1024
    jb .next
    dec ebp
    jnz round
    finish
