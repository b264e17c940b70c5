; vmxlab: vcpus=4 pcpus=4 until=10s max-instructions=100G
;
; Pairs of vCPUs (0 and 1, 2 and 3, and so on) that throw a ball to and fro by inter-processor interrupts:
; the first of a pair sends, the second halts until the ball is here and sends it back, `rounds`
; times. What counts is how long a round trip takes, as a histogram. Between two of them the first
; computes for `gap_ns`, exponential with this mean, so that its partner sleeps as long. A vCPU
; without a partner does nothing.
;
;   vmxlab run guest-programs/workloads/ping-pong.asm --vcpus 8 --hogs 2 --parameter gap_ns=50000

bits 64
org 0x100000
default rel

%include "../lib/interrupts.inc"
%include "../lib/x2apic.inc"
%include "../lib/time.inc"

MOST_VCPUS      equ 64
BALL_VECTOR     equ 0x50
BINS            equ 128
VARIATES        equ 4096

; R12 = index of this vCPU and its APIC id, R13 = number of them, R14 = the partner, R15 = place in
; the table of variates, RBP = rounds left, RBX = when the round began
start:
    mov r12, rdi
    mov r13, rsi
    mov r14, rdi
    xor r14, 1
    mov r15d, edi
    shl r15d, 6
    test edi, edi
    jnz .not_first
    set_gate BALL_VECTOR, ball
    durations_to_cycles cycles, durations_ns, DURATIONS
    mov dword [prepared], 1
.not_first:
    pause
    cmp dword [prepared], 0
    je .not_first
    lidt [idtr]
    enable_x2apic
    lock inc dword [arrived]
.wait_for_all:
    pause
    cmp [arrived], r13d
    jb .wait_for_all

    cmp r14, r13
    jae done
    mov rbp, [param_rounds]
    test rbp, rbp
    jz done
    test r12d, 1
    jnz second

first:
    mov rcx, [cycles_gap]
    test rcx, rcx
    jz .throw
    mov eax, [variates_exponential + r15 * 4]
    imul rcx, rax
    shr rcx, 16
    inc r15d
    and r15d, VARIATES - 1
    compute_for
.throw:
    time_stamp
    mov rbx, rax
    call send
    call receive
    time_stamp
    sub rax, rbx
    add [result_round_trip_cycles + r12 * 8], rax
    cmp rax, [result_longest_cycles + r12 * 8]
    jbe .not_longest
    mov [result_longest_cycles + r12 * 8], rax
.not_longest:
    count_in histogram_round_trip, BINS, cycles_bin
    inc qword [result_round_trips + r12 * 8]
    dec rbp
    jnz first
    jmp done

second:
    call receive
    call send
    dec rbp
    jnz second
done:
    cli
.halt:
    hlt
    jmp .halt

; The ball goes to the partner: fixed mode, physical destination in the high half.
send:
    mov ecx, X2APIC_ICR
    mov eax, BALL_VECTOR
    mov edx, r14d
    wrmsr
    ret

; Wait until the ball is here, and take it. Changes RDI; interrupts are off afterwards.
receive:
    mov edi, r12d
    shl edi, 6
.look:
    cli
    cmp dword [balls + rdi], 0
    jne .here
    cmp qword [param_poll], 0
    jne .poll
    sti                         ; takes effect after the next instruction
    hlt
    jmp .look
.poll:
    sti
.spin:
    pause
    cmp dword [balls + rdi], 0
    je .spin
    jmp .look
.here:
    dec dword [balls + rdi]
    ret

ball:
    push rax
    push rcx
    push rdx
    mov eax, r12d
    shl eax, 6
    inc dword [balls + rax]     ; its own line: nobody else writes there
    inc qword [result_interrupts + r12 * 8]
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

section .data
align 8
durations_ns:           ; in the order of `cycles`
param_gap_ns:           dq 0
param_bin_ns:           dq 1000     ; how wide a bin of the histogram is
param_rounds:           dq 100
param_poll:             dq 0        ; 1: look for the ball again and again, instead of HLT
end_of_parameters:

section .bss
alignb 64
variates_exponential:   resd VARIATES
cycles:
cycles_gap:             resq 1
cycles_bin:             resq 1
DURATIONS               equ ($ - cycles) / 8
prepared:               resd 1
arrived:                resd 1
alignb 64
balls:                  resb 64 * MOST_VCPUS
result_round_trips:         resq MOST_VCPUS ; of the first of each pair
result_round_trip_cycles:   resq MOST_VCPUS ; all of them together
result_longest_cycles:      resq MOST_VCPUS
result_interrupts:          resq MOST_VCPUS ; taken by each vCPU
histogram_round_trip:       resq BINS
end_of_results:

; RUN: name=FREE vcpus=4 pcpus=4
; RUN: name=SHARED vcpus=5 pcpus=2 parameter=rounds=100 parameter=gap_ns=20000
; Each ball is sent once, taken, and ended before the next; two pairs, a hundred rounds.
; PROPERTY: every kvm_apic_ipi(destination=$d) is followed by kvm_apic_accept_irq(apicId=$d) within 1us
; PROPERTY: at least 400 kvm_apic_ipi(vector=80)
; PROPERTY: at most 400 kvm_apic_ipi(vector=80)
; PROPERTY: at least 400 kvm_eoi
; STATE: status halted
