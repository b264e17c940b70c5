; The rounds of alu.asm on PROCESSORS processors at the same time, each for itself.

%include "program.inc"
%include "processors.inc"

main:
    start_processors
    xor eax, eax
worker:
    mov edi, eax
    mov ecx, ROUNDS
    mov ebx, 0x9e3779b9
    xor edx, edx
round:
    mov xax, xbx
    shl xax, 13
    xor xbx, xax
    mov xax, xbx
    shr xax, 7
    xor xbx, xax
    mov xax, xbx
    shl xax, 17
    xor xbx, xax
    add xdx, xbx
    dec ecx
    jnz round
    lock inc dword [finished]
    test edi, edi
    jz first
    rest
first:
    wait_for_workers
    mov eax, [finished]
    finish
