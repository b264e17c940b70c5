; vmxlab: vcpus=2 pcpus=2
;
; The lock is right, its use is not: the new value is stored when the lock has been released
; already, and overwrites what the next holder has stored. Corrected: store, then release.
;
; EXPLORE: ending
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

start:
    mov eax, 1
    xchg [taken], eax
    test eax, eax
    jz .ours
    pause
    jmp start
.ours:
    mov ebx, [counter]
    inc ebx
%ifdef FIXED
    mov [counter], ebx
    mov dword [taken], 0
%else
    mov dword [taken], 0
    mov [counter], ebx
%endif
    lock inc dword [finished]
    test edi, edi
    jnz done
wait_for_all:
    pause
    cmp [finished], esi
    jne wait_for_all
    cmp [counter], esi
    setne al
    out 0xf4, al                ; 0 if the counter is right
done:
    cli
    hlt
    jmp done

align 64
taken:      dd 0
align 64
counter:    dd 0
align 64
finished:   dd 0
