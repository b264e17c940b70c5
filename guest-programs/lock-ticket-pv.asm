; vmxlab: vcpus=4 pcpus=2 hogs=2
;
; A paravirtual ticket lock, as Linux guests on KVM used it from 2013 to 2015.
;
; A waiter that has spun long enough tells the others so and halts (exit HLT): its pCPU is free for
; somebody who can use it. Whoever releases the lock sees that someone is halted, finds the one
; whose turn it is, and kicks it with a hypercall (exit VMCALL). A kick that comes before the HLT
; is not lost: the host remembers it, and the HLT ends at once.

bits 64
org 0x100000
default rel

%ifndef SPIN_THRESHOLD
%define SPIN_THRESHOLD 256      ; looks at the head before a waiter halts; Linux takes 1 << 15
%endif
KICK_CPU        equ 5           ; hypercall: RBX = flags (0), RCX = APIC id of the vCPU to wake
SLOWPATH        equ 1           ; bit 0 of the head: somebody has halted, or is about to
TICKET          equ 2           ; so tickets count by two

%macro acquire 0
    call take_lock
%endmacro

%macro release 0
    mov eax, TICKET
    lock xadd [head], eax
    test al, SLOWPATH
    jz %%done
    call kick_next              ; EAX = the old head, with the flag
%%done:
%endmacro

%include "lib/counter.inc"

take_lock:
    mov eax, TICKET
    lock xadd [tail], eax       ; EAX = our ticket
.spin:
    mov ecx, SPIN_THRESHOLD
.look:
    mov edx, [head]
    and edx, ~SLOWPATH
    cmp edx, eax
    je .ours
    pause
    dec ecx
    jnz .look

    ; Spun long enough. Publish what we wait for, set the flag, then look once more. The first two
    ; are locked: either we see the head that the holder has advanced, or it sees the flag, and
    ; with it our wish. Without that a kick could be lost for ever.
    lea rcx, [wanted]
    mov ebx, eax
    or ebx, 1                   ; tickets are even; 0 means that nobody waits here
    xchg [rcx + r12 * 4], ebx
    lock or dword [head], SLOWPATH
    mov edx, [head]
    and edx, ~SLOWPATH
    cmp edx, eax
    je .awake
    hlt                         ; interrupts are off: only a kick ends this
.awake:
    mov dword [rcx + r12 * 4], 0
    jmp .spin                   ; it may have been a kick for something else: look again
.ours:
    ret

; EAX = the head before it was advanced. Kick the vCPU that waits for the new one, if it is halted.
kick_next:
    add eax, TICKET             ; bit 0 is set in it, as it is in what waiters publish
    lea rdx, [wanted]
    xor ecx, ecx
.find:
    cmp [rdx + rcx * 4], eax
    je .kick
    inc ecx
    cmp ecx, r13d
    jb .find
    ret                         ; it is awake, and will see the head by itself
.kick:
    mov eax, KICK_CPU
    xor ebx, ebx
    vmcall
    ret

align 64
head:       dd 0
align 64
tail:       dd 0
align 64
wanted:     times 64 dd 0       ; for each vCPU: the ticket that it is halted for, plus 1

; The counter is right with every number of processors: nobody was in the critical section twice.
; RUN: name=FOUR seed=1..2
; RUN: name=TWO vcpus=2 pcpus=1 hogs=0 define=ITERATIONS=2000
; RUN: name=EIGHT vcpus=8 pcpus=2 hogs=1 define=ITERATIONS=1000
; OUTPUT-FOUR: {{^40000$}}
; OUTPUT-TWO: {{^4000$}}
; OUTPUT-EIGHT: {{^8000$}}
; OUTPUT-NOT: {{.}}

; A kick wakes its vCPU at once, or that one is only about to halt.
; PROPERTY: every kvm_hypercall(nr=5, a1=$v) is followed by sched_wakeup(comm=vcpu$v) or kvm_exit(reason=HLT, vcpu=$v) within 50ms
; PROPERTY-FOUR: at least 1 kvm_hypercall(nr=5)
; CHECK-FOUR: reason VMCALL
; STATE-FOUR: exits VMCALL [[#]]
