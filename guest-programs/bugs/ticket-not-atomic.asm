; vmxlab: vcpus=2 pcpus=2
;
; A ticket is drawn in two steps, load and increment, so that two vCPUs can draw the same one, and
; are served at the same time. Corrected: LOCK XADD.
;
; EXPLORE: exclusion --exclusive enter..leave
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

start:
%ifdef FIXED
    mov eax, 1
    lock xadd [tail], eax
%else
    mov eax, [tail]
    lock inc dword [tail]
%endif
.look:
    cmp [head], eax
    je enter
    pause
    jmp .look
enter:
    nop
leave:
    inc dword [head]            ; nobody else writes it
done:
    cli
    hlt
    jmp done

align 64
head:       dd 0
align 64
tail:       dd 0
