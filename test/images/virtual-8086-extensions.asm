; CR4.VME: the redirection bitmap for INT, and VIF and VIP in the place of IF in virtual-8086 mode; CR4.PVI at
; level 3. SDM 3, "Interrupt and Exception Handling in Virtual-8086 Mode", "Protected-Mode Virtual Interrupts".

%include "image.inc"
%include "protected.inc"
%include "real.inc"

%define OWN_TSS SCRATCH

%define IOPL_3 0x3000
%define VIF    0x80000
%define VIP    0x100000

%macro virtual 1
    call copy_image
    virtual_again %1
%endmacro

; The same without a fresh copy of image and vector table.
%macro virtual_again 1
    push dword COPY_SEGMENT
    push dword 0
    push dword COPY_SEGMENT
    push dword COPY_SEGMENT
    push dword 0x8000
    push dword 0x0ff0
    push dword EFLAGS_VM | 2 | (%1)
    push dword COPY_SEGMENT
    push dword low(%%there)
    iretd
bits 16
%%there:
%endmacro

%macro leave_virtual 0
    ud2
bits 32
%endmacro

%macro observe_virtual 3+
    attempt %1
    virtual %2
    %3
    leave_virtual
    outcome
    mov eax, [caught_eflags]
    and eax, 0x001a3200
    show "flags saved", eax
%endmacro

main:
    protected_setup
    ; A task state with a redirection bitmap of 32 bytes below the one of the ports: 31H and 32H are clear.
    mov esi, tss
    mov edi, OWN_TSS
    mov ecx, 26
    rep movsd
    mov edi, OWN_TSS + 104
    mov ecx, 8
    mov eax, -1
    rep stosd
    mov ecx, 65
    sub eax, eax
    rep stosd
    and byte [OWN_TSS + 104 + 6], 0xf9
    mov word [OWN_TSS + 102], 104 + 32
    segment_at TSS, OWN_TSS, 104 + 32 + 32, 0x89, 0
    mov eax, TSS
    ltr ax
    mov eax, 1
    mov cr4, eax
    or byte [idt + 8 * 0x33 + 5], 0x60
    call copy_image
    mov word [4 * 0x31], low(redirected)
    attempt "int 0x31, redirected"
    virtual_again EFLAGS_NT
    int 0x31
bits 32
    outcome
    mov eax, [caught_eip]
    sub eax, low(redirected)
    show "in the handler at", eax
    mov eax, [caught_eflags]
    and eax, 0x001a7200
    show "flags saved", eax
    attempt "int 0x31, redirected: the frame"
    virtual_again VIF
    mov word [fs:4 * 0x31], low(redirected_frame)
    int 0x31
bits 32
    outcome
    movzx eax, word [COPY + low(frame)]
    show "flags pushed", eax
    movzx eax, word [COPY + low(frame) + 2]
    show "cs pushed", eax
    movzx eax, word [COPY + low(frame) + 4]
    show "sp", eax
    observe_virtual "int 0x33, not redirected, IOPL 0", 0, int 0x33
    observe_virtual "int 0x33, not redirected, IOPL 3", IOPL_3, int 0x33
    observe_virtual "IOPL 0: sti", 0, sti
    observe_virtual "IOPL 0: cli", VIF, cli
    observe_virtual "IOPL 0: sti with VIP", VIP, sti
    observe_virtual "IOPL 0: cli with VIP", VIP, cli
    observe_virtual "IOPL 0: pushf", VIF, pushf
    observe_virtual "IOPL 0: pushf of 32 bits", VIF, db 0x66, 0x9c
    observe_virtual "IOPL 3: cli", IOPL_3 | VIF, cli
    attempt "IOPL 0: pushf shows VIF as IF, and IOPL 3"
    virtual VIF
    pushf
    pop bx
    leave_virtual
    outcome
    and ebx, 0x3200
    show "flags", ebx
    attempt "IOPL 0: popf of IF"
    virtual 0
    push word 0x0202
    popf
    leave_virtual
    outcome
    mov eax, [caught_eflags]
    and eax, 0x001a3200
    show "flags saved", eax
    attempt "IOPL 0: popf of TF"
    virtual 0
    push word 0x0102
    popf
    leave_virtual
    outcome
    attempt "IOPL 0: iret"
    virtual 0
    push word 0x0202
    push word COPY_SEGMENT
    push word low(.returned)
    iret
.returned:
    leave_virtual
    outcome
    mov eax, [caught_eflags]
    and eax, 0x001a3200
    show "flags saved", eax
    ; PVI: CLI and STI of level 3 in protected mode.
    mov eax, 2
    mov cr4, eax
    observe_user "user: PVI: sti", sti
    attempt "user: PVI: sti, then ud2"
    user
    sti
    ud2
    outcome
    mov eax, [caught_eflags]
    and eax, 0x001a3200
    show "flags saved", eax
    attempt "user: PVI: pushf shows IF as it is"
    user
    sti
    pushfd
    pop ebx
    kernel
    outcome
    and ebx, 0x00183200
    show "flags", ebx
    mov eax, 0
    mov cr4, eax
    observe_user "user: PVI=0: sti", sti
    finish

bits 16
redirected:
    ud2
redirected_frame:
    mov bp, sp
    mov ax, [bp + 4]
    mov [low(frame)], ax
    mov ax, [bp + 2]
    mov [low(frame) + 2], ax
    mov [low(frame) + 4], bp
    ud2
bits 32

frame: dw 0, 0, 0
