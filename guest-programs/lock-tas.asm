; vmxlab: vcpus=4 pcpus=2 hogs=2
;
; A test-and-set spin lock: one byte, 0 free, 1 taken. Nobody queues, so nobody waits for a waiter
; that is not running. What Linux guests use on a hypervisor that offers nothing better.
;
; Waiters spin with PAUSE. When a loop has lasted longer than ple_window (4096 cycles), the processor
; leaves the guest: exit PAUSE_INSTRUCTION. KVM then looks for a vCPU that was preempted, perhaps the
; one that holds the lock, and yields to it.

bits 64
org 0x100000
default rel

%macro acquire 0
%%try:
    mov al, 1
    xchg [lock_byte], al        ; XCHG with memory is always locked
    test al, al
    jz %%taken
%%spin:
    pause
    cmp byte [lock_byte], 0     ; only read while it is taken: the cache line stays shared
    jne %%spin
    jmp %%try
%%taken:
%endmacro

%macro release 0
    mov byte [lock_byte], 0     ; a plain store releases: x86 does not reorder stores
%endmacro

%include "lib/counter.inc"

lock_byte:  db 0

; The counter is right with every number of processors: nobody was in the critical section twice.
; RUN: name=FOUR seed=1..2
; RUN: name=TWO vcpus=2 pcpus=1 hogs=0 define=ITERATIONS=2000
; RUN: name=EIGHT vcpus=8 pcpus=2 hogs=1 define=ITERATIONS=1000
; OUTPUT-FOUR: {{^40000$}}
; OUTPUT-TWO: {{^4000$}}
; OUTPUT-EIGHT: {{^8000$}}
; OUTPUT-NOT: {{.}}

; Somebody always runs, so nobody halts before the end; waiting shows in the window.
; PROPERTY: never kvm_exit(reason=VMCALL)
; TRACE-FOUR: kvm_ple_window_update: vcpu {{[0-9]+}} old 4096 new 8192 (growed)
; TRACE: reason HLT
