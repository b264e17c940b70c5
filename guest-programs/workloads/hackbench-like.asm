; vmxlab: vcpus=8 pcpus=4 until=10s max-instructions=100G
;
; Groups of senders and receivers as in hackbench: each vCPU is one of them, and in each group every sender
; sends `messages` messages to every receiver. A receiver has a ring of `slots` places for them under
; a lock of its own (-D LOCK). Who finds it empty, or full, halts and is woken by an interrupt from
; the other side. Messages of one sender must come in order, and as many as were sent: if so the last
; vCPU to finish prints "ok", else the run ends with exit code 3. There are as many groups as there
; are vCPUs for; vCPUs that are left do nothing.
;
;   vmxlab run guest-programs/workloads/hackbench-like.asm -D LOCK=pv-qspinlock --vcpus 16 --parameter messages=500

bits 64
org 0x100000
default rel

%ifndef LOCK
%define LOCK ticket
%endif

%include "../lib/interrupts.inc"
%include "../lib/x2apic.inc"
%include "../lib/time.inc"
%include "../locks/lock.inc"

WAKE_VECTOR     equ 0x50
BINS            equ 128
VARIATES        equ 4096
MOST_SLOTS      equ 64

; A ring, of one receiver: the lock's line, one for the counts, and the messages.
RING_PUT        equ 64          ; messages put in since the start
RING_TAKEN      equ 68          ; and taken out
RING_WAITS      equ 72          ; 1: the receiver sleeps until there is a message
RING_SENDERS    equ 80          ; a bit for each vCPU that sleeps until there is a place
RING_MESSAGES   equ 128
RING_BYTES      equ RING_MESSAGES + 64 * MOST_SLOTS

; A message, 64 bytes
MESSAGE_FROM    equ 0           ; the sender
MESSAGE_NUMBER  equ 8           ; which one of that sender to this receiver, from 1 on
MESSAGE_TIME    equ 16          ; TSC when it was put in

; R12 = index of this vCPU and its APIC id, R13 = number of them, R14 = first vCPU of the group,
; R15 = place in the table of variates
start:
    mov r12, rdi
    mov r13, rsi
    mov r15d, edi
    shl r15d, 6
    test edi, edi
    jnz .not_first
    call prepare
    mov dword [prepared], 1
.not_first:
    pause
    cmp dword [prepared], 0
    je .not_first
    lidt [idtr]
    enable_x2apic
    lock_init
    lock inc dword [arrived]
.wait_for_all:
    pause
    cmp [arrived], r13d
    jb .wait_for_all
    sti
    cmp r12d, [busy]
    jae halt                    ; not in a group
    time_stamp
    mov [started_at + r12 * 8], rax
    mov eax, r12d
    xor edx, edx
    div dword [group_size]
    mov r14d, r12d
    sub r14d, edx               ; EDX = place in the group: senders come first
    cmp edx, [param_senders]
    jb sender
    jmp receiver

; Message after message, each to all receivers in turn. EBP = the receiver.
sender:
    mov qword [number + r12 * 8], 1
.message:
    mov rax, [number + r12 * 8]
    cmp rax, [param_messages]
    ja finish
    mov ebp, r14d
    add ebp, [param_senders]
.receiver:
    mov rcx, [cycles_produce]
    call compute_variate
    call send
    inc ebp
    mov eax, r14d
    add eax, [group_size]
    cmp ebp, eax
    jb .receiver
    inc qword [number + r12 * 8]
    jmp .message

receiver:
    mov rbp, [param_messages]
    imul rbp, [param_senders]
.message:
    test rbp, rbp
    jz finish
    call receive
    mov rcx, [cycles_consume]
    call compute_variate
    dec rbp
    jmp .message

; The last one of all says what came of it.
finish:
    time_stamp
    sub rax, [started_at + r12 * 8]
    mov [result_time_cycles + r12 * 8], rax
    mov rax, [lock_contended + r12 * 8]
    mov [result_contended + r12 * 8], rax
    mov eax, 1
    lock xadd [finished], eax
    inc eax
    cmp eax, [busy]
    jne halt
    xor esi, esi
    xor eax, eax
