; Control registers in 64-bit mode: upper halves that must be 0, and PAE, which long mode holds. SDM 3,
; "Control Registers"; SDM 2, "MOV—Move to/from Control Registers".

%include "image.inc"
%include "long.inc"

main:
    long_setup
    attempt "CR0 bit 32"
    mov rax, 0x180000011
    mov cr0, rax
    outcome
    attempt "CR4 bit 32"
    mov rax, 0x100000020
    mov cr4, rax
    outcome
    attempt "CR3 bit 52"
    mov rax, 0x0010000000000000 + PML4
    mov cr3, rax
    outcome
    attempt "CR8 bit 32"
    mov rax, 0x100000000
    mov cr8, rax
    outcome
    attempt "PAE cleared"
    mov eax, 0
    mov cr4, rax
    outcome
    mov rax, cr4
    show "cr4", rax
    attempt "PG cleared in 64-bit mode"
    mov eax, 0x11
    mov cr0, rax
    outcome
    finish
