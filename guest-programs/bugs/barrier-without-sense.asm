; vmxlab: vcpus=2 pcpus=2
;
; A barrier that is used twice: the last to arrive clears the count, and the others wait for that.
; Who is fast arrives again before a slow one has looked, and both wait for ever. Corrected: wait
; for a sense.
;
; EXPLORE: livelock
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

start:
    mov ebp, 2                  ; rounds
round:
    mov ebx, [sense]            ; before we arrive
    mov eax, 1
    lock xadd [arrived], eax
    inc eax
    cmp eax, esi
    je .last
.wait:
    pause
%ifdef FIXED
    cmp [sense], ebx
    je .wait
%else
    cmp dword [arrived], 0
    jne .wait
%endif
    jmp .together
.last:
    mov dword [arrived], 0
    not dword [sense]
.together:
    dec ebp
    jnz round
done:
    cli
    hlt
    jmp done

align 64
arrived:    dd 0
align 64
sense:      dd 0
