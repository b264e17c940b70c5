; VM exits: CPUID, 4 instructions a round. QEMU's emulator answers it without any exit.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

start:
    mov ebp, ROUNDS
round:
    xor eax, eax
    cpuid
    dec ebp
    jnz round
    out 0xf4, al
