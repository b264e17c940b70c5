; vmxlab: vcpus=2 pcpus=2
;
; A HLT may end for nothing: a kick that came too late for the wait before, say. Who takes that for the
; news it sleeps for reads what is not there yet. Corrected: look again, and sleep on.
;
; RUN: name=BUG fault=spurious-kick,at=sleeps,vcpu=1,nth=1,after=5us
; RUN: name=FIXED define=FIXED fault=spurious-kick,at=sleeps,vcpu=1,nth=1,after=5us
; XFAIL-BUG: it reads the letter before it is written
; OUTPUT: {{^}}L{{$}}
; STATE: fault 0 count 1

bits 64
org 0x100000
default rel

KICK_CPU        equ 5           ; hypercall: RBX = flags (0), RCX = APIC id of the vCPU to wake

start:
    test edi, edi
    jnz reader
    mov ecx, 2000               ; some 35 us
.work:
    mfence
    dec ecx
    jnz .work
    mov byte [letter], 'L'
    mov eax, KICK_CPU
    xor ebx, ebx
    mov ecx, 1
    vmcall
    jmp done

reader:
    mov al, [letter]
%ifdef FIXED
    cmp al, '?'
    jne news
sleeps:
    hlt                         ; interrupts are off: only a kick ends this
    jmp reader
news:
%else
sleeps:
    hlt
    mov al, [letter]
%endif
    out 0xe9, al
done:
    cli
    hlt
    jmp done

align 64
letter:     db '?'
