; vmxlab: vcpus=2 pcpus=2
;
; The five exits that matter most for locks, yields and timers, one after the other, and no others:
;
;   MSR_WRITE          WRMSR to the local APIC and to IA32_TSC_DEADLINE
;   PREEMPTION_TIMER   the deadline is reached while the vCPU runs: KVM had put it into the
;                      VMX-preemption timer, which counts in guest mode only
;   PAUSE_INSTRUCTION  a PAUSE loop lasts longer than ple_window
;   VMCALL             vCPU 0 kicks vCPU 1 with a hypercall
;   HLT                vCPU 1 waits for that kick; in the end both halt
;
; See them with: vmxlab run guest-programs/five-exits.asm --trace trace.txt

bits 64
org 0x100000
default rel

%include "lib/interrupts.inc"
%include "lib/x2apic.inc"

TIMER_VECTOR    equ 0x40
KICK_CPU        equ 5

start:
    test edi, edi
    jnz second

    set_gate TIMER_VECTOR, timer
    lidt [idtr]
    mov ecx, IA32_APIC_BASE     ; WRMSR only: reading it would be an exit of another kind
    mov eax, 0xfee00000 | 0x100 | APIC_ENABLE
    xor edx, edx
    wrmsr                       ; CHECK: vcpu 0 reason MSR_WRITE
    write_msr X2APIC_SPURIOUS, SPURIOUS_ENABLE  ; CHECK-COUNT-2: vcpu 0 reason MSR_WRITE
    write_msr X2APIC_LVT_TIMER, TIMER_VECTOR | TSC_DEADLINE_MODE

    rdtsc                       ; no exit: KVM lets guests read the TSC
    shl rdx, 32
    or rax, rdx
    add rax, 20000              ; 10 us from now, at 2 GHz
    mov rdx, rax
    shr rdx, 32
    mov ecx, IA32_TSC_DEADLINE
    wrmsr                       ; CHECK: vcpu 0 reason MSR_WRITE
    sti
wait_for_timer:
    cmp byte [fired], 0
    je wait_for_timer           ; without PAUSE, so that only the timer ends it
                                ; CHECK: vcpu 0 reason PREEMPTION_TIMER
    cli

    mov ecx, 500
spin:
    pause                       ; 12 cycles a round: the window of 4096 closes on the way
    dec ecx
    jnz spin                    ; CHECK: vcpu 0 reason PAUSE_INSTRUCTION rip 0x[[#%x,spin]]

    mov eax, KICK_CPU
    xor ebx, ebx
    mov ecx, 1                  ; APIC id of vCPU 1
    vmcall                      ; CHECK: vcpu 0 reason VMCALL
    hlt                         ; CHECK-DAG: vcpu 0 reason HLT

second:
    hlt                         ; until the kick
    mov byte [kicked], 1
    hlt                         ; CHECK-DAG: vcpu 1 reason HLT

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

fired:      db 0
kicked:     db 0

; Twice more vCPU 0 writes an MSR: the end of the timer's interrupt. Nothing else leaves the guest.
; CHECK-NOT: kvm_exit
; PROPERTY: every kvm_hypercall(nr=5, a1=$v) is followed by sched_wakeup(comm=vcpu$v) within 1us
; PROPERTY: never kvm_exit(reason=EXTERNAL_INTERRUPT)
