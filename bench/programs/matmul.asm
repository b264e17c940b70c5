; The product of two matrices of 64 by 64 words, and the sum of its diagonal.

%include "program.inc"

N       equ 64
A       equ SCRATCH
B       equ A + N * N * 4
C       equ B + N * N * 4

main:
    xor ecx, ecx
fill:
    imul eax, ecx, 0x9e3779b1
    mov [A + xcx * 4], eax
    not eax
    mov [B + xcx * 4], eax
    inc ecx
    cmp ecx, N * N
    jb fill
    mov ebp, ROUNDS
round:
    xor ebx, ebx                ; the row's offset in words
row:
    xor edx, edx                ; the column
column:
    lea esi, [A + xbx * 4]
    lea edi, [B + xdx * 4]
    xor eax, eax
    mov ecx, N
    push xdx
.term:
    mov edx, [xsi]
    imul edx, [xdi]
    add eax, edx
    add xsi, 4
    add xdi, N * 4
    dec ecx
    jnz .term
    pop xdx
    lea ecx, [xbx + xdx]
    mov [C + xcx * 4], eax
    inc edx
    cmp edx, N
    jb column
    add ebx, N
    cmp ebx, N * N
    jb row
    dec ebp
    jnz round
    xor eax, eax
    xor ecx, ecx
trace:
    add eax, [C + xcx * 4]
    add ecx, N + 1
    cmp ecx, N * N
    jb trace
    finish
