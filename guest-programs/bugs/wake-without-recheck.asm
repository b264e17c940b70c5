; vmxlab: vcpus=2 pcpus=2
;
; A kick that comes too late for one wait is remembered by the host, and ends the HLT of the next.
; Whoever takes a wake-up for the event goes on too early. Corrected: look again.
;
; EXPLORE: ending
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

KICK_CPU        equ 5           ; hypercall: RBX = flags (0), RCX = APIC id of the vCPU to wake

%macro kick_waiter 0
    mov eax, KICK_CPU
    xor ebx, ebx
    mov ecx, 1
    vmcall
%endmacro

; Return when the byte is set; a kick comes after that.
%macro wait_for 1
%%look:
    cmp byte [%1], 0
    jne %%done
    hlt                         ; interrupts are off: only a kick ends this
%ifdef FIXED
    jmp %%look
%endif
%%done:
%endmacro

start:
    test edi, edi
    jnz waiter
    mov byte [first], 1
    kick_waiter
    mov byte [second], 1
    kick_waiter
done:
    cli
    hlt
    jmp done

waiter:
    wait_for first
    wait_for second
    cmp byte [second], 1
    setne al
    out 0xf4, al                ; 0 if it has happened

align 64
first:      db 0
align 64
second:     db 0
