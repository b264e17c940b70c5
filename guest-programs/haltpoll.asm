; vmxlab: vcpus=1 pcpus=1
;
; Polling in the guest before it halts, as Linux's cpuidle-haltpoll does: an idle guest that spins for a
; while sees short waits end without a VM exit. It tells the host not to poll for it (POLL_CONTROL, MSR
; 4B564D05H), or both would. How long it polls adapts: after a halt that was longer than the limit but
; not than the longest it allows, the limit doubles; after one that was longer than that, it is halved.
;
; A timer fires WAIT cycles after each round begins, and the round ends when the guest has seen it.
; Compare: vmxlab run guest-programs/haltpoll.asm -D WAIT=60000, -D WAIT=2000000, and with -D HALT, where
; the guest halts at once and leaves polling to the host; --stats kvm counts exits.

bits 64
org 0x100000
default rel

%include "lib/interrupts.inc"
%include "lib/time.inc"
%include "lib/x2apic.inc"

%ifndef WAIT
%define WAIT 60000              ; cycles
%endif
%ifndef ROUNDS
%define ROUNDS 50
%endif

TIMER_VECTOR    equ 0x40
FEATURES_LEAF   equ 0x40000001
POLL_CONTROL    equ 1 << 12     ; in EAX
MSR_POLL_CONTROL equ 0x4b564d05

; Parameters of the governor, in ns
POLL_NS         equ 200000      ; the longest that it polls
GROW_START_NS   equ 50000       ; where it begins
RELAXES         equ 200         ; PAUSEs between looks at the clock

start:
    set_gate TIMER_VECTOR, timer
    lidt [idtr]
    enable_x2apic
    write_msr X2APIC_LVT_TIMER, TIMER_VECTOR | TSC_DEADLINE_MODE
    durations_to_cycles longest, durations, 2
%ifndef HALT
    mov eax, FEATURES_LEAF
    cpuid
    test eax, POLL_CONTROL
    jz .begin
    write_msr MSR_POLL_CONTROL, 0
.begin:
%endif
    mov ebp, ROUNDS
round:
    mov byte [fired], 0
    fire_in WAIT
    call idle
    dec ebp
    jnz round

    lea rsi, [polled_text]
    mov eax, [polled]
    call print_line
    lea rsi, [halted_text]
    mov eax, [halted]
    call print_line
    cli
    hlt

; Until the timer has fired. R12 = when idling began.
idle:
    time_stamp
    mov r12, rax
%ifndef HALT
    cmp qword [limit], 0
    je .halt
    sti
.poll:
    mov ecx, RELAXES
.relax:
    cmp byte [fired], 0
    jne .seen
    pause
    dec ecx
    jnz .relax
    time_stamp
    sub rax, r12
    cmp rax, [limit]
    jb .poll
    cli
%endif
.halt:
    cli
    cmp byte [fired], 0
    jne .seen
    inc dword [halted]
    time_stamp
    mov r12, rax
.again:
    sti                         ; takes effect after the next instruction
    hlt
    cli
    cmp byte [fired], 0
    je .again
    time_stamp
    sub rax, r12
    jmp adjust
.seen:
    cli
    inc dword [polled]
    ret

; A halt took RAX cycles: change the limit.
adjust:
    mov rcx, [limit]
    cmp rax, [longest]
    ja .shrink
    cmp rax, rcx
    jbe .same
    add rcx, rcx
    cmp rcx, [grow_start]
    cmovb rcx, [grow_start]
    cmp rcx, [longest]
    cmova rcx, [longest]
    mov [limit], rcx
.same:
    ret
.shrink:
    shr rcx, 1
    mov [limit], rcx
    ret

timer:
    push rax
    push rcx
    push rdx
    mov byte [fired], 1
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

; A text at RSI, a number in EAX, and a new line.
print_line:
    push rax
    call print_text
    pop rax
    call print_decimal
    lea rsi, [new_line]
    jmp print_text

%include "lib/console.inc"

polled_text:    db "seen while polling: ", 0
halted_text:    db "halts: ", 0
new_line:       db 10, 0
align 8
durations:      dq POLL_NS, GROW_START_NS
longest:        dq 0            ; both in cycles
grow_start:     dq 0
limit:          dq 0            ; how long the guest polls, in cycles
polled:         dd 0
halted:         dd 0
fired:          db 0

; Short waits: the limit grows with the first halt, and from then on the guest sees the timer itself.
; Long ones: the limit stays 0, as a halt of 1 ms is longer than it would ever poll for.
; RUN: name=SHORT
; RUN: name=LONG define=WAIT=2000000
; RUN: name=HALT define=HALT
; OUTPUT-SHORT: seen while polling: 49
; OUTPUT-SHORT-NEXT: halts: 1
; OUTPUT-LONG: seen while polling: 0
; OUTPUT-LONG-NEXT: halts: 50
; OUTPUT-HALT: seen while polling: 0
; OUTPUT-HALT-NEXT: halts: 50
; The host polls for who only halts, and for nobody else.
; TRACE-SHORT-NOT: kvm_vcpu_wakeup: poll time
; TRACE-LONG-NOT: kvm_vcpu_wakeup: poll time
; TRACE-HALT: kvm_vcpu_wakeup: poll time
