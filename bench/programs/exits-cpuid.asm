; CPUID, a VM exit for vmxlab and answered in place by other emulators; 4 instructions a round.

%include "program.inc"

main:
    mov ebp, ROUNDS
round:
    xor eax, eax
    cpuid
    dec ebp
    jnz round
    mov eax, ebp
    finish
