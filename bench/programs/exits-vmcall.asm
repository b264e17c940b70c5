; VMCALL: a hypercall that does nothing (KVM_HC_VAPIC_POLL_IRQ), 4 instructions a round. Only vmxlab
; can run it.

%include "program.inc"

main:
    mov ebp, ROUNDS
round:
    mov eax, 1
    vmcall
    dec ebp
    jnz round
    mov eax, ebp
    finish
