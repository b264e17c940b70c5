; Repeated string instructions: fills 4 KiB and copies them, both by bytes; 8192 iterations a round.

%include "program.inc"

COPY    equ SCRATCH + 0x4000

main:
    mov ebp, ROUNDS
round:
    mov edi, SCRATCH
    mov ecx, 4096
    mov eax, ebp
    rep stosb
    mov esi, SCRATCH
    mov edi, COPY
    mov ecx, 4096
    rep movsb
    dec ebp
    jnz round
    mov eax, [COPY + 4092]
    finish
