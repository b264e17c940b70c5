; vmxlab: vcpus=2 pcpus=2
;
; Two vCPUs send each other inter-processor interrupts: ping, pong, ping, ... The sender writes the
; interrupt command register (exit MSR_WRITE). The receiver halts between two interrupts (exit HLT),
; so each of them wakes a thread on another pCPU. vCPU 0 prints the mean round trip.

bits 64
org 0x100000
default rel

%include "lib/interrupts.inc"
%include "lib/x2apic.inc"

%ifndef ROUNDS
%define ROUNDS 100
%endif

BALL_VECTOR     equ 0x50

start:
    mov r12d, edi               ; index = APIC id
    mov r13d, edi
    xor r13d, 1                 ; the other one
    test edi, edi
    jnz .gates_are_set
    set_gate BALL_VECTOR, ball
    mov dword [gates], 1
.gates_are_set:
    cmp dword [gates], 1        ; one IDT for both: wait until it is filled
    jne .gates_are_set
    lidt [idtr]
    enable_x2apic
    lock inc dword [ready]
.wait_for_other:
    pause
    cmp dword [ready], 2
    jb .wait_for_other

    mov ebp, ROUNDS
    lea rbx, [balls]
    test r12d, r12d
    jnz second

    call read_tsc
    mov r15, rax
first:
    call send
    call receive
    dec ebp
    jnz first
    call read_tsc
    sub rax, r15
    xor edx, edx
    mov ecx, ROUNDS
    div rcx
    push rax
    lea rsi, [text]
    call print_text
    pop rax
    call print_decimal
    lea rsi, [cycles_text]
    call print_text
    cli
    hlt

second:
    call receive
    call send
    dec ebp
    jnz second
    cli
    hlt

; Send the ball to the other vCPU: fixed mode, physical destination in the high half.
send:
    mov ecx, X2APIC_ICR
    mov eax, BALL_VECTOR
    mov edx, r13d
    wrmsr
    ret

; Wait until the ball is here, and take it.
receive:
    cli
    cmp dword [rbx + r12 * 4], 0
    jne .here
    sti
    hlt
    jmp receive
.here:
    dec dword [rbx + r12 * 4]
    ret

read_tsc:
    rdtsc
    shl rdx, 32
    or rax, rdx
    ret

ball:
    push rax
    push rcx
    push rdx
    inc dword [rbx + r12 * 4]   ; each vCPU writes only its own count
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

%include "lib/console.inc"

text:           db "mean round trip: ", 0
cycles_text:    db " cycles", 10, 0
align 4
gates:          dd 0
ready:          dd 0
balls:          dd 0, 0

; OUTPUT: {{^}}mean round trip: [[#]] cycles{{$}}
; Each ball is an interrupt of the other, and ended before the next.
; TRACE: kvm_apic_ipi: dst 1 vec 80 (Fixed|physical|
; TRACE: kvm_apic_accept_irq: apicid 1 vec 80 (Fixed|edge)
; TRACE: kvm_apic_ipi: dst 0 vec 80 (Fixed|physical|
; TRACE: kvm_apic_accept_irq: apicid 0 vec 80 (Fixed|edge)
; PROPERTY: every kvm_apic_ipi(destination=$d) is followed by kvm_apic_accept_irq(apicId=$d) within 1us
; PROPERTY: at least 200 kvm_apic_ipi(vector=80)
; PROPERTY: at most 200 kvm_apic_ipi(vector=80)
