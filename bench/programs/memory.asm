; Loads and stores: fills 4 KiB, then copies them word by word round and round, and adds them up; 7
; instructions a round.

%include "program.inc"

COPY    equ SCRATCH + 0x1000

main:
    xor ecx, ecx
fill:
    imul eax, ecx, 0x9e3779b1
    mov [SCRATCH + xcx * 4], eax
    inc ecx
    cmp ecx, 1024
    jb fill
    mov ecx, ROUNDS
    xor edx, edx
    xor ebx, ebx
round:
    mov xax, [SCRATCH + xdx]
    add xbx, xax
    mov [COPY + xdx], xax
    add edx, WORD_BYTES
    and edx, 0xfff
    dec ecx
    jnz round
    mov eax, ebx
    finish
