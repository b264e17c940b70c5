; vmxlab: vcpus=1 pcpus=1
;
; A deadline fires once. Code that was written for a periodic timer waits for a second tick, which
; nobody has asked for.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: there is one tick
; EXPECT: halted
; PROPERTY: at least 3 kvm_inj_virq(vector=0x40)

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"

start:
    take_timer_interrupts timer
    fire_in 20000
    mov ebp, 3
wait_for_ticks:
    cli
    cmp [ticks], ebp
    jae done
    sti
    hlt
    jmp wait_for_ticks
done:
    cli
    hlt

timer:
    save_registers
    inc dword [ticks]
    end_of_interrupt
%ifdef FIXED
    fire_in 20000
%endif
    restore_registers
    iretq

align 4
ticks:      dd 0
