; vmxlab: vcpus=64 pcpus=16 until=10s max-instructions=100G
;
; A machine with many processors that boots. vCPU 0 starts the others by INIT and start-up IPI, as firmware
; leaves them: each goes from real mode to 64-bit mode in a trampoline below 1 MiB and counts itself in.
; Then come phases as in a kernel's initialization: in each every vCPU takes one lock, the same for
; all, `sections` times, and waits, spinning, until the last vCPU is through. A counter that only the
; lock protects must come out right: if so vCPU 0 prints "ok", else the run ends with exit code 3.
;
;   vmxlab run guest-programs/workloads/boot-storm.asm -D LOCK=ticket --vcpus 64 --pcpus 8 --parameter phases=5

bits 64
org 0x100000
default rel

%ifndef LOCK
%define LOCK ticket
%endif

%include "../lib/x2apic.inc"
%include "../lib/time.inc"
%include "../lib/verdict.inc"
%include "../locks/lock.inc"

TRAMPOLINE      equ 0x8000      ; a page below 1 MiB that the loader does not use
STACKS          equ 0x10000     ; of 8 KiB each, where the loader has them
STACK_SHIFT     equ 13
ASSERT          equ 1 << 14
INIT            equ 5 << 8
START_UP        equ 6 << 8
CODE            equ 0x08        ; of the loader's GDT
DATA            equ 0x10
CR4_PAE         equ 1 << 5
CR0_PE          equ 1
CR0_PG          equ 1 << 31
IA32_EFER       equ 0xc0000080
EFER_LME        equ 1 << 8
BINS            equ 128
VARIATES        equ 4096

; Where something of the trampoline lies in its copy.
%define copied(label) (TRAMPOLINE + (label) - trampoline)

; R12 = index of this vCPU and its APIC id, R13 = number of them, R15 = place in the tables of variates
start:
    test edi, edi
    jz first
.wait_for_init:
    cli
    hlt
    jmp .wait_for_init

first:
    mov r12, rdi
    mov r13, rsi
    mov [vcpus], rsi
    enable_x2apic
    durations_to_cycles cycles, durations_ns, DURATIONS
    cld
    lea rsi, [trampoline]
    mov edi, TRAMPOLINE
    mov ecx, trampoline_end - trampoline
    rep movsb
    sgdt [copied(gdtr)]         ; the others go on with what we have
    mov rax, cr3
    mov [copied(page_tables)], eax

    time_stamp
    mov [started_at], rax
    mov ebp, 1                  ; the one to start, and how many are there, us included
    mov dword [arrived], 1
.start_up:
    cmp ebp, r13d
    jae .wait_for_all
    mov eax, ASSERT | INIT
    call send
    mov eax, ASSERT | START_UP | TRAMPOLINE >> 12
    call send
    inc ebp
    cmp qword [param_parallel], 0
    jne .start_up
.wait_for_one:
    cmp [arrived], ebp
    jae .start_up
    pause
    jmp .wait_for_one
.wait_for_all:
    cmp [arrived], r13d
    jae .all_here
    pause
    jmp .wait_for_all
.all_here:
    call since_start
    mov [result_start_cycles], rax

; Every vCPU: the phases of the boot.
boot:
    mov r15d, r12d
    shl r15d, 6
    lock_init
    call wait_for_others
    mov rbp, [param_phases]
phase:
    test rbp, rbp
    jz booted
    mov r14, [param_sections]
take_turn:
    test r14, r14
    jz .all_done
    mov rcx, [cycles_gap]
    mov eax, [variates_exponential + r15 * 4]
    call compute_variate
    time_stamp
    mov [asked_at + r12 * 8], rax
    mov rdi, the_lock
    lock_acquire
    time_stamp
    sub rax, [asked_at + r12 * 8]
    mov [waited + r12 * 8], rax
    mov rbx, [counter]
    mov rcx, [cycles_hold]
    mov eax, [variates_hold + r15 * 4]
    call compute_variate
    inc rbx
    mov [counter], rbx
    lock_release
    mov rax, [waited + r12 * 8]
    add [result_wait_cycles + r12 * 8], rax
    count_in histogram_wait, BINS, cycles_bin
    inc qword [result_lock_operations + r12 * 8]
    dec r14
    jmp take_turn
.all_done:
    time_stamp
    mov rbx, rax
    call wait_for_others
    time_stamp
    sub rax, rbx
    add [result_barrier_cycles + r12 * 8], rax
    dec rbp
    jmp phase

booted:
    mov rax, [lock_contended + r12 * 8]
    mov [result_contended + r12 * 8], rax
    test r12d, r12d
    jnz done
    call since_start
    mov [result_boot_cycles], rax
    mov rax, [param_phases]
    imul rax, [param_sections]
    imul rax, r13
    judge_counter rax
