; vmxlab: vcpus=2 pcpus=1
;
; The waiter yields, but to itself: it passes its own APIC id, not the holder's, so that the yield
; does nothing and the holder runs when the host's scheduler finds the time.
;
; RUN: name=BUG seed=1..2
; RUN: name=FIXED define=FIXED seed=1..2
; XFAIL-BUG: vCPU 1 yields to vCPU 1
; PROPERTY: never kvm_hypercall(nr=11, a0=$v, thread=vcpu$v)
; PROPERTY: at least 1 kvm_hypercall(nr=11)

bits 64
org 0x100000
default rel

SCHED_YIELD     equ 11

start:
    test edi, edi
    jnz waiter
    mov ecx, 300000             ; longer than a slice of the host's scheduler
.hold:
    mfence
    dec ecx
    jnz .hold
    mov dword [released], 1
    cli
    hlt

waiter:
    cmp dword [released], 0
    jne .done
    mov eax, SCHED_YIELD
%ifdef FIXED
    xor ebx, ebx                ; the holder's APIC id
%else
    mov ebx, edi                ; our own
%endif
    vmcall
    jmp waiter
.done:
    cli
    hlt

align 4
released:   dd 0
