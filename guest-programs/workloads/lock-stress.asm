; vmxlab: vcpus=4 pcpus=2
;
; A stress test of the locks in guest-programs/locks: every vCPU takes one lock `rounds` times, keeps it
; for `hold` rounds of a loop, in which it reads, changes and writes a counter that nothing else
; protects, and computes for `gap` rounds between. In the end the counter must be the sum: if so vCPU 0
; prints "ok", else the run ends with exit code 3.
;
;   vmxlab run guest-programs/workloads/lock-stress.asm -D LOCK=pv-qspinlock --vcpus 8 --hogs 1

bits 64
org 0x100000
default rel

%include "../lib/verdict.inc"
%include "../locks/lock.inc"

start:
    mov r12, rdi
    mov r13, rsi
    lock_init
    mov rbp, [param_rounds]
again:
    mov rdi, the_lock
    lock_acquire
inside:
    mov r14, [counter]
    mov rcx, [param_hold]
    test rcx, rcx
    jz .held
.hold:
    dec rcx
    jnz .hold
.held:
    inc r14
    mov [counter], r14
outside:
    lock_release
    mov rcx, [param_gap]
    test rcx, rcx
    jz .next
.gap:
    dec rcx
    jnz .gap
.next:
    dec rbp
    jnz again

    lock inc dword [finished]
    test r12d, r12d
    jnz done
wait_for_all:
    pause
    cmp [finished], r13d
    jne wait_for_all
    mov rax, [param_rounds]
    imul rax, r13
    judge_counter rax
done:
    mov rax, [lock_contended + r12 * 8]
    mov [result_contended + r12 * 8], rax
    cli
.stop:
    hlt                         ; a kick that came too late may end this once
    jmp .stop

section .data
align 8
param_rounds:       dq 1000
param_hold:         dq 20
param_gap:          dq 50

section .bss
alignb 64
the_lock:           resb 64
counter:            resq 1
finished:           resd 1
alignb 8
result_counter:     resq 1
result_contended:   resq MOST_VCPUS
end_of_results:

; RUN: name=PLAIN define=LOCK=qspinlock parameter=rounds=200
; RUN: name=PV define=LOCK=pv-qspinlock define=LOCK_SPINS=10 parameter=rounds=200
; OUTPUT: {{^ok$}}
; CHECK-PV: reason VMCALL
