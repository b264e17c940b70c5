; Interrupts of 64-bit mode: the frame always has SS:RSP, the stack is aligned, SS becomes null on a change of
; the level; gates and their errors. SDM 3, "64-Bit Mode Stack Frame", "Stack Switching in IA-32e Mode".

%include "image.inc"
%include "long.inc"

%macro frame 0
    show "frame at", [caught64_frame]
    show "cs", [caught64_cs]
    show "rsp", [caught64_rsp]
    show "ss", [caught64_ss]
    mov rax, [caught64_handler_ss]
    movzx eax, ax
    show "handler's ss", rax
    mov rax, [caught64_rflags]
    and eax, 0x17fd5
    show "flags", rax
%endmacro

%macro software 4
    gate64_at 0x35, %1, leave_with_flags, %2, 0
    mov dword [idt64 + 16 * 0x35 + 8], %3
    mov dword [idt64 + 16 * 0x35 + 12], %4
%endmacro

main:
    long_setup
    or byte [idt64 + 16 * 0x31 + 5], 0x60
    attempt "level 0: ud2, aligned"
    mov rsp, SPARE_STACK
    cmp eax, eax
    ud2
    outcome
    frame
    attempt "level 0: ud2, not aligned"
    mov rsp, SPARE_STACK - 3
    cmp eax, eax
    ud2
    outcome
    frame
    attempt "level 0: int 0x31"
    mov rsp, SPARE_STACK - 8
    cmp eax, eax
    int 0x31
    outcome
    frame
    attempt "level 0: general protection"
    mov rsp, SPARE_STACK - 8
    mov eax, 0x200
    cmp eax, eax
    mov fs, eax
    outcome
    frame
    attempt "user: ud2"
    user
    cmp eax, eax
    ud2
    outcome
    frame
    attempt "user: int 0x31"
    user
    cmp eax, eax
    int 0x31
    outcome
    frame
    mov qword [tss64 + 4], KERNEL_STACK - 0x1005
    attempt "user: ud2, RSP0 not aligned"
    user
    cmp eax, eax
    ud2
    outcome
    frame
    mov qword [tss64 + 4], KERNEL_STACK - 0x1000
    software CODE64, 0x8e, 0, 0
    attempt "interrupt gate"
    push qword 0x00004ed7
    popfq
    int 0x35
    outcome
    show "flags in the handler", [flags_inside]
    software CODE64, 0x8f, 0, 0
    attempt "trap gate"
    push qword 0x00004ed7
    popfq
    int 0x35
    outcome
    show "flags in the handler", [flags_inside]
    observe_user "user: gate of level 0", int 0x35
    software CODE64, 0x0e, 0, 0
    observe_where "not present", int 0x35
    observe_user "user: not present, level 0", int 0x35
    software CODE32, 0x8e, 0, 0
    observe_where "32-bit target", int 0x35
    software DATA64, 0x8e, 0, 0
    observe_where "target is data", int 0x35
    software 0, 0x8e, 0, 0
    observe_where "target null", int 0x35
    software USER64, 0x8e, 0, 0
    observe_where "target of level 3", int 0x35
    software 0x200, 0x8e, 0, 0
    observe_where "target beyond the limit", int 0x35
    software CODE64, 0x86, 0, 0
    observe_where "16-bit gate", int 0x35
    software CODE64, 0x85, 0, 0
    observe_where "task gate", int 0x35
    software CODE64, 0x8c, 0, 0
    observe_where "call gate", int 0x35
    observe_where "beyond the limit", int 0x40
    observe_where "the last vector", int 0xff
    finish

bits 64
leave_with_flags:
    pushfq
    pop qword [flags_inside]
    int LEAVE_VECTOR

    align 8, db 0
flags_inside: dq 0
