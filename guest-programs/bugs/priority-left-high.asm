; vmxlab: vcpus=1 pcpus=1
;
; A section that must not be disturbed raises the task priority, and one way out of it forgets to
; lower it. Interrupts are on, the timer fires, and nothing comes through.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: the priority holds the interrupt back
; EXPECT: halted
; PROPERTY: every kvm_apic_accept_irq(vector=0x40) is followed by kvm_inj_virq(vector=0x40) within 50us

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"

start:
    take_timer_interrupts timer
    write_msr X2APIC_TPR, 0x80  ; above vector 0x40
    fire_in 10000
    rdtsc                       ; the section: as good as over at once
%ifdef FIXED
    write_msr X2APIC_TPR, 0
%endif
.wait:
    cli
    cmp byte [fired], 0
    jne done
    sti
    hlt
    jmp .wait
done:
    cli
    hlt

X2APIC_TPR      equ 0x808

timer:
    save_registers
    mov byte [fired], 1
    end_of_interrupt
    restore_registers
    iretq

fired:      db 0
