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

%include "../lib/interrupts.inc"
%include "../lib/x2apic.inc"

TIMER_VECTOR    equ 0x40

start:
    set_gate TIMER_VECTOR, timer
    lidt [idtr]
    enable_x2apic
    write_msr X2APIC_LVT_TIMER, TIMER_VECTOR | TSC_DEADLINE_MODE
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
