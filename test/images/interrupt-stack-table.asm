; The interrupt stack table: a stack of its own whatever the level, aligned, and the errors of its entries.
; SDM 3, "Interrupt Stack Table".

%include "image.inc"
%include "long.inc"

%macro frame 0
    show "frame at", [caught64_frame]
    show "rsp", [caught64_rsp]
    show "ss", [caught64_ss]
    mov rax, [caught64_handler_ss]
    movzx eax, ax
    show "handler's ss", rax
%endmacro

main:
    long_setup
%assign number 1
%rep 7
    interrupt_stack 6, number, SPARE_STACK + 0x100 * number
    attempt "IST", '0' + number
    mov rsp, OTHER_STACK
    ud2
    outcome
    frame
%assign number number + 1
%endrep
    interrupt_stack 6, 1, SPARE_STACK + 7
    observe_user "user: IST1, not aligned", ud2
    frame
    interrupt_stack 13, 2, SPARE_STACK
    observe_user "user: IST2 with an error code", hlt
    frame
    ; Nested on the same entry: the frame of before is written over.
    attempt "an entry twice"
    hook64 6, nested
    mov rsp, OTHER_STACK
    ud2
    outcome
    show "first at", [kept]
    show "second at", [caught64_frame]
    hook64 6, 0
    ; An entry that is not canonical is a stack fault, which needs a good one.
    interrupt_stack 12, 3, OTHER_STACK
    mov dword [tss64 + 36 + 4], 0x00008000
    observe "IST1 not canonical", ud2
    frame
    mov dword [tss64 + 36 + 4], 0
    ; And one in a page that is not there.
    interrupt_stack 14, 4, OTHER_STACK
    mov dword [tss64 + 36], 0x70000000
    observe "IST1 not mapped", ud2
    frame
    finish

bits 64
nested:
    mov [kept], rbp
    add qword [kept], 16
    hook64 6, 0
    ud2

    align 8, db 0
kept: dq 0
