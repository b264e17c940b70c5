; Real mode with limits that protected mode has left behind, for data and stack; a segment load in real mode
; changes the base only. SDM 3, "Switching Back to Real-Address Mode".

%include "image.inc"
%include "protected.inc"
%include "real.inc"

main:
    protected_setup
    segment_at FREE, 0, 0xfffff, 0x93, 0xc
    segment_at FREE + 8, 0, 0x0fff, 0x93, 0
    segment_at FREE + 16, 0, 0xfffff, 0x91, 0xc
    mov dword [SCRATCH], 0x11112222
    mov dword [SCRATCH + 0x70000], 0x33334444
    to_real
    attempt "limit 64 KiB: byte at 10000"
    mov ebx, 0x10000
    mov al, [fs:ebx]
    outcome
    ; Into protected mode for the limits only.
    cli
    o32 lgdt [cs:low(gdt_pointer)]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp short .protected
.protected:
    mov ax, FREE
    mov fs, ax
    mov ax, FREE + 8
    mov gs, ax
    mov eax, cr0
    and al, 0xfe
    mov cr0, eax
    jmp short .real
.real:
    attempt "limit 4 GiB: dword at 4 MiB"
    mov ebx, SCRATCH
    mov eax, [fs:ebx]
    outcome
    call print_8_digits_16
    say 10
    mov ax, fs
    show16 "fs still", ax
    attempt "base changes, limit stays"
    mov ax, 0x7000
    mov fs, ax
    mov ebx, SCRATCH
    mov eax, [fs:ebx]
    outcome
    call print_8_digits_16
    say 10
    attempt "limit FFF: byte at 1000"
    mov ax, 0x5000
    mov gs, ax
    mov al, [gs:0x1000]
    outcome
    attempt "limit FFF: byte at FFF"
    mov al, [gs:0xfff]
    outcome
    to_protected
    finish
