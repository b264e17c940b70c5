; vmxlab: vcpus=1 pcpus=1
;
; The deadline is written before the timer is in TSC-deadline mode. Such a write is ignored (SDM vol.
; 3A, "TSC-Deadline Mode"), and the tick never comes. Corrected: the mode first.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: nothing has been asked for
; EXPECT: halted
; PROPERTY: every kvm_msr(write=1, index=0x6e0) is followed by kvm_inj_virq(vector=0x40) within 50us

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"

start:
    take_interrupts TIMER_VECTOR, timer
%ifdef FIXED
    write_msr X2APIC_LVT_TIMER, TIMER_VECTOR | TSC_DEADLINE_MODE
    fire_in 20000
%else
    fire_in 20000
    write_msr X2APIC_LVT_TIMER, TIMER_VECTOR | TSC_DEADLINE_MODE
%endif
wait_for_tick:
    cli
    cmp byte [fired], 0
    jne done
    sti
    hlt
    jmp wait_for_tick
done:
    cli
    hlt

timer:
    save_registers
    mov byte [fired], 1
    end_of_interrupt
    restore_registers
    iretq

fired:      db 0
