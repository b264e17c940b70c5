; vmxlab: vcpus=1 pcpus=1
;
; #GP pushes an error code, and IRETQ does not take it: what it takes for RIP is the code. A handler
; that was copied from that of an interrupt never comes back.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: IRETQ takes the error code for RIP, and all that follows goes wrong
; EXPECT: halted
; OUTPUT: {{^}}back{{$}}
; CHECK-NOT: reason TRIPLE_FAULT

bits 64
org 0x100000
default rel

%include "../lib/interrupts.inc"

GENERAL_PROTECTION equ 13

start:
    set_gate GENERAL_PROTECTION, protection
    lidt [idtr]
    mov eax, 0x50               ; beyond the GDT
    mov ds, ax                  ; two bytes: #GP with the selector as error code
    lea rsi, [text]
    call print_text
    cli
    hlt

protection:
%ifdef FIXED
    add qword [rsp + 8], 2      ; go on behind the instruction
    add rsp, 8                  ; the error code
%else
    add qword [rsp], 2
%endif
    iretq

%include "../lib/console.inc"

text:       db "back", 10, 0
