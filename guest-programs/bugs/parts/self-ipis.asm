; Three IPIs to itself, with interrupts on; prints how many interrupts came of them.

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
    sti
    mov ebp, 3
.next:
    write_msr X2APIC_ICR, TO_SELF | VECTOR
    dec ebp
    jnz .next
    cli
    mov eax, [counter]
    call print_decimal
    call print_newline
    hlt

count:
    push rax
    push rcx
    push rdx
    inc dword [counter]
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

%include "../../lib/console.inc"

align 4
counter:    dd 0
