; vmxlab: vcpus=1 pcpus=1
;
; A timer tick every millisecond, in TSC-deadline mode, and how late each one is.
;
; The guest waits with interrupts on and HLT. While it sleeps KVM runs the deadline on a host timer;
; while it runs, on the VMX-preemption timer. Compare: vmxlab run guest-programs/timer-deadline.asm
; with and without -D SPIN, which waits by spinning instead.

bits 64
org 0x100000
default rel

%include "lib/interrupts.inc"
%include "lib/x2apic.inc"

%ifndef TICKS
%define TICKS 10
%endif

TIMER_VECTOR    equ 0x40
KVM_TIMING_LEAF equ 0x40000010  ; EAX = TSC rate in kHz

start:
    set_gate TIMER_VECTOR, timer
    lidt [idtr]
    enable_x2apic
    write_msr X2APIC_LVT_TIMER, TIMER_VECTOR | TSC_DEADLINE_MODE

    mov eax, KVM_TIMING_LEAF
    cpuid
    mov r14d, eax               ; cycles in a millisecond

    call read_tsc
    mov r15, rax                ; the deadline
    mov ebp, 1
tick:
    add r15, r14
    mov byte [fired], 0
    mov rax, r15
    mov rdx, r15
    shr rdx, 32
    mov ecx, IA32_TSC_DEADLINE
    wrmsr
.wait:
%ifdef SPIN
    sti
    cmp byte [fired], 0
    je .wait
%else
    cli
    cmp byte [fired], 0
    jne .late
    sti                         ; takes effect after the next instruction, so that no interrupt
    hlt                         ; can slip in between
    jmp .wait
.late:
%endif
    lea rsi, [tick_text]
    call print_text
    mov eax, ebp
    call print_decimal
    lea rsi, [late_text]
    call print_text
    mov rax, [seen]
    sub rax, r15
    call print_decimal
    lea rsi, [cycles_text]
    call print_text
    inc ebp
    cmp ebp, TICKS
    jbe tick
    cli
    hlt

; RAX = time stamp
read_tsc:
    rdtsc
    shl rdx, 32
    or rax, rdx
    ret

timer:
    push rax
    push rcx
    push rdx
    call read_tsc
    mov [seen], rax
    mov byte [fired], 1
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

%include "lib/console.inc"

tick_text:      db "tick ", 0
late_text:      db ": ", 0
cycles_text:    db " cycles late", 10, 0
align 8
seen:           dq 0
fired:          db 0

; RUN: name=HLT
; RUN: name=SPIN define=SPIN
; OUTPUT-COUNT-10: {{^tick [0-9]+: [0-9]+ cycles late$}}
; OUTPUT-NOT: tick
; Asleep, the timer is one of the host; in the guest it is the VMX-preemption timer.
; PROPERTY: every kvm_inj_virq is followed by kvm_eoi within 20us
; CHECK-SPIN: reason PREEMPTION_TIMER
; CHECK-SPIN-NOT: reason HLT rip 0x[[#%x,tick]]
; TRACE-HLT: kvm_vcpu_wakeup: wait time
; TRACE-HLT: kvm_inj_virq: IRQ 0x40
