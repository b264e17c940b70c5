; vmxlab: vcpus=3 pcpus=3
;
; Whoever releases kicks by the number in line, not by the APIC id of who stands there: vCPU 1 is
; woken instead of vCPU 2.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: vCPU 2 sleeps on
; OUTPUT: {{^}}2{{$}}
; PROPERTY: every kvm_hypercall(nr=5) is followed by sched_wakeup(comm=vcpu2) within 10us

bits 64
org 0x100000
default rel

KICK_CPU        equ 5
TICKET          equ 1           ; the first in line

start:
    cmp edi, 1
    je done
    ja waiter
    mov ecx, 1000               ; until the others sleep
.delay:
    mfence
    dec ecx
    jnz .delay
    mov eax, KICK_CPU
    xor ebx, ebx
%ifdef FIXED
    mov ecx, [in_line + 4 * TICKET]
%else
    mov ecx, TICKET
%endif
    vmcall
done:
    cli
    hlt

waiter:
    mov [in_line + 4 * TICKET], edi
    hlt                         ; interrupts are off: only a kick ends this
    mov al, '2'
    out 0xe9, al
    jmp done

align 4
in_line:    dd 0, 0
