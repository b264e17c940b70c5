; VM exits: OUT to a port behind which there is no device, 3 instructions a round. User space
; deals with it.

bits 64
org 0x100000

%ifdef MULTIBOOT
%include "multiboot.inc"
%endif

start:
    mov ebp, ROUNDS
round:
    out 0x80, al
    dec ebp
    jnz round
    out 0xf4, al
