; vmxlab: vcpus=1 pcpus=1
;
; The time stamp of a guest that is moved to another machine may be behind what it was. A difference
; below zero, taken for one without sign, is some centuries. Corrected: it counts as none.
;
; RUN: name=BUG fault=clock-back,at=measured,by=1ms
; RUN: name=FIXED define=FIXED fault=clock-back,at=measured,by=1ms
; XFAIL-BUG: it gives up after centuries
; EXPECT: halted
; STATE: fault 0 count 1

bits 64
org 0x100000
default rel

%include "../lib/time.inc"

TOO_LONG        equ 100000000   ; cycles

start:
    time_stamp
    mov rbx, rax
    mov ecx, 1000
measured:
    nop                         ; a place of its own, passed once
.work:
    mfence
    dec ecx
    jnz .work
    time_stamp
    sub rax, rbx
%ifdef FIXED
    xor edx, edx
    cmp rax, rdx
    cmovl rax, rdx
%endif
    cmp rax, TOO_LONG
    mov al, 1
    ja .give_up
    cli
    hlt
.give_up:
    out 0xf4, al