done:
    cli
.halt:
    hlt                         ; a kick that came too late may end this once
    jmp .halt

; Compute for a duration with the mean RCX and the variate RAX, and go to the next place in the
; tables. Changes RAX and RCX.
compute_variate:
    imul rcx, rax
    shr rcx, 16
    lea r15d, [r15 + r12 * 2 + 1]   ; odd: each vCPU sees the whole table, in an order of its own
    and r15d, VARIATES - 1
    compute_for
    ret

; A barrier: the last to come begins the next generation, which the others look for. Changes RAX
; and RCX.
wait_for_others:
    mov ecx, [generation]
    mov eax, 1
    lock xadd [waiting], eax
    inc eax
    cmp eax, r13d
    jne .look
    mov dword [waiting], 0
    inc dword [generation]
    ret
.look:
    pause
    cmp [generation], ecx
    je .look
    ret

; An interrupt of the kind EAX for vCPU EBP. Changes RCX and RDX.
send:
    mov ecx, X2APIC_ICR
    mov edx, ebp
    wrmsr
    ret

; RAX = cycles since the first INIT. Changes RDX.
since_start:
    time_stamp
    sub rax, [started_at]
    ret

; A vCPU that has been started, from the copy: CS:IP = 0800:0000.
bits 16
trampoline:
    cli
    mov ax, cs
    mov ds, ax
    o32 lgdt [gdtr - trampoline]
    mov eax, CR4_PAE
    mov cr4, eax
    mov eax, [page_tables - trampoline]
    mov cr3, eax
    mov ecx, IA32_EFER
    rdmsr
    or eax, EFER_LME
    wrmsr
    mov eax, cr0
    or eax, CR0_PE | CR0_PG     ; long mode is active with this, as compatibility mode
    mov cr0, eax
    jmp dword CODE:started

align 8
gdtr:           times 10 db 0
align 4
page_tables:    dd 0
trampoline_end:

bits 64
started:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov eax, 1
    cpuid
    shr ebx, 24                 ; the initial APIC id
    mov r12d, ebx
    mov r13, [vcpus]
    lea eax, [r12 + 1]
    shl eax, STACK_SHIFT
    lea rsp, [rax + STACKS]
    lock inc dword [arrived]
    jmp boot

section .data
align 8
durations_ns:           ; in the order of `cycles`
param_gap_ns:           dq 20000    ; computing between two sections, exponential with this mean
param_hold_ns:          dq 2000     ; mean of how long the lock is held: the mixture of `variates_hold`
param_bin_ns:           dq 1000     ; how wide a bin of the histogram is
param_phases:           dq 10
param_sections:         dq 4        ; of each vCPU in a phase
param_parallel:         dq 0        ; 1: start all at once, instead of each when the one before is there
end_of_parameters:

section .bss
alignb 64
the_lock:               resb 64
counter:                resq 1
alignb 64
waiting:                resd 1
alignb 64
generation:             resd 1
alignb 64
arrived:                resd 1
alignb 64
vcpus:                  resq 1
started_at:             resq 1
cycles:
cycles_gap:             resq 1
cycles_hold:            resq 1
cycles_bin:             resq 1
DURATIONS               equ ($ - cycles) / 8
asked_at:               resq MOST_VCPUS
waited:                 resq MOST_VCPUS
variates_exponential:   resd VARIATES
variates_hold:          resd VARIATES
result_start_cycles:    resq 1          ; from the first INIT until the last vCPU has come
result_boot_cycles:     resq 1          ; from the first INIT until everything is done
result_counter:         resq 1          ; how often the lock was taken, as those say who held it
result_lock_operations: resq MOST_VCPUS
result_contended:       resq MOST_VCPUS ; acquisitions that did not succeed at once
result_wait_cycles:     resq MOST_VCPUS ; acquiring the lock
result_barrier_cycles:  resq MOST_VCPUS ; waiting for the others at the end of phases
histogram_wait:         resq BINS       ; of each acquisition
end_of_results:

; RUN: name=SERIAL vcpus=6 pcpus=3 parameter=phases=3
; RUN: name=PARALLEL vcpus=6 pcpus=3 parameter=phases=3 parameter=parallel=1 define=LOCK=pv-qspinlock
; RUN: name=ALONE vcpus=1 pcpus=1 parameter=phases=2
; OUTPUT: {{^ok$}}
; One after the other: INIT, then a start-up IPI that names the page of the trampoline.
; TRACE-SERIAL: kvm_apic_ipi: dst 1 vec 0 (INIT|physical|
; TRACE-SERIAL: kvm_apic_ipi: dst 1 vec 8 (SIPI|physical|
; TRACE-SERIAL: kvm_apic_ipi: dst 5 vec 8 (SIPI|physical|
