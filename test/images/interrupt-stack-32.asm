; The stack switch of interrupts in protected mode: what is pushed, ESP, SS0 and its errors with #TS. SDM 3,
; "Stack Usage on Transfers to Interrupt and Exception-Handling Routines", "Invalid TSS Exception (#TS)".

%include "image.inc"
%include "protected.inc"

; What the handler got, relative to the top of its stack, and the frame.
%macro frame 0
    mov eax, [caught_frame]
    sub eax, KERNEL_STACK - 0x1000
    show "frame below the top by", eax
    show "cs", [caught_cs]
    show "esp", [caught_esp]
    show "ss", [caught_ss]
    show "handler's ss", [caught_handler_ss]
%endmacro

main:
    protected_setup
    observe_user "user: ud2", ud2
    frame
    observe_user "user: hlt, with an error code", hlt
    frame
    attempt "user: int 0x31"
    or byte [idt + 8 * 0x31 + 5], 0x60
    user
    int 0x31
    outcome
    frame
    attempt "level 0: ud2"
    mov esp, SPARE_STACK
    ud2
    outcome
    mov eax, [caught_frame]
    sub eax, SPARE_STACK
    show "frame below by", eax
    attempt "level 0: general protection"
    mov esp, SPARE_STACK
    mov eax, 0x200
    mov fs, eax
    outcome
    mov eax, [caught_frame]
    sub eax, SPARE_STACK
    show "frame below by", eax
    ; EFLAGS of the user: RF is set in what a fault saves.
    observe_user "user: ud2", ud2
    mov eax, [caught_eflags]
    and eax, 0x00017fff
    show "flags saved by a fault", eax
    attempt "user: int 0x31"
    user
    int 0x31
    outcome
    mov eax, [caught_eflags]
    and eax, 0x00017fff
    show "flags saved by a trap", eax
    ; An odd stack is no error.
    mov dword [tss + 4], KERNEL_STACK - 0x1001
    observe_user "user: ud2, odd stack", ud2
    mov dword [tss + 4], KERNEL_STACK - 0x1000
    finish
