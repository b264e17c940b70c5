; vmxlab: vcpus=1 pcpus=1
;
; An interrupt that nobody has sent, on a vector that others use: a handler that takes work without
; looking whether there is any goes below zero. Corrected: look.
;
; RUN: name=BUG fault=spurious-ipi,vector=64,at=idle,nth=1
; RUN: name=FIXED define=FIXED fault=spurious-ipi,vector=64,at=idle,nth=1
; XFAIL-BUG: it does a piece of work that there is not
; EXPECT: halted
; PROPERTY: at least 2 kvm_inj_virq(vector=64)
; PROPERTY: never guest_write(at=work, new=0xffffffff)

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"

VECTOR          equ 0x40
ICR_SELF        equ 1 << 18     ; destination shorthand: self

start:
    take_interrupts VECTOR, handler
    mov dword [work], 1
    sti
    write_msr X2APIC_ICR, ICR_SELF | VECTOR
idle:
    nop                         ; a place of its own, passed once
    mov ecx, 1000
.delay:
    mfence
    dec ecx
    jnz .delay
    cli
    cmp dword [work], 0
    mov al, 1
    jne .wrong
    hlt
.wrong:
    out 0xf4, al

handler:
    save_registers
%ifdef FIXED
    cmp dword [work], 0
    je .none
%endif
    dec dword [work]
.none:
    end_of_interrupt
    restore_registers
    iretq

align 64
work:       dd 0
