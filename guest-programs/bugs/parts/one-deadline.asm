; Sets a deadline, sleeps until its interrupt has come, and prints a letter.

; SKIP: for the scenarios that run it

bits 64
org 0x100000
default rel

%include "../../lib/interrupts.inc"
%include "../../lib/x2apic.inc"

TIMER_VECTOR    equ 0x40

start:
    set_gate TIMER_VECTOR, timer
    lidt [idtr]
    enable_x2apic
    write_msr X2APIC_LVT_TIMER, TIMER_VECTOR | TSC_DEADLINE_MODE
    fire_in 100000
.sleep:
    cli
    cmp byte [fired], 0
    jne .awake
    sti
    hlt
    jmp .sleep
.awake:
    mov al, 'w'
    out 0xe9, al
    hlt

timer:
    push rax
    push rcx
    push rdx
    mov byte [fired], 1
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

fired:      db 0
