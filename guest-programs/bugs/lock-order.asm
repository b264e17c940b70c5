; vmxlab: vcpus=2 pcpus=2
;
; vCPU 0 takes lock A and then B, vCPU 1 takes B and then A. With one lock each they wait for each
; other for ever. Corrected: everybody takes A first.
;
; EXPLORE: livelock
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

start:
    lea rbx, [lock_a]
    lea rcx, [lock_b]
%ifndef FIXED
    test edi, edi
    jz .in_order
    xchg rbx, rcx
.in_order:
%endif
.first:
    mov al, 1
    xchg [rbx], al
    test al, al
    jz .second
    pause
    jmp .first
.second:
    mov al, 1
    xchg [rcx], al
    test al, al
    jz .both
    pause
    jmp .second
.both:
    mov byte [rcx], 0
    mov byte [rbx], 0
done:
    cli
    hlt
    jmp done

align 64
lock_a:     db 0
align 64
lock_b:     db 0
