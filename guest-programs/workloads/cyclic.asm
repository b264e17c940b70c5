; vmxlab: vcpus=1 pcpus=1
;
; cyclictest in a guest: a deadline every `param_period` us, on the local APIC's timer in
; TSC-deadline mode, and a histogram of how late the thread that waits for it runs, in whole us,
; truncated. The guest polls while it is idle (idle=poll), so that it never leaves for a HLT.
;
; What happens is what happens in Linux: the interrupt comes; its handler wakes the thread and sets
; the timer for the guest's own next event, which leaves the guest; the thread runs, looks at the
; time, and sets the timer for its next deadline. How long the kernel computes meanwhile is
; `param_path` cycles, and a part of `param_noise` cycles that is different each time (the sum of two
; uniform random numbers).

bits 64
org 0x100000
default rel

%include "../lib/interrupts.inc"
%include "../lib/x2apic.inc"
%include "../lib/time.inc"

TIMER_VECTOR    equ 0x40
BINS            equ 64          ; us; the last one is for all that is later
GUEST_TICK      equ 4           ; periods until the guest's own next event

; Compute for RAX cycles: a countdown of two cycles an iteration. Changes RAX.
%macro compute 0
    shr rax, 1
    jz %%done
%%again:
    dec rax
    jnz %%again
%%done:
%endmacro

; Set the timer for a time in RAX. Changes RAX, RCX and RDX.
%macro set_deadline 0
    mov rdx, rax
    shr rdx, 32
    mov ecx, IA32_TSC_DEADLINE
    wrmsr
%endmacro

; A random number in RAX, of 64 bits: xorshift64. Changes RDX.
%macro random 0
    mov rax, [state]
    mov rdx, rax
    shl rdx, 13
    xor rax, rdx
    mov rdx, rax
    shr rdx, 7
    xor rax, rdx
    mov rdx, rax
    shl rdx, 17
    xor rax, rdx
    mov [state], rax
%endmacro

start:
    set_gate TIMER_VECTOR, timer
    lidt [idtr]
    enable_x2apic
    write_msr X2APIC_LVT_TIMER, TIMER_VECTOR | TSC_DEADLINE_MODE

    mov eax, KVM_TIMING_LEAF
    cpuid
    mov r13d, eax               ; cycles in a millisecond
    mov rax, [param_period]
    mul r13
    mov ecx, 1000
    div rcx
    mov r14, rax                ; cycles in a period
    mov rax, [variates_exponential]
    or rax, 1
    mov [state], rax            ; the scenario's seed decides

    mov rbp, [param_loops]
    call read_tsc
    mov r15, rax                ; the deadline
cycle:
    add r15, r14
    mov byte [fired], 0
    mov rax, r15
    set_deadline
    sti
.idle:
    pause
    cmp byte [fired], 0
    je .idle
    cli

    ; The scheduler, and back to the thread, in half of the time.
    call half_path
    call read_tsc
    sub rax, r15
    mul qword [thousand]
    div r13                     ; us
    cmp rax, BINS - 1
    jbe .counted
    mov eax, BINS - 1
.counted:
    lea rcx, [histogram_latency]
    inc qword [rcx + 8 * rax]
    inc qword [result_loops]
    dec rbp
    jnz cycle
    hlt                         ; interrupts are off: this is the end

; The other half: entry, timer queue, wake-up.
timer:
    push rax
    push rcx
    push rdx
    call half_path
    lea rax, [r15 + GUEST_TICK * r14]
    set_deadline
    mov byte [fired], 1
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

; Half of the path, with one random number of the noise: each is uniform, and half as wide.
half_path:
    random
    shr rax, 33                 ; 31 bits
    mul qword [param_noise]
    shr rax, 32                 ; up to half of it
    mov rdx, [param_path]
    shr rdx, 1
    add rax, rdx
    compute
    ret

; RAX = time stamp. Changes RDX.
read_tsc:
    time_stamp
    ret

align 8
thousand:               dq 1000
state:                  dq 0
fired:                  dq 0
param_period:           dq 1000     ; us
param_loops:            dq 100
param_path:             dq 10000    ; cycles
param_noise:            dq 4000     ; cycles
result_loops:           dq 0
section .bss
alignb 8
histogram_latency:      resq BINS
variates_exponential:   resd 4096
variates_end:

; RUN:
; CHECK-COUNT-100: reason PREEMPTION_TIMER
; CHECK-NOT: reason PREEMPTION_TIMER
