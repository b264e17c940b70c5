; Calls and returns: fib(20) by recursion, 284,578 instructions a round.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

start:
    mov rsp, 0x300000
    mov ebx, ROUNDS
round:
    mov edi, 20
    call fib
    dec ebx
    jnz round
    out 0xf4, al

fib:
    cmp edi, 2
    jb .small
    push rdi
    dec edi
    call fib
    mov rdi, [rsp]
    mov [rsp], rax
    sub edi, 2
    call fib
    pop rdx
    add rax, rdx
    ret
.small:
    mov eax, edi
    ret
