; An IPI to itself with interrupts off; then they are on for some 10 us without a VM exit, in which it
; should come. Prints how often it came.

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
    cli
    write_msr X2APIC_ICR, TO_SELF | VECTOR
    sti
    mov ecx, 300
.compute:
    mfence
    dec ecx
    jnz .compute
%include "counted.inc"
