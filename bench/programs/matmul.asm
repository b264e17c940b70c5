; Product of two matrices of 64 by 64 words.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

A       equ 0x200000
B       equ 0x204000
C       equ 0x208000
N       equ 64

start:
    xor ecx, ecx
fill:
    imul eax, ecx, 0x9e3779b1
    mov [A + rcx * 4], eax
    not eax
    mov [B + rcx * 4], eax
    inc ecx
    cmp ecx, N * N
    jb fill
    mov ebx, ROUNDS
round:
    xor r8d, r8d
row:
    xor r9d, r9d
column:
    mov esi, r8d
    shl esi, 8
    lea edi, [r9 * 4]
    xor eax, eax
    mov ecx, N
term:
    mov edx, [A + rsi]
    imul edx, [B + rdi]
    add eax, edx
    add esi, 4
    add edi, N * 4
    dec ecx
    jnz term
    mov edx, r8d
    shl edx, 6
    add edx, r9d
    mov [C + rdx * 4], eax
    inc r9d
    cmp r9d, N
    jb column
    inc r8d
    cmp r8d, N
    jb row
    dec ebx
    jnz round
    out 0xf4, al
