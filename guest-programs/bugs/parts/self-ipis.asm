; Three IPIs to itself, with interrupts on; prints how many interrupts came of them.

; SKIP: for the scenarios that run it

bits 64
org 0x100000
default rel

%include "../../lib/interrupts.inc"
%include "../../lib/x2apic.inc"

VECTOR          equ 0x40
TO_SELF         equ 1 << 18     ; ICR: destination shorthand

start:
    set_gate VECTOR, count
    lidt [idtr]
    enable_x2apic
    sti
    mov ebp, 3
.next:
    write_msr X2APIC_ICR, TO_SELF | VECTOR
    dec ebp
    jnz .next
%include "counted.inc"
