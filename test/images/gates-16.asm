; 16-bit interrupt and trap gates in protected mode: frames of words. SDM 3, "IDT Descriptors", "Mixing
; 16-Bit and 32-Bit Code".

%include "image.inc"
%include "protected.inc"
%include "real.inc"

%macro software 2
    mov word [idt + 8 * %1], low(handler)
    mov word [idt + 8 * %1 + 2], CODE16
    mov word [idt + 8 * %1 + 4], (%2) << 8
    mov word [idt + 8 * %1 + 6], 0
%endmacro

%macro frame 0
    mov eax, [COPY + low(kept)]
    show "esp inside", eax
    mov eax, [COPY + low(kept) + 4]
    show "cs, flags", eax
    mov eax, [COPY + low(kept) + 8]
    show "behind it", eax
    mov eax, [COPY + low(kept) + 12]
    show "flags inside", eax
%endmacro

main:
    protected_setup
    call copy_image
    software 0x31, 0x86
    attempt "16-bit interrupt gate"
    mov esp, SPARE_STACK
    push dword 0x77778888
    push dword 0x00000246
    popfd
    int 0x31
    outcome
    frame
    software 0x31, 0xe7
    attempt "user: 16-bit trap gate"
    user
    int 0x31
    outcome
    frame
    ; With an error code: a word, too.
    software 13, 0x86
    attempt "general protection by a 16-bit gate"
    mov esp, SPARE_STACK
    mov eax, 0x1234
    mov fs, eax
    outcome
    mov eax, [COPY + low(kept)]
    show "esp inside", eax
    mov eax, [COPY + low(kept) + 16]
    show "error code and ip, upper half cleared", eax
    finish

bits 16
handler:
    push eax
    push fs
    mov ax, DATA16
    mov fs, ax
    mov eax, esp
    add eax, 6
    mov [fs:low(kept)], eax
    mov eax, [esp + 6 + 2]
    mov [fs:low(kept) + 4], eax
    mov eax, [esp + 6 + 6]
    mov [fs:low(kept) + 8], eax
    pushf
    pop ax
    and eax, 0xffff
    mov [fs:low(kept) + 12], eax
    mov ax, [esp + 6]
    mov [fs:low(kept) + 16], eax
    int LEAVE_VECTOR
bits 32

    align 4, db 0
kept: times 5 dd 0
