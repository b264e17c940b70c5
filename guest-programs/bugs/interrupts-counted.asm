; vmxlab: vcpus=1 pcpus=1
;
; An interrupt is sent for each of two pieces of work, and its handler does one piece. The APIC
; keeps one bit for a vector: two requests can be one interrupt. Corrected: do all that is there.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: one piece of work is left
; EXPECT: halted
; PROPERTY: at most 1 kvm_inj_virq(vector=0x40)

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"

VECTOR          equ 0x40
ICR_SELF        equ 1 << 18     ; destination shorthand: self

start:
    take_interrupts VECTOR, handler
    mov ebp, 2
.send:
    inc dword [work]
    write_msr X2APIC_ICR, ICR_SELF | VECTOR
    dec ebp
    jnz .send
wait_for_work:
    cli
    cmp dword [did], 2
    jae done
    sti
    hlt
    jmp wait_for_work
done:
    cli
    hlt

handler:
    save_registers
%ifdef FIXED
    xor eax, eax
    xchg [work], eax
    add [did], eax
%else
    dec dword [work]
    inc dword [did]
%endif
    end_of_interrupt
    restore_registers
    iretq

align 4
work:       dd 0
did:        dd 0
