; vmxlab: vcpus=2 pcpus=2
;
; INC of memory is one instruction and two accesses: while the sum is on its way to memory another
; vCPU reads the old value, and one of the two increments is lost. Corrected: LOCK.
;
; EXPLORE: ending --store-buffers
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

start:
%ifdef FIXED
    lock inc dword [counter]
%else
    inc dword [counter]
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
counter:    dd 0
align 64
finished:   dd 0
