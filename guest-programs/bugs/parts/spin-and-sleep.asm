; vCPU 1 spins until vCPU 0 is done with a piece of work, sleeps until it is kicked, and so on five
; times: each wait begins behind a sleep, so nothing it has learned before should count.

; SKIP: for the scenarios that run it

bits 64
org 0x100000
default rel

KICK_CPU        equ 5           ; hypercall: RBX = flags (0), RCX = APIC id of the vCPU to wake
ROUNDS          equ 5
WORK            equ 5000        ; about 35 cycles each

%macro pass_time 1
    mov ecx, %1
%%round:
    mfence
    dec ecx
    jnz %%round
%endmacro

start:
    mov ebp, ROUNDS
    test edi, edi
    jnz waiter

worker:
    pass_time WORK
    mov [done_with], ebp
    pass_time WORK              ; until vCPU 1 sleeps
    mov eax, KICK_CPU
    xor ebx, ebx
    mov ecx, 1
    vmcall
    dec ebp
    jnz worker
    jmp stop

waiter:
waits:
    mov eax, ebp
.spin:
    pause
    cmp [done_with], eax
    jne .spin
    cli
    hlt                         ; only a kick ends this
    dec ebp
    jnz waiter
stop:
    cli
    hlt
    jmp stop

align 64
done_with:  dd 0                ; the round, counted down
