; CRC-32 of 4 KiB by a table of 256 entries.

%include "program.inc"

TABLE   equ SCRATCH
BYTES   equ SCRATCH + 0x1000

main:
    xor ecx, ecx
table:
    mov eax, ecx
    mov edx, 8
.bit:
    shr eax, 1
    jnc .clear
    xor eax, 0xedb88320
.clear:
    dec edx
    jnz .bit
    mov [TABLE + xcx * 4], eax
    inc ecx
    cmp ecx, 256
    jb table
    xor ecx, ecx
fill:
    imul eax, ecx, 0x9e3779b1
    shr eax, 24
    mov [BYTES + xcx], al
    inc ecx
    cmp ecx, 4096
    jb fill
    mov ebx, ROUNDS
round:
    mov eax, -1
    mov esi, BYTES
    mov ecx, 4096
.next:
    movzx edx, byte [xsi]
    xor dl, al
    shr eax, 8
    xor eax, [TABLE + xdx * 4]
    inc xsi
    dec ecx
    jnz .next
    not eax
    dec ebx
    jnz round
    finish
