; The sieve of Eratosthenes up to 65,536, and the number of primes.

%include "program.inc"

LIMIT   equ 0x10000

main:
    mov ebp, ROUNDS
round:
    mov edi, SCRATCH
    mov eax, 0x01010101
    mov ecx, LIMIT / 4
.fill:
    mov [xdi], eax
    add xdi, 4
    dec ecx
    jnz .fill
    mov ecx, 2
.candidate:
    cmp byte [SCRATCH + xcx], 0
    je .composite
    mov edx, ecx
    imul edx, ecx
    jmp .check
.strike:
    mov byte [SCRATCH + xdx], 0
    add edx, ecx
.check:
    cmp edx, LIMIT
    jb .strike
.composite:
    inc ecx
    cmp ecx, 256
    jb .candidate
    dec ebp
    jnz round
    xor eax, eax
    mov ecx, 2
count:
    movzx edx, byte [SCRATCH + xcx]
    add eax, edx
    inc ecx
    cmp ecx, LIMIT
    jb count
    finish
