; Loads and stores: copies 4 KiB eight bytes at a time and adds them up, 7 instructions a round.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

start:
    mov ecx, ROUNDS
    mov esi, 0x200000
    xor edx, edx
round:
    mov rax, [rsi + rdx]
    add rbx, rax
    mov [rsi + rdx + 0x1000], rax
    add edx, 8
    and edx, 0xff8
    dec ecx
    jnz round
    out 0xf4, al
