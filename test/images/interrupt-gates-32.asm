; 32-bit interrupt and trap gates: IF, TF, NT in the handler, DPL, presence, targets, the table's limit, and
; the error codes with IDT and EXT. SDM 3, "IDT Descriptors", "Error Code", "Interrupt Tasks".

%include "image.inc"
%include "protected.inc"

%define ABSENT     FREE
%define CONFORMING FREE + 8
%define FOR_USER   FREE + 16

%macro software 2
    gate_at 0x35, %1, leave_with_flags, %2
%endmacro

main:
    protected_setup
    segment_at ABSENT, 0, 0xfffff, 0x1b, 0xc
    segment_at CONFORMING, 0, 0xfffff, 0x9f, 0xc
    segment_at FOR_USER, 0, 0xfffff, 0xfb, 0xc
    software CODE32, 0x8e
    attempt "interrupt gate"
    push dword 0x00004ed7
    popfd
    int 0x35
    outcome
    show "flags in the handler", [flags_inside]
    show "flags saved", [flags_saved]
    software CODE32, 0x8f
    attempt "trap gate"
    push dword 0x00004ed7
    popfd
    int 0x35
    outcome
    show "flags in the handler", [flags_inside]
    observe_user "user: gate of level 0", int 0x35
    software CODE32, 0xee
    observe_user "user: gate of level 3", int 0x35
    software CODE32, 0xae
    observe_user "user: gate of level 1", int 0x35
    software CODE32, 0x6e
    observe_where "gate not present", int 0x35
    observe_user "user: gate not present", int 0x35
    software CODE32, 0x0e
    observe_user "user: gate of level 0, not present", int 0x35
    software ABSENT, 0x8e
    observe_where "target not present", int 0x35
    software DATA, 0x8e
    observe_where "target is data", int 0x35
    software 0, 0x8e
    observe_where "target null", int 0x35
    software 0x200, 0x8e
    observe_where "target beyond the limit", int 0x35
    software FOR_USER, 0x8e
    observe_where "target of level 3", int 0x35
    software FOR_USER + 3, 0xee
    observe_user "user: target of level 3", int 0x35
    software CONFORMING, 0xee
    observe_user "user: conforming target", int 0x35
    software CODE32 + 3, 0xee
    observe_user "user: RPL of the gate's selector", int 0x35
    software CODE32, 0x8c
    observe_where "a call gate", int 0x35
    software CODE32, 0x80
    observe_where "type 0", int 0x35
    software CODE32, 0x9e
    observe_where "a code segment", int 0x35
    software CODE32, 0x89
    observe_where "a TSS", int 0x35
    observe_where "beyond the limit of the table", int 0x40
    observe_where "the last vector", int 0xff
    observe_user "user: beyond the limit of the table", int 0xff
    ; INT3, INTO and INT1 through bad gates.
    and byte [idt + 8 * 3 + 5], 0x7f
    observe_where "int3, not present", int3
    observe_where "int 3 of two bytes, not present", db 0xcd, 3
    observe_user "user: int3, level 0 and not present", int3
    or byte [idt + 8 * 3 + 5], 0x80
    observe_user "user: int3, level 0", int3
    and byte [idt + 8 * 4 + 5], 0x7f
    attempt "into, not present"
    mov al, 0x7f
    inc al
    into
    outcome_where
    or byte [idt + 8 * 4 + 5], 0x80
    ; A fault whose gate is bad: EXT is set.
    and byte [idt + 8 * 6 + 5], 0x7f
    observe_where "ud2, gate not present", ud2
    or byte [idt + 8 * 6 + 5], 0x80
    mov word [idt + 8 * 6 + 2], 0
    observe_where "ud2, target null", ud2
    mov word [idt + 8 * 6 + 2], ABSENT
    observe_where "ud2, target not present", ud2
    mov word [idt + 8 * 6 + 2], FOR_USER
    observe_where "ud2, target of level 3", ud2
    mov word [idt + 8 * 6 + 2], CODE32
    finish

leave_with_flags:
    pushfd
    pop dword [flags_inside]
    mov eax, [esp + 8]
    mov [flags_saved], eax
    int LEAVE_VECTOR

flags_inside: dd 0
flags_saved: dd 0
