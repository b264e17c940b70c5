; vmxlab: vcpus=1 pcpus=1
;
; A nested handler ends its interrupt twice. The second EOI ends the one below, whose handler has not
; come to its end, and is entered again in the middle. Corrected: one EOI for each interrupt.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: the lower handler is entered again
; OUTPUT: {{^}}()(){{$}}
; PROPERTY: never kvm_inj_virq(vector=0x40) between kvm_pio(value=0x28) and kvm_pio(value=0x29)

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"

LOW_VECTOR      equ 0x40
HIGH_VECTOR     equ 0x60
ICR_SELF        equ 1 << 18     ; destination shorthand: self

start:
    set_gate LOW_VECTOR, low
    take_interrupts HIGH_VECTOR, high
    sti
    write_msr X2APIC_ICR, ICR_SELF | LOW_VECTOR
.wait:
    cmp dword [rounds], 2
    jb .wait
    cli
    hlt

; Not to be entered again before its EOI. In its first round it asks for a second one, and for
; the other interrupt, which may come in between.
low:
    mov al, '('
    out 0xe9, al
    inc dword [rounds]
    cmp dword [rounds], 1
    jne .last
    write_msr X2APIC_ICR, ICR_SELF | LOW_VECTOR
    sti
    write_msr X2APIC_ICR, ICR_SELF | HIGH_VECTOR
    nop
    cli
.last:
    mov al, ')'
    out 0xe9, al
    end_of_interrupt
    iretq

high:
    save_registers
    end_of_interrupt
%ifndef FIXED
    end_of_interrupt
%endif
    restore_registers
    iretq

align 4
rounds:     dd 0
