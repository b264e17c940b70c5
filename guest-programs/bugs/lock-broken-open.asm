; vmxlab: vcpus=2 pcpus=2
;
; "Whoever holds a lock that long must be dead": a waiter breaks the lock open after some rounds. The
; holder had only been preempted. Corrected: wait.
;
; RUN: name=BUG fault=preempt,lock=held,vcpu=0,nth=1,after=1us,for=300us
; RUN: name=FIXED define=FIXED fault=preempt,lock=held,vcpu=0,nth=1,after=1us,for=300us
; XFAIL-BUG: there are two holders
; PROPERTY: at most 1 between guest_code(at=critical) and guest_code(at=leave)
; PROPERTY: at least 1 fault(kind=preempt, vcpu=0)
; STATE: status halted

bits 64
org 0x100000
default rel

start:
    imul ecx, edi, 500          ; vCPU 0 is the first
    inc ecx
.delay:
    mfence
    dec ecx
    jnz .delay
acquire:
    mov ecx, 3000               ; some 100 us
.spin:
    mov eax, 1
    xchg [held], eax
    test eax, eax
    jz critical
    mfence
%ifdef FIXED
    pause
%else
    dec ecx
    jz critical
%endif
    jmp .spin
critical:
    mov ecx, 300
.work:
    mfence
    dec ecx
    jnz .work
leave:
    mov dword [held], 0
    cli
    hlt

align 64
held:       dd 0
