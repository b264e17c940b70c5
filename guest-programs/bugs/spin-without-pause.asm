; vmxlab: vcpus=2 pcpus=1
;
; A spin loop without PAUSE. The processor sees no PAUSE loop, KVM hears of no waiting, and the
; waiter uses up its slice while the holder waits for the pCPU.
;
; RUN: name=BUG seed=1..2
; RUN: name=FIXED define=FIXED seed=1..2
; XFAIL-BUG: nobody leaves by PAUSE
; CHECK: reason PAUSE_INSTRUCTION

bits 64
org 0x100000
default rel

start:
    test edi, edi
    jnz waiter
    mov ecx, 300000
.hold:
    mfence
    dec ecx
    jnz .hold
    mov dword [released], 1
    cli
    hlt

waiter:
%ifdef FIXED
    pause
%endif
    cmp dword [released], 0
    je waiter
    cli
    hlt

align 4
released:   dd 0
