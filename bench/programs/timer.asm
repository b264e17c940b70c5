; Ticks of the local APIC's timer, periodic, with HLT in between; one a round.

%include "program.inc"
%include "processors.inc"
%include "interrupts.inc"

VECTOR      equ 0x30
PERIOD      equ 20000

worker:
    rest

main:
    start_processors
    interrupt_gate VECTOR, tick
    xor ebx, ebx
    mov dword [APIC_TIMER_DIVIDE], 0xb     ; by 1
    mov dword [APIC_TIMER], 0x20000 | VECTOR
    mov dword [APIC_TIMER_COUNT], PERIOD
round:
    sti
    hlt
    cli
    cmp ebx, ROUNDS
    jb round
    mov dword [APIC_TIMER_COUNT], 0
    xor eax, eax
    finish

tick:
    inc ebx
    mov dword [APIC_EOI], 0
    return_from_interrupt
