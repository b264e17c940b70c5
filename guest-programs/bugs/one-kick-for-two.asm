; vmxlab: vcpus=3 pcpus=3
;
; Two vCPUs sleep until the same event, and whoever raises it kicks one of them, as if it were a
; lock that only one can have. The other sleeps on. Corrected: kick all.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: vCPU 2 sleeps on
; OUTPUT: {{^}}ww{{$}}
; PROPERTY: at least 2 kvm_hypercall(nr=5)

bits 64
org 0x100000
default rel

KICK_CPU        equ 5           ; hypercall: RBX = flags (0), RCX = APIC id of the vCPU to wake

%macro kick 1
    mov eax, KICK_CPU
    xor ebx, ebx
    mov ecx, %1
    vmcall
%endmacro

start:
    test edi, edi
    jnz waiter
    mov ecx, 1000               ; until the others sleep
.delay:
    mfence
    dec ecx
    jnz .delay
    mov dword [event], 1
    kick 1
%ifdef FIXED
    kick 2
%endif
    jmp done

waiter:
    cmp dword [event], 0
    jne .woken
    hlt                         ; interrupts are off: only a kick ends this
    jmp waiter
.woken:
    mov al, 'w'
    out 0xe9, al
done:
    cli
    hlt
    jmp done

align 4
event:      dd 0
