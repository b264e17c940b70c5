; vmxlab: vcpus=1 pcpus=1
;
; An interrupt between the look and the HLT. With interrupts on, the timer can fire after the flag
; has been found clear; then the HLT waits for an interrupt that has been. Corrected: look with
; interrupts off, and let STI's shadow cover the HLT.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: deadlock, the only interrupt came before the HLT
; EXPECT: halted
; TRACE: kvm_inj_virq: IRQ 0x40

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"

start:
    take_timer_interrupts timer
    fire_in 4000
%ifdef FIXED
    cli
%else
    sti
%endif
wait_for_timer:
    cmp byte [fired], 0
    jne done
    mov ecx, 1000               ; long enough for the timer to fire here
.delay:
    mfence
    dec ecx
    jnz .delay
%ifdef FIXED
    sti                         ; nothing comes in before the HLT
%endif
    hlt
    cli
    jmp wait_for_timer
done:
    cli
    hlt

timer:
    mov byte [fired], 1
    end_of_interrupt
    iretq

fired:      db 0
