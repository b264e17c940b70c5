; VM exits: VMCALL, 4 instructions a round. A hypercall that does nothing (KVM_HC_VAPIC_POLL_IRQ).
; There is nobody to take it outside a virtual machine, so QEMU's emulator cannot run this.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

start:
    mov ebp, ROUNDS
round:
    mov eax, 1
    vmcall
    dec ebp
    jnz round
    out 0xf4, al
