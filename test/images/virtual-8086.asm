; Virtual-8086 mode: segments as in real mode, what faults there, the frame with the segment registers, and
; IOPL. SDM 3, "8086 Emulation", "Virtual-8086 Mode".

%include "image.inc"
%include "protected.inc"
%include "real.inc"

; 16-bit code of level 3 between `virtual iopl` and `leave`, in segment 1000H.
%macro virtual 1
    call copy_image
    push dword COPY_SEGMENT     ; GS
    push dword 0x2000           ; FS
    push dword COPY_SEGMENT     ; DS
    push dword 0x3000           ; ES
    push dword 0x8000           ; SS
    push dword 0x0ff0           ; ESP
    push dword EFLAGS_VM | 2 | ((%1) << 12)
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

; What the handler found.
%macro frame 0
    mov eax, [caught_frame]
    sub eax, KERNEL_STACK - 0x1000
    show "frame below the top by", eax
    show "cs", [caught_cs]
    show "ss", [caught_ss]
    show "esp", [caught_esp]
    mov eax, [caught_eflags]
    and eax, 0x00027200
    show "flags", eax
    mov ebx, [caught_frame]
    show "es", [ebx + 20]
    show "ds", [ebx + 24]
    show "fs", [ebx + 28]
    show "gs", [ebx + 32]
%endmacro

%macro observe_virtual 3+
    attempt %1
    virtual %2
    %3
    leave_virtual
    outcome
%endmacro

main:
    protected_setup
    attempt "ud2"
    virtual 0
    leave_virtual
    outcome
    frame
    attempt "segments of real mode"
    mov dword [0x45670], 0x13572468
    virtual 0
    mov ax, 0x4560
    mov es, ax
    mov ebx, [es:0x70]
    leave_virtual
    outcome
    show "ebx", ebx
    attempt "limit of 64 KiB"
    virtual 0
    mov ebx, 0x10000
    mov al, [ebx]
    leave_virtual
    outcome
    attempt "word at FFFF"
    virtual 0
    mov bx, 0xffff
    mov ax, [bx]
    leave_virtual
    outcome
    attempt "far jump by a paragraph"
    virtual 0
    jmp COPY_SEGMENT - 1:low(.there) + 16
.there:
    mov bx, cs
    leave_virtual
    outcome
    movzx ebx, bx
    show "cs", ebx
    observe_virtual "IOPL 0: cli", 0, cli
    observe_virtual "IOPL 0: sti", 0, sti
    observe_virtual "IOPL 0: pushf", 0, pushf
    observe_virtual "IOPL 0: popf", 0, popf
    observe_virtual "IOPL 0: int 0x31", 0, int 0x31
    observe_virtual "IOPL 0: int3", 0, int3
    observe_virtual "IOPL 0: iret", 0, iret
    observe_virtual "IOPL 0: in", 0, in al, 0x80
    observe_virtual "IOPL 3: cli", 3, cli
    observe_virtual "IOPL 3: pushf", 3, pushf
    observe_virtual "IOPL 3: popf", 3, popf
    observe_virtual "IOPL 3: in", 3, in al, 0x80
    observe_virtual "IOPL 3: int to level 0", 3, int 0x31
    observe_virtual "IOPL 3: int3 to level 0", 3, int3
    observe_virtual "IOPL 3: hlt", 3, hlt
    observe_virtual "clts", 3, clts
    observe_virtual "mov from CR0", 3, mov eax, cr0
    observe_virtual "lmsw", 3, lmsw ax
    observe_virtual "lgdt", 3, lgdt [0]
    observe_virtual "sgdt", 3, sgdt [0x100]
    observe_virtual "sldt", 3, sldt ax
    observe_virtual "str", 3, str ax
    observe_virtual "lldt", 3, lldt ax
    observe_virtual "ltr", 3, ltr ax
    observe_virtual "lar", 3, lar ax, bx
    observe_virtual "verr", 3, verr ax
    observe_virtual "arpl", 3, arpl ax, bx
    observe_virtual "sysenter", 3, sysenter
    observe_virtual "wrmsr", 3, wrmsr
    observe_virtual "mov from DR7", 3, mov eax, dr7
    attempt "IOPL 3: popf leaves VM, IOPL and IF is set"
    virtual 3
    push dword 0x00020202
    popfd
    pushfd
    pop ebx
    cli
    leave_virtual
    outcome
    and ebx, 0x00023200
    show "flags", ebx
    attempt "IOPL 3: iret"
    virtual 3
    push word 0x0202
    push word COPY_SEGMENT
    push word low(.returned)
    iret
.returned:
    pushf
    pop bx
    cli
    leave_virtual
    outcome
    and ebx, 0x3200
    show "flags", ebx
    attempt "pushf does not show IOPL otherwise"
    virtual 3
    pushf
    pop bx
    leave_virtual
    outcome
    and ebx, 0x7200
    show "flags", ebx
    ; An interrupt from there needs a handler of level 0.
    or byte [idt + 8 * 0x31 + 5], 0x60
    observe_virtual "IOPL 3: int to a gate of level 3", 3, int 0x31
    frame
    segment_at FREE, 0, 0xfffff, 0x9f, 0xc
    mov word [idt + 8 * 0x31 + 2], FREE
    observe_virtual "IOPL 3: int to a conforming handler", 3, int 0x31
    ; The real way back: an IRET to level 0 pops no segment registers.
    mov eax, fs
    show "fs of the handler", eax
    finish
