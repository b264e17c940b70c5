; vmxlab: vcpus=2 pcpus=2
;
; A try-lock that is released on every way out, also by who did not get it: the holder's lock is
; free while it is inside, and the next try enters beside it. Corrected: release what was taken.
;
; EXPLORE: exclusion --exclusive enter..leave
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

start:
    mov ebp, 2                  ; tries
again:
    mov eax, 1
    xchg [taken], eax
    test eax, eax
    jnz busy
enter:
    nop
leave:
%ifdef FIXED
    mov dword [taken], 0
busy:
%else
busy:
    mov dword [taken], 0
%endif
    dec ebp
    jnz again
done:
    cli
    hlt
    jmp done

align 64
taken:      dd 0
