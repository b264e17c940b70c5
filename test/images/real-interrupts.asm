; Interrupts and exceptions of real mode: through the interrupt vector table, with IP of the instruction
; for faults and behind it for traps, without error codes. SDM 3, "Interrupt and Exception Handling" of
; "8086 Emulation".

%include "image.inc"
%include "real.inc"

main:
    to_real
    observe_where "nothing", nop
    observe_where "int 0x80", int 0x80
    observe_where "int3", int3
    observe_where "int1", db 0xf1
    observe_where "ud2", ud2
    attempt "division by zero"
    mov cl, 0
    div cl
    outcome_where
    attempt "division overflow"
    mov ax, 0x8000
    mov cl, 0xff
    idiv cl
    outcome_where
    attempt "aam 0"
    aam 0
    outcome_where
    attempt "into with OF"
    mov al, 0x7f
    inc al
    into
    outcome_where
    attempt "into without OF"
    mov al, 0
    inc al
    into
    outcome_where
    mov dword [low(bounds)], 0x00080002
    attempt "bound within"
    mov ax, 8
    bound ax, [low(bounds)]
    outcome_where
    attempt "bound below"
    mov ax, 1
    bound ax, [low(bounds)]
    outcome_where
    attempt "bound above"
    mov ax, 9
    bound ax, [low(bounds)]
    outcome_where
    attempt "word at offset FFFF"
    mov bx, 0xffff
    mov ax, [fs:bx]
    outcome_where
    attempt "byte at offset FFFF"
    mov bx, 0xffff
    mov al, [fs:bx]
    outcome_where
    attempt "byte at offset 10000"
    mov ebx, 0x10000
    mov al, [fs:ebx]
    outcome_where
    attempt "stack word at offset FFFF"
    mov bp, 0xffff
    mov ax, [bp]
    outcome_where
    attempt "interrupt beyond the limit of the table"
    o32 lidt [cs:low(short_pointer)]
    int 0x20
    outcome_where
    o32 lidt [cs:low(ivt_pointer)]

    ; The frame: three words, IF and TF cleared in the handler, AC too.
    attempt "frame of int 0x81"
    sti
    pushf
    cli
    popf
    mov esp, 0xff00
    int 0x81
    outcome
    show16 "stack pointer in the handler", [cs:low(real_frame)]
    mov ax, [cs:low(real_flags)]
    and ax, 0x0fd5
    show16 "pushed flags and IF", ax
    mov ax, [cs:low(real_handler_flags)]
    and ax, 0x0300
    show16 "IF and TF in the handler", ax
    to_protected
    finish

bounds: dd 0
short_pointer:
    dw 0x7f
    dd 0
