; A mixed load for many vCPUs: each round takes a ticket lock, interrupts the next vCPU, arms its
; timer and sleeps until that has fired. In the end everybody waits, asleep, for all that the vCPU
; before sent. The last one prints how often the lock was taken.

bits 64
org 0x100000
default rel

%include "lib/interrupts.inc"
%include "lib/x2apic.inc"

BALL_VECTOR     equ 0x50
TIMER_VECTOR    equ 0x60
TIMER_LVT       equ 0x832
TIMER_COUNT     equ 0x838
TIMER_DIVIDE    equ 0x83e
EVERYBODY       equ 64

start:
    mov r12d, edi               ; index = APIC id
    mov r13d, esi               ; vCPUs
    test edi, edi
    jnz .gates_are_set
    set_gate BALL_VECTOR, ball
    set_gate TIMER_VECTOR, timer
    mov dword [gates], 1
.gates_are_set:
    pause
    cmp dword [gates], 1
    jne .gates_are_set
    lidt [idtr]
    enable_x2apic
    mov ecx, TIMER_LVT
    mov eax, TIMER_VECTOR
    xor edx, edx
    wrmsr
    mov ecx, TIMER_DIVIDE
    mov eax, 0xb
    wrmsr
    lea rbx, [balls]
    lea r14, [ticks]
    lock inc dword [ready]
.wait_for_others:
    pause
    cmp [ready], r13d
    jb .wait_for_others

    mov ebp, ROUNDS
round:
    mov eax, 1
    lock xadd [tail], eax
.look:
    cmp [head], eax
    je .ours
    pause
    jmp .look
.ours:
    mov eax, [counter]          ; not locked: somebody else inside would lose a count
    mov ecx, 200
.hold:
    dec ecx
    jnz .hold
    inc eax
    mov [counter], eax
    inc dword [head]

    ; What is sent is counted in memory: of interrupts, those that come together are one.
    lea edx, [r12 + 1]
    cmp edx, r13d
    jb .send
    xor edx, edx
.send:
    lock inc dword [rbx + rdx * 4]
    mov ecx, X2APIC_ICR
    mov eax, BALL_VECTOR
    wrmsr

    mov ecx, TIMER_COUNT
    imul eax, r12d, 1000
    add eax, 50000
    xor edx, edx
    wrmsr
.asleep:
    cli
    cmp dword [r14 + r12 * 4], 0
    jne .fired
    sti
    hlt
    jmp .asleep
.fired:
    dec dword [r14 + r12 * 4]
    sti
    dec ebp
    jnz round

.last:
    cli
    cmp dword [rbx + r12 * 4], ROUNDS
    jae .all
    sti
    hlt
    jmp .last
.all:
    mov eax, 1
    lock xadd [finished], eax
    inc eax
    cmp eax, r13d
    jne .done
    mov eax, [counter]
    call print_decimal
.done:
    cli
    hlt

ball:
    push rax
    push rcx
    push rdx
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

timer:
    push rax
    push rcx
    push rdx
    inc dword [r14 + r12 * 4]
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

%include "lib/console.inc"

align 64
gates:          dd 0
ready:          dd 0
finished:       dd 0
counter:        dd 0
align 64
head:           dd 0
align 64
tail:           dd 0
align 64
balls:          times EVERYBODY dd 0
ticks:          times EVERYBODY dd 0
