; The sieve of Eratosthenes up to 64 Ki.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

SIEVE   equ 0x200000
LIMIT   equ 0x10000

start:
    mov ebx, ROUNDS
round:
    mov edi, SIEVE
    mov rax, 0x0101010101010101
    mov ecx, LIMIT / 8
fill:
    mov [rdi], rax
    add rdi, 8
    dec ecx
    jnz fill
    mov ecx, 2
candidate:
    cmp byte [SIEVE + rcx], 0
    je composite
    mov edx, ecx
    imul edx, ecx
    jmp check
strike:
    mov byte [SIEVE + rdx], 0
    add edx, ecx
check:
    cmp edx, LIMIT
    jb strike
composite:
    inc ecx
    cmp ecx, 256
    jb candidate
    dec ebx
    jnz round
    out 0xf4, al
