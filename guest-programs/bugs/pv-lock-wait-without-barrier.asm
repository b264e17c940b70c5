; vmxlab: vcpus=2 pcpus=2
;
; The slow path of a paravirtual ticket lock: the waiter says that it will sleep by a plain store,
; which is still in its store buffer when it looks at the head once more, and nobody kicks it.
; Corrected: XCHG.
;
; EXPLORE: livelock --store-buffers
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

KICK_CPU        equ 5           ; hypercall: RBX = flags (0), RCX = APIC id of the vCPU to wake

; A ticket lock that vCPU 0 holds; vCPU 1 has the next ticket, and halts if it is not its turn.
start:
    test edi, edi
    jnz waiter

release:
    lock inc dword [head]
    cmp dword [wanted], 0
    je wait_for_all             ; awake: it will see for itself
    mov eax, KICK_CPU
    xor ebx, ebx
    mov ecx, 1
    vmcall
wait_for_all:
    pause
    cmp dword [finished], 0
    je wait_for_all
    mov al, 0
    out 0xf4, al

waiter:
    cmp dword [head], 1
    je .ours
    mov eax, 1
%ifdef FIXED
    xchg [wanted], eax
%else
    mov [wanted], eax
%endif
    cmp dword [head], 1         ; once more, now that others know
    je .ours
    hlt                         ; interrupts are off: only a kick ends this
    jmp waiter
.ours:
    mov dword [finished], 1
done:
    cli
    hlt
    jmp done

align 64
head:       dd 0                ; the ticket whose turn it is
align 64
wanted:     dd 0                ; vCPU 1 sleeps, or is about to
align 64
finished:   dd 0
