; vmxlab: vcpus=1 pcpus=1
;
; A handler that forgets the end of its interrupt. The local APIC keeps the vector in service, so
; that the second interrupt of the same priority is never delivered.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: the second interrupt stays pending
; EXPECT: halted
; PROPERTY: every kvm_inj_virq(vector=0x40) is followed by kvm_eoi(vector=0x40) within 20us

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"

start:
    take_timer_interrupts timer
    mov ebp, 2
next_tick:
    mov byte [fired], 0
    fire_in 20000
.wait:
    cli
    cmp byte [fired], 0
    jne .fired
    sti
    hlt
    jmp .wait
.fired:
    dec ebp
    jnz next_tick
    cli
    hlt

timer:
    save_registers
    mov byte [fired], 1
%ifdef FIXED
    end_of_interrupt
%endif
    restore_registers
    iretq

fired:      db 0
