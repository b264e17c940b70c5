; 16-bit protected mode: sizes by the D flag and prefixes, a stack of 16 bits, and the wrap of IP and SP.
; SDM 3, "Mixing 16-Bit and 32-Bit Code".

%include "image.inc"
%include "protected.inc"
%include "real.inc"

; 16-bit code of level 0 between these; its results are in EBX, ECX, EDX.
%macro sixteen 1
    attempt %1
    jmp CODE16:low(%%there)
bits 16
%%there:
    mov ax, DATA16
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov esp, 0xfff0
%endmacro

%macro back 0
    jmp dword CODE32:%%back
bits 32
%%back:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, [catch_stack]
    outcome
%endmacro

main:
    protected_setup
    call copy_image
    sixteen "operand sizes"
    mov ebx, -1
    mov bx, 0x1234
    mov ecx, 0x12345678
    push cx
    push ecx
    mov dx, sp
    back
    show "ebx", ebx
    movzx edx, dx
    show "sp", edx
    sixteen "push of an immediate, a segment, all registers"
    push 1
    mov bx, sp
    push ds
    mov cx, sp
    pusha
    mov dx, sp
    back
    movzx ebx, bx
    movzx ecx, cx
    movzx edx, dx
    show "sp", ebx
    show "sp", ecx
    show "sp", edx
    sixteen "near call pushes a word"
    call .called
    jmp .after
.called:
    mov bx, sp
    ret
.after:
    back
    movzx ebx, bx
    show "sp inside", ebx
    sixteen "32-bit call"
    call dword .called_32
    jmp .after_32
.called_32:
    mov bx, sp
    o32 ret
.after_32:
    back
    movzx ebx, bx
    show "sp inside", ebx
    sixteen "far call to 32-bit code and back"
    call dword CODE32:in_32
    back
    show "cs inside", ebx
    sixteen "upper half of ESP is kept"
    mov esp, 0x12340100
    push ax
    push ax
    mov ebx, esp
    back
    show "esp", ebx
    sixteen "SP wraps"
    mov esp, 0x12340000
    push ax
    mov ebx, esp
    back
    show "esp", ebx
    sixteen "address of 16 bits wraps"
    mov bx, 0xfff0
    mov si, 0x0020
    mov dword [0x10], 0x87654321
    mov ecx, [bx + si]
    back
    show "ecx", ecx
    sixteen "loop, jcxz"
    mov ecx, 0x10002
    sub bx, bx
.again:
    inc bx
    loop .again
    jcxz .zero
    inc bx
.zero:
    back
    movzx ebx, bx
    show "bx", ebx
    sixteen "movsd by SI, DI"
    mov esi, 0x10010
    mov edi, 0x20014
    mov ecx, 0x30001
    rep movsd
    mov ebx, edi
    mov edx, esi
    back
    show "esi", edx
    show "edi", ebx
    sixteen "int and the frame of 32 bits"
    mov ebx, 0
    ud2
    back
    show "cs", [caught_cs]
    mov eax, [caught_eip]
    shr eax, 16
    show "upper half of eip", eax
    sixteen "enter 4, 2"
    mov bp, 0x8000
    mov word [ss:0x7ffe], 0x5a5a
    enter 4, 2
    mov bx, bp
    mov cx, sp
    mov dx, [bp - 2]
    leave
    back
    movzx ebx, bx
    movzx ecx, cx
    movzx edx, dx
    show "bp", ebx
    show "sp", ecx
    show "display", edx
    finish

in_32:
    mov ebx, cs
    retf
