; Double faults in 64-bit mode, with a stack of their own: pairs of exceptions, and a stack that is not
; there. SDM 3, "Double Fault Exception (#DF)".

%include "image.inc"
%include "long.inc"

%define ABSENT FREE

%macro spoil 1
    mov word [idt64 + 16 * (%1) + 2], ABSENT
%endmacro

%macro mend 1
    mov word [idt64 + 16 * (%1) + 2], CODE64
%endmacro

main:
    long_setup
    segment_at ABSENT, 0, 0xfffff, 0x1b, 0xa
    interrupt_stack 8, 1, SPARE_STACK
    spoil 0
    attempt "#DE, then #NP"
    sub ecx, ecx
    div ecx
    outcome_where
    mend 0
    spoil 13
    attempt "#GP, then #NP"
    mov eax, 0x200
    mov fs, eax
    outcome_where
    mend 13
    spoil 14
    observe_where "#PF, then #NP", mov eax, [0x70000000]
    mend 14
    spoil 6
    observe_where "#UD, then #NP", ud2
    mend 6
    spoil 12
    attempt "#SS, then #NP"
    mov eax, 0x200
    mov ss, eax
    outcome_where
    mend 12
    attempt "#UD, then #PF of the stack, then the same again"
    mov esp, 0x70001000
    ud2
    outcome_where
    show "rsp", [caught64_rsp]
    show "frame at", [caught64_frame]
    attempt "push to a stack that is not there"
    mov esp, 0x70001000
    push rax
    outcome_where
    show "rsp", [caught64_rsp]
    mov rbx, cr2
    show "cr2", rbx
    interrupt_stack 14, 2, OTHER_STACK
    attempt "#UD, then #PF with a stack of its own"
    mov esp, 0x70001000
    ud2
    outcome_where
    attempt "#GP, then #PF with a stack of its own"
    mov eax, 0x200
    mov esp, 0x70001000
    mov fs, eax
    outcome_where
    finish
