; vmxlab: vcpus=2 pcpus=2
;
; Peterson's lock, written for a memory that keeps the order of everything: without a fence the
; look at the other's flag overtakes our own stores (x86-TSO). Corrected: the turn is given away
; by XCHG.
;
; EXPLORE: exclusion --store-buffers --exclusive enter..leave
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

start:
    lea rbx, [flags]
    mov eax, edi
    xor eax, 1                  ; the other
    mov dword [rbx + rdi * 8], 1
    mov ecx, eax
%ifdef FIXED
    xchg [turn], ecx
%else
    mov [turn], ecx
%endif
.look:
    cmp dword [rbx + rax * 8], 0
    je enter
    cmp [turn], eax
    jne enter
    pause
    jmp .look
enter:
    nop
leave:
    mov dword [rbx + rdi * 8], 0
done:
    cli
    hlt
    jmp done

align 64
flags:      dq 0, 0
align 64
turn:       dd 0
