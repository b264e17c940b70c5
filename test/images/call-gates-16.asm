; 16-bit call gates from 32-bit code: IP and parameters of 16 bits, with and without a change of the level.
; SDM 3, "Mixing 16-Bit and 32-Bit Code", "Call Gates".

%include "image.inc"
%include "protected.inc"
%include "real.inc"

%define GATE FREE

main:
    protected_setup
    call copy_image
    mov word [gdt + GATE], low(target)
    mov word [gdt + GATE + 2], CODE16
    mov word [gdt + GATE + 4], 0xe402
    mov word [gdt + GATE + 6], 0
    attempt "level 0, 16-bit gate to 16-bit code"
    push word 0x2222
    push word 0x1111
    mov ebx, esp
    call GATE:0
    outcome
    movzx ebx, bx
    movzx ecx, cx
    sub ebx, ecx
    show "bytes pushed", ebx
    attempt "user: 16-bit gate"
    user
    push word 0x2222
    push word 0x1111
    call GATE + 3:0
    outcome
    mov eax, [COPY + low(kept)]
    show "esp inside", eax
    mov eax, [COPY + low(kept) + 8]
    show "cs of the caller, above nothing", eax
    mov eax, [COPY + low(kept) + 12]
    show "parameters", eax
    mov eax, [COPY + low(kept) + 16]
    show "ss, sp of the caller", eax
    finish

bits 16
target:
    mov ecx, esp
    mov ax, DATA16
    mov fs, ax
    mov [fs:low(kept)], esp
    mov ax, [esp]
    mov word [fs:low(kept) + 8], 0
    mov ax, [esp + 2]
    mov [fs:low(kept) + 10], ax
    mov eax, [esp + 4]
    mov [fs:low(kept) + 12], eax
    mov eax, [esp + 8]
    mov [fs:low(kept) + 16], eax
    int LEAVE_VECTOR
bits 32

    align 4, db 0
kept: times 6 dd 0