.sum:
    add rax, [result_sent + rsi * 8]
    sub rax, [result_received + rsi * 8]
    inc esi
    cmp esi, r13d
    jb .sum
    or rax, [result_out_of_order]
    jnz wrong
    mov al, 'o'
    out 0xe9, al
    mov al, 'k'
    out 0xe9, al
halt:
    cli
.again:
    hlt                         ; a kick that came too late may end this once
    jmp .again
wrong:
    mov al, 1
    out 0xf4, al
    jmp halt

; RDI = the ring of vCPU EBP. Changes RAX.
ring_of_receiver:
    imul edi, ebp, RING_BYTES
    add edi, rings
    ret

; Send the next message to vCPU EBP.
send:
    mov dword [woken + r12 * 4], 0
    call ring_of_receiver
    lock_acquire
    mov ecx, [rdi + RING_PUT]
    mov eax, ecx
    sub eax, [rdi + RING_TAKEN]
    cmp eax, [slots]
    jb .place
    bts qword [rdi + RING_SENDERS], r12
    lock_release
    call sleep
    jmp send
.place:
    call slot
    mov [rbx + MESSAGE_FROM], r12
    mov rax, [number + r12 * 8]
    mov [rbx + MESSAGE_NUMBER], rax
    time_stamp
    mov [rbx + MESSAGE_TIME], rax
    inc dword [rdi + RING_PUT]
    xor eax, eax
    xchg eax, [rdi + RING_WAITS]
    mov [to_wake + r12 * 8], rax
    lock_release
    inc qword [result_sent + r12 * 8]
    cmp dword [to_wake + r12 * 8], 0
    je .done
    mov edx, ebp
    call wake
.done:
    ret

; Take a message out of this vCPU's ring, and look whether it is the next of its sender.
receive:
    mov dword [woken + r12 * 4], 0
    push rbp
    mov ebp, r12d
    call ring_of_receiver
    pop rbp
    lock_acquire
    mov ecx, [rdi + RING_TAKEN]
    cmp ecx, [rdi + RING_PUT]
    jne .message
    mov dword [rdi + RING_WAITS], 1
    lock_release
    call sleep
    jmp receive
.message:
    call slot
    time_stamp
    sub rax, [rbx + MESSAGE_TIME]
    mov [latency + r12 * 8], rax
    mov rsi, [rbx + MESSAGE_FROM]
    mov rdx, [rbx + MESSAGE_NUMBER]
    imul eax, r12d, MOST_VCPUS * 8
    lea rax, [last_numbers + rax + rsi * 8]
    mov rcx, [rax]
    mov [rax], rdx
    inc rcx
    cmp rcx, rdx
    je .in_order
    lock inc qword [result_out_of_order]
.in_order:
    inc dword [rdi + RING_TAKEN]
    xor eax, eax
    xchg rax, [rdi + RING_SENDERS]
    mov [to_wake + r12 * 8], rax
    lock_release
    inc qword [result_received + r12 * 8]
    mov rax, [latency + r12 * 8]
    count_in histogram_latency, BINS, cycles_bin
.wake:
    bsf rdx, [to_wake + r12 * 8]
    jz .done
    btr qword [to_wake + r12 * 8], rdx
    call wake
    jmp .wake
.done:
    ret

; RBX = the message of the ring at RDI whose count is ECX. Changes RAX and RDX.
slot:
    mov eax, ecx
    xor edx, edx
    div dword [slots]
    shl edx, 6
    lea rbx, [rdi + rdx + RING_MESSAGES]
    ret

; Halt until somebody has woken this vCPU: exactly one does, who found it in the ring.
sleep:
    inc qword [result_sleeps + r12 * 8]
.look:
    cli
    cmp dword [woken + r12 * 4], 0
    jne .done
    sti                         ; takes effect after the next instruction
    hlt
    jmp .look
.done:
    sti
    ret

; Wake vCPU EDX. Changes RAX and RCX.
wake:
    inc qword [result_wakes + r12 * 8]
    mov ecx, X2APIC_ICR
    mov eax, WAKE_VECTOR
    wrmsr
    ret

woken_up:
    push rax
    push rcx
    push rdx
    mov dword [woken + r12 * 4], 1
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

