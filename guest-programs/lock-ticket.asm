; vmxlab: vcpus=4 pcpus=2 hogs=2
;
; A ticket lock: take a number, wait until it is shown. Fair, and Linux's spin lock from 2008 to 2015.
;
; On a virtual machine fairness hurts: the lock is handed to the next in line even if that vCPU is
; not running, and everybody behind it spins until the host happens to schedule it. Compare the exit
; table and the virtual time with those of lock-tas.asm and lock-ticket-pv.asm.

bits 64
org 0x100000
default rel

%macro acquire 0
    mov eax, 1
    lock xadd [tail], eax       ; EAX = our ticket
%%look:
    cmp [head], eax
    je %%ours
    pause
    jmp %%look
%%ours:
%endmacro

%macro release 0
    inc dword [head]            ; only the holder writes the head, so no LOCK is needed
%endmacro

%include "lib/counter.inc"

align 64
head:       dd 0
align 64
tail:       dd 0

; The counter is right with every number of processors: nobody was in the critical section twice.
; RUN: name=FOUR seed=1..2
; RUN: name=TWO vcpus=2 pcpus=1 hogs=0 define=ITERATIONS=2000
; RUN: name=EIGHT vcpus=8 pcpus=2 hogs=1 define=ITERATIONS=1000
; OUTPUT-FOUR: {{^40000$}}
; OUTPUT-TWO: {{^4000$}}
; OUTPUT-EIGHT: {{^8000$}}
; OUTPUT-NOT: {{.}}

; With more vCPUs than pCPUs the next in line is often not running: its waiters leave by PAUSE.
; CHECK-FOUR: reason PAUSE_INSTRUCTION
; PROPERTY: never kvm_exit(reason=VMCALL)
