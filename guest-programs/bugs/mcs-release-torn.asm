; vmxlab: vcpus=2 pcpus=2
;
; The holder of an MCS lock finds nobody behind it and clears the tail by a plain store. Whoever
; has got in line in between is forgotten, and waits for ever. Corrected: LOCK CMPXCHG.
;
; EXPLORE: livelock
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

; Each vCPU has a node of 64 bytes: the next in line, and whether it still has to wait.
NEXT            equ 0
WAITS           equ 8

start:
    lea rbx, [nodes]
    mov eax, edi
    shl eax, 6
    add rbx, rax                ; our node
    mov dword [rbx + WAITS], 1
    mov rax, rbx
    xchg [tail], rax
    test rax, rax
    jz ours
    mov [rax + NEXT], rbx       ; behind whoever was last
.wait:
    cmp dword [rbx + WAITS], 0
    je ours
    pause
    jmp .wait
ours:
    mov rcx, [rbx + NEXT]
    test rcx, rcx
    jnz pass_on
%ifdef FIXED
    mov rax, rbx
    xor edx, edx
    lock cmpxchg [tail], rdx
    je done
.linking:                       ; somebody is in line, and about to say so
    mov rcx, [rbx + NEXT]
    test rcx, rcx
    jnz pass_on
    pause
    jmp .linking
%else
    mov qword [tail], 0
    jmp done
%endif
pass_on:
    mov dword [rcx + WAITS], 0
done:
    cli
    hlt
    jmp done

align 64
tail:       dq 0
align 64
nodes:      times 128 db 0
