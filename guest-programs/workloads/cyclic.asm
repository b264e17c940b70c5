; vmxlab: vcpus=1 pcpus=1 until=1000s max-instructions=100G
;
; cyclictest in a guest that polls while it is idle (idle=poll): the timer of the local APIC, in TSC-deadline
; mode, fires every `interval_ns`; how much later than that the handler reads the time stamp is its
; latency. Counted in whole us, as cyclictest does; what is beyond the last bin is counted there.
;
; What a kernel does between the interrupt and the time stamp is `path_ns` of computing, and `noise_ns` of
; exponentially distributed computing: both 0, so that what is measured is the host's part.

bits 64
org 0x100000
default rel

%include "../lib/interrupts.inc"
%include "../lib/x2apic.inc"

TIMER_VECTOR    equ 0x40
KVM_TIMING_LEAF equ 0x40000010  ; EAX = TSC rate in kHz
BINS            equ 200
VARIATES        equ 4096

start:
    set_gate TIMER_VECTOR, timer
    lidt [idtr]
    enable_x2apic
    write_msr X2APIC_LVT_TIMER, TIMER_VECTOR | TSC_DEADLINE_MODE
    mov eax, KVM_TIMING_LEAF
    cpuid
    mov r14d, eax               ; kHz
    mov rax, [param_interval_ns]
    mul r14
    mov ecx, 1000000
    div rcx
    mov r13, rax                ; the interval in cycles
    mov rax, [param_path_ns]
    mul r14
    div rcx
    mov [cycles_path], rax
    mov rax, [param_noise_ns]
    mul r14
    div rcx
    mov [cycles_noise], rax
    mov rbp, [param_loops]
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov r15, rax

next:
    add r15, r13                ; the deadline
    mov rax, r15
    mov rdx, r15
    shr rdx, 32
    mov ecx, IA32_TSC_DEADLINE
    mov byte [fired], 0
    wrmsr
    sti
poll:
    pause
    cmp byte [fired], 0
    je poll
    cli
    mov rax, [seen]
    sub rax, r15                ; latency in cycles
    add [result_total_cycles], rax
    cmp rax, [result_greatest_cycles]
    jbe .not_greater
    mov [result_greatest_cycles], rax
.not_greater:
    imul rax, rax, 1000
    xor edx, edx
    div r14                     ; us
    cmp rax, BINS - 1
    jbe .bin
    mov eax, BINS - 1
.bin:
    lea rcx, [histogram_latency_us]
    inc qword [rcx + rax * 8]
    inc qword [result_loops]
    dec rbp
    jnz next
    cli
    hlt

timer:
    push rax
    push rcx
    push rdx
    mov eax, [place]
    inc dword [place]
    and eax, VARIATES - 1
    lea rcx, [variates_exponential]
    mov ecx, [rcx + rax * 4]
    imul rcx, [cycles_noise]
    shr rcx, 16
    add rcx, [cycles_path]
    shr rcx, 1                  ; a round takes 2 cycles
    jz .now
.path:
    dec rcx
    jnz .path
.now:
    rdtsc
    shl rdx, 32
    or rax, rdx
    mov [seen], rax
    mov byte [fired], 1
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

section .data
align 8
param_interval_ns:      dq 1000000
param_loops:            dq 1000
param_path_ns:          dq 0
param_noise_ns:         dq 0
end_of_parameters:

section .bss
alignb 8
seen:                   resq 1
cycles_path:            resq 1
cycles_noise:           resq 1
variates_exponential:   resd VARIATES
place:                  resd 1      ; in that table
fired:                  resb 1
alignb 8
result_loops:           resq 1
result_total_cycles:    resq 1      ; of all latencies
result_greatest_cycles: resq 1
histogram_latency_us:   resq BINS
end_of_results:         resq 1

; RUN: parameter=loops=20
; TRACE: kvm_inj_virq: IRQ 0x40
; CHECK: reason PREEMPTION_TIMER
; EXPECT: 0
