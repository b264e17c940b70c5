; Control registers in 64-bit mode: 64 bits, reserved upper halves, CR8, and what long mode holds fast.
; SDM 3, "Control Registers"; SDM 2, "MOV—Move to/from Control Registers".

%include "image.inc"
%include "long.inc"

main:
    long_setup
    mov rax, 0xfedcba9876543210
    mov cr2, rax
    mov rbx, cr2
    show "cr2", rbx
    mov rax, cr0
    show "cr0", rax
    mov rax, cr4
    show "cr4", rax
    mov eax, 9
    mov cr8, rax
    mov rbx, cr8
    show "cr8", rbx
    attempt "CR8 = 10H"
    mov eax, 0x10
    mov cr8, rax
    outcome
    attempt "CR8 = 0"
    mov eax, 0
    mov cr8, rax
    outcome
    observe_user "user: mov to CR8", mov cr8, rax
    observe_user "user: mov from CR8", mov rax, cr8
    ; The operand size prefix does not count.
    observe "mov from CR0 with an operand-size prefix", db 0x66, 0x0f, 0x20, 0xc0
    show "rax", rax
    attempt "PE cleared with PG"
    mov eax, 0x80000010
    mov cr0, rax
    outcome
    attempt "NW without CD"
    mov eax, 0xa0000011
    mov cr0, rax
    outcome
    mov rax, cr0
    show "cr0", rax
    mov eax, 0x80000011
    mov cr0, rax
    finish
