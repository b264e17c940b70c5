; Repeated string instructions: fills and copies 4 KiB by bytes, 8192 iterations a round.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

start:
    mov ebx, ROUNDS
round:
    mov edi, 0x200000
    mov ecx, 4096
    mov al, bl
    rep stosb
    mov esi, 0x200000
    mov edi, 0x204000
    mov ecx, 4096
    rep movsb
    dec ebx
    jnz round
    out 0xf4, al
