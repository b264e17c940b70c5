; Debug exceptions of real and virtual-8086 mode: single steps and breakpoints at linear addresses. SDM 3,
; "Single-Step Exception Condition", "Instruction-Breakpoint Exception Condition".

%include "image.inc"
%include "protected.inc"
%include "real.inc"

%macro watch_16 2
    mov eax, %1
    mov dr0, eax
    mov eax, %2
    mov dr7, eax
%endmacro

main:
    protected_setup
    ; In virtual-8086 mode the trap goes to the protected-mode handler.
    call copy_image
    attempt "virtual-8086 mode: TF by popf with IOPL 3"
    push dword 0
    push dword 0
    push dword COPY_SEGMENT
    push dword COPY_SEGMENT
    push dword 0x8000
    push dword 0x0ff0
    push dword EFLAGS_VM | 0x3002
    push dword COPY_SEGMENT
    push dword low(virtual_there)
    iretd
bits 16
virtual_there:
    push word 0x3102
    popf
    nop
    nop
bits 32
    outcome
    mov eax, [caught_eip]
    sub eax, low(virtual_there)
    show "at", eax
    mov eax, [caught_eflags]
    and eax, 0x23100
    show "flags saved", eax
    to_real
    attempt "TF: the trap"
    push word 0x102
    popf
    nop
    nop
    outcome_where
    show16 "saved flags and TF", [cs:low(real_flags)]
    mov ax, [cs:low(real_handler_flags)]
    and ax, 0x100
    show16 "TF in the handler", ax
    attempt "TF over int"
    real_hook 0x81, return_from_real
    push word 0x102
    popf
    int 0x81
    nop
    outcome_where
    attempt "TF over mov ss"
    mov ax, ss
    push word 0x102
    popf
    mov ss, ax
    nop
    outcome_where
    attempt "TF over rep stosb"
    mov di, low(scratch_16)
    mov cx, 3
    push word 0x102
    popf
    rep stosb
    outcome_where
    show16 "cx", cx
    attempt "instruction breakpoint"
    watch_16 COPY + low(break_there), 0x401
    nop
break_there:
    nop
    outcome_where
    mov eax, 0x400
    mov dr7, eax
    attempt "data breakpoint by another segment"
    watch_16 COPY + low(scratch_16), 0x10401
    mov ax, COPY_SEGMENT - 1
    mov es, ax
    mov byte [es:low(scratch_16) + 16], 1
    nop
    outcome_where
    mov eax, 0x400
    mov dr7, eax
    mov ax, ds
    mov es, ax
    to_protected
    lidt [idt_pointer]
    mov eax, 0xffff0ff0
    mov dr6, eax
    call copy_image
    attempt "virtual-8086 mode: instruction breakpoint"
    mov eax, COPY + low(virtual_break)
    mov dr0, eax
    mov eax, 0x401
    mov dr7, eax
    push dword 0
    push dword 0
    push dword COPY_SEGMENT
    push dword COPY_SEGMENT
    push dword 0x8000
    push dword 0x0ff0
    push dword EFLAGS_VM | 0x3002
    push dword COPY_SEGMENT
    push dword low(virtual_again)
    iretd
bits 16
virtual_again:
    nop
virtual_break:
    nop
    ud2
bits 32
    outcome
    mov eax, 0x400
    mov dr7, eax
    finish

bits 16
return_from_real:
    iret
bits 32

scratch_16: times 8 db 0
