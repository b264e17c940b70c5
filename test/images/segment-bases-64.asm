; FS and GS in 64-bit mode: bases by MSRs, by selectors and by instructions; SWAPGS; other bases and limits do
; not count. SDM 3, "Segment Loading Instructions in IA-32e Mode"; SDM 2, "SWAPGS", "WRFSBASE/WRGSBASE".

%include "image.inc"
%include "long.inc"

%macro msr 3
    mov ecx, %1
    mov eax, %2
    mov edx, %3
    wrmsr
%endmacro

%macro show_msr 2
    mov ecx, %2
    rdmsr
    shl rdx, 32
    or rax, rdx
    show %1, rax
%endmacro

main:
    long_setup
    mov qword [SCRATCH], 0x11111111
    mov qword [SCRATCH + 0x1000], 0x22222222
    msr 0xc0000100, SCRATCH, 0
    msr 0xc0000101, SCRATCH + 0x1000, 0
    mov rax, [fs:0]
    show "fs:0", rax
    mov rax, [gs:0]
    show "gs:0", rax
    mov rax, [gs:-0x1000]
    show "gs:-1000", rax
    msr 0xc0000102, SCRATCH, 0
    observe "swapgs", swapgs
    mov rax, [gs:0]
    show "gs:0", rax
    show_msr "kernel gs base", 0xc0000102
    observe_user "user: swapgs", swapgs
    attempt "a selector in FS loads 32 bits of the base"
    segment_at FREE, SCRATCH + 0x1000, 0, 0x93, 4
    msr 0xc0000100, 0, 0x1234
    mov eax, FREE
    mov fs, eax
    outcome
    show_msr "fs base", 0xc0000100
    observe "its limit does not count", mov rax, [fs:0]
    observe "null in GS can be used", call null_in_gs
    show_msr "gs base after null", 0xc0000101
    attempt "DS with a base"
    mov eax, FREE
    mov ds, eax
    mov rbx, [SCRATCH]
    outcome
    show "no base", rbx
    attempt "a DS prefix does not count"
    mov rbx, [ds:SCRATCH]
    outcome
    show "no base", rbx
    attempt "read-only data can be written"
    segment_at FREE + 8, 0, 0xfffff, 0x91, 0xc
    mov eax, FREE + 8
    mov ds, eax
    mov [SCRATCH + 8], rbx
    outcome
    attempt "null in SS at level 0"
    mov eax, 0
    mov ss, eax
    push rax
    pop rax
    outcome
    attempt "null in SS at level 0, RPL 3"
    mov eax, 3
    mov ss, eax
    outcome
    attempt "user: null in SS with RPL 3"
    user
    mov eax, 3
    mov ss, eax
    kernel
    outcome
    observe "FSGSBASE=0: rdfsbase", rdfsbase rax
    mov rax, cr4
    or eax, 0x10000
    mov cr4, rax
    attempt "FSGSBASE=1: wrfsbase"
    mov eax, SCRATCH
    wrfsbase rax
    rdfsbase rbx
    outcome
    show "fs base", rbx
    observe_user "user: rdgsbase", rdgsbase rbx
    attempt "wrgsbase of 32 bits clears the upper half"
    msr 0xc0000101, 0, 0x7fff
    mov rax, -1
    wrgsbase eax
    rdgsbase rbx
    outcome
    show "gs base", rbx
    finish

bits 64
null_in_gs:
    msr 0xc0000101, SCRATCH, 0
    mov eax, 0
    mov gs, eax
    mov rax, [gs:SCRATCH]
    ret
