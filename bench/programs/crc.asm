; CRC-32 of 4 KiB by a table of 256 entries.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

TABLE   equ 0x200000
DATA    equ 0x201000

start:
    xor ecx, ecx
table:
    mov eax, ecx
    mov edx, 8
bits8:
    shr eax, 1
    jnc clear
    xor eax, 0xedb88320
clear:
    dec edx
    jnz bits8
    mov [TABLE + rcx * 4], eax
    inc ecx
    cmp ecx, 256
    jb table
    xor ecx, ecx
fill:
    imul eax, ecx, 0x9e3779b1
    shr eax, 24
    mov [DATA + rcx], al
    inc ecx
    cmp ecx, 4096
    jb fill
    mov ebx, ROUNDS
round:
    mov eax, -1
    mov esi, DATA
    mov ecx, 4096
next:
    movzx edx, byte [rsi]
    xor dl, al
    shr eax, 8
    xor eax, [TABLE + rdx * 4]
    inc rsi
    dec ecx
    jnz next
    not eax
    dec ebx
    jnz round
    out 0xf4, al
