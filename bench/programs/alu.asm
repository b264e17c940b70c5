; Arithmetic in registers: xorshift64, 12 instructions a round, ROUNDS rounds, then the exit port.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

start:
    mov ecx, ROUNDS
    mov rbx, 0x9e3779b97f4a7c15
    xor edx, edx
round:
    mov rax, rbx
    shl rax, 13
    xor rbx, rax
    mov rax, rbx
    shr rax, 7
    xor rbx, rax
    mov rax, rbx
    shl rax, 17
    xor rbx, rax
    add rdx, rbx
    dec ecx
    jnz round
    out 0xf4, al
