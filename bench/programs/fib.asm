; Calls and returns: the 20th Fibonacci number by recursion.

%include "program.inc"

main:
    mov ebp, ROUNDS
round:
    mov edi, 20
    call fib
    dec ebp
    jnz round
    finish

fib:
    cmp edi, 2
    jb .small
    push xdi
    dec edi
    call fib
    mov xdi, [xsp]
    mov [xsp], xax
    sub edi, 2
    call fib
    pop xdx
    add xax, xdx
    ret
.small:
    mov eax, edi
    ret
