; Insertion sort of 256 pseudo-random words.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

DATA    equ 0x200000
COUNT   equ 256

start:
    mov ebx, ROUNDS
round:
    mov eax, 12345
    xor ecx, ecx
fill:
    imul eax, eax, 1103515245
    add eax, 12345
    mov [DATA + rcx * 4], eax
    inc ecx
    cmp ecx, COUNT
    jb fill
    mov ecx, 1
outer:
    mov eax, [DATA + rcx * 4]
    mov edx, ecx
inner:
    mov esi, [DATA + rdx * 4 - 4]
    cmp esi, eax
    jbe place
    mov [DATA + rdx * 4], esi
    dec edx
    jnz inner
place:
    mov [DATA + rdx * 4], eax
    inc ecx
    cmp ecx, COUNT
    jb outer
    dec ebx
    jnz round
    out 0xf4, al