; Compute for a duration with the mean RCX, exponential. Changes RAX and RCX.
compute_variate:
    mov eax, [variates_exponential + r15 * 4]
    imul rcx, rax
    shr rcx, 16
    lea r15d, [r15 + r12 * 2 + 1]   ; odd: each vCPU sees the whole table, in an order of its own
    and r15d, VARIATES - 1
    compute_for
    ret

; vCPU 0 at the start. Without a group, or a place in the rings, there is nothing to run.
prepare:
    set_gate WAKE_VECTOR, woken_up
    durations_to_cycles cycles, durations_ns, DURATIONS
    mov rax, [param_slots]
    mov [slots], eax
    dec rax
    cmp rax, MOST_SLOTS
    jae .refuse
    mov rax, [param_senders]
    mov rcx, [param_receivers]
    lea rdx, [rax - 1]
    cmp rdx, MOST_VCPUS
    jae .refuse
    lea rdx, [rcx - 1]
    cmp rdx, MOST_VCPUS
    jae .refuse
    lea ecx, [rax + rcx]
    mov [group_size], ecx
    mov eax, r13d
    xor edx, edx
    div ecx
    test eax, eax
    jz .refuse
    mov [result_groups], eax
    imul eax, ecx
    mov [busy], eax
    ret
.refuse:
    lea rsi, [refused_text]
.print:
    lodsb
    test al, al
    jz wrong
    out 0xe9, al
    jmp .print

section .data
refused_text:           db "senders and receivers: at least 1 each, both together at most as many as there "
                        db "are vCPUs; slots: 1 to 64", 10, 0
align 8
durations_ns:           ; in the order of `cycles`
param_produce_ns:       dq 500      ; computing for a message before it is sent, exponential
param_consume_ns:       dq 500      ; and after it is received
param_bin_ns:           dq 1000     ; how wide a bin of the histogram is
param_senders:          dq 2        ; of a group
param_receivers:        dq 2
param_messages:         dq 100      ; of each sender to each receiver
param_slots:            dq 16       ; places in a ring, at most 64
end_of_parameters:

section .bss
alignb 64
cycles:
cycles_produce:         resq 1
cycles_consume:         resq 1
cycles_bin:             resq 1
DURATIONS               equ ($ - cycles) / 8
prepared:               resd 1
arrived:                resd 1
finished:               resd 1
group_size:             resd 1
busy:                   resd 1          ; vCPUs that are in a group
slots:                  resd 1
alignb 64
woken:                  resd MOST_VCPUS
number:                 resq MOST_VCPUS ; of the message that a sender sends
started_at:             resq MOST_VCPUS
to_wake:                resq MOST_VCPUS
latency:                resq MOST_VCPUS
last_numbers:           resq MOST_VCPUS * MOST_VCPUS    ; by receiver and sender
variates_exponential:   resd VARIATES
alignb 64
rings:                  resb RING_BYTES * MOST_VCPUS
result_groups:          resq 1
result_out_of_order:    resq 1
result_sent:            resq MOST_VCPUS
result_received:        resq MOST_VCPUS
result_sleeps:          resq MOST_VCPUS ; HLT, because a ring was empty or full
result_wakes:           resq MOST_VCPUS ; interrupts sent to those who sleep
result_time_cycles:     resq MOST_VCPUS ; from the start to the last message
result_contended:       resq MOST_VCPUS ; acquisitions of a lock that did not succeed at once
histogram_latency:      resq BINS       ; of a message, from put in to taken out
end_of_results:

; RUN: name=PLAIN vcpus=8 pcpus=4
; RUN: name=PV vcpus=9 pcpus=2 define=LOCK=pv-qspinlock define=LOCK_SPINS=10
; RUN: name=NARROW vcpus=5 pcpus=2 parameter=senders=4 parameter=receivers=1 parameter=slots=1
; RUN: name=NOBODY vcpus=3
; OUTPUT-PLAIN: {{^ok$}}
; OUTPUT-PV: {{^ok$}}
; OUTPUT-NARROW: {{^ok$}}
; OUTPUT-NOBODY: senders and receivers: at least 1 each
; EXPECT-NOBODY: 3
; Whoever is woken, halted before.
; CHECK-NARROW-COUNT-100: reason HLT
; PROPERTY: every kvm_apic_ipi(destination=$d) is followed by kvm_apic_accept_irq(apicId=$d) within 1us
