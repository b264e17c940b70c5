; Privilege levels 1 and 2: into them by far returns and call gates, out of them by interrupts, what paging
; makes of them, stacks of the task state. SDM 3, "Privilege Levels", "Stack Switching".

%include "image.inc"
%include "paging.inc"

%define CODE1  FREE + 1
%define STACK1 FREE + 8 + 1
%define CODE2  FREE + 16 + 2
%define STACK2 FREE + 24 + 2
%define GATE   FREE + 32

; Code at level 1 or 2 behind this, until `kernel`.
%macro level 1
    mov eax, UDATA
    mov ds, eax
    mov es, eax
    push dword STACK %+ %1
    push dword OTHER_STACK
    pushfd
    push dword CODE %+ %1
    push dword %%there
    iretd
%%there:
%endmacro

main:
    protected_setup
    segment_at CODE1, 0, 0xfffff, 0xbb, 0xc
    segment_at STACK1, 0, 0xfffff, 0xb3, 0xc
    segment_at CODE2, 0, 0xfffff, 0xdb, 0xc
    segment_at STACK2, 0, 0xfffff, 0xd3, 0xc
    paging_on CR0_WP, 0
    mov dword [tss + 12], SPARE_STACK
    mov dword [tss + 16], STACK1
    mov dword [tss + 20], SPARE_STACK - 0x800
    mov dword [tss + 24], STACK2
    attempt "level 1: cs"
    level 1
    mov ebx, cs
    kernel
    outcome
    show "cs", ebx
    attempt "level 2: cs"
    level 2
    mov ebx, cs
    kernel
    outcome
    show "cs", ebx
    attempt "level 1: hlt"
    level 1
    hlt
    outcome
    show "cs", [caught_cs]
    show "esp", [caught_esp]
    show "ss", [caught_ss]
    attempt "level 2: cli"
    level 2
    cli
    outcome
    attempt "level 2 with IOPL 2: cli"
    push dword 0x2002
    popfd
    level 2
    cli
    kernel
    outcome
    attempt "level 2 with IOPL 1: cli"
    push dword 0x1002
    popfd
    level 2
    cli
    kernel
    outcome
    attempt "level 1: mov to CR0"
    level 1
    mov cr0, eax
    outcome
    attempt "level 1: data of level 0"
    level 1
    mov eax, DATA
    mov fs, eax
    outcome
    attempt "level 1: data of level 2"
    level 1
    mov eax, STACK2
    mov fs, eax
    kernel
    outcome
    attempt "level 2: data of level 1"
    level 2
    mov eax, STACK1
    mov fs, eax
    outcome
    attempt "level 1: int to a gate of level 2"
    or byte [idt + 8 * 0x31 + 5], 0x40
    level 1
    int 0x31
    outcome
    attempt "level 2: int to a gate of level 2"
    level 2
    int 0x31
    outcome
    attempt "level 1: int to a gate of level 0"
    level 1
    int 0x20
    outcome
    ; A call gate to level 1 and the stack of the task state for it.
    mov eax, at_level_1
    mov [gdt + GATE], ax
    mov word [gdt + GATE + 2], CODE1
    mov word [gdt + GATE + 4], 0xec01
    shr eax, 16
    mov [gdt + GATE + 6], ax
    attempt "user: call gate to level 1"
    user
    push dword 0x12345678
    call GATE + 3:0
    kernel
    outcome
    show "cs inside", [kept]
    show "ss inside", [kept + 4]
    show "esp inside", [kept + 8]
    show "parameter", [kept + 12]
    attempt "level 2: the same gate"
    level 2
    push dword 0x12345678
    call GATE + 2:0
    kernel
    outcome
    show "esp inside", [kept + 8]
    attempt "level 1: the same gate"
    level 1
    push dword 0x12345678
    call GATE + 1:0
    kernel
    outcome
    mov eax, [kept + 8]
    show "esp inside", eax
    observe "level 0: the same gate", call GATE:0
    ; Levels 0 to 2 are the supervisor's.
    set_entry PT, SCRATCH + 3
    attempt "level 2: supervisor page"
    level 2
    mov ebx, [TEST]
    kernel
    outcome
    attempt "level 1: write to a supervisor page"
    level 1
    mov [TEST], ebx
    kernel
    outcome
    attempt "level 2: not present"
    level 2
    mov ebx, [0x70000000]
    outcome
    set_entry PT, SCRATCH + 1
    attempt "level 2: write to a read-only page"
    level 2
    mov [TEST], ebx
    outcome
    finish

at_level_1:
    push eax
    mov eax, UDATA
    mov ds, eax
    mov eax, cs
    mov [kept], eax
    mov eax, ss
    mov [kept + 4], eax
    lea eax, [esp + 4]
    mov [kept + 8], eax
    mov eax, [esp + 12]
    mov [kept + 12], eax
    pop eax
    retf 4

kept: times 4 dd 0
