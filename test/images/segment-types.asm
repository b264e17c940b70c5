; Types of segments: what may be loaded where, read, written and executed. SDM 3, "Type Checking".

%include "image.inc"
%include "protected.inc"

%define SEGMENT FREE

%macro use 2
    segment_at SEGMENT, SCRATCH, 0xffff, %2, 4
    attempt %1, ": load DS"
    mov eax, SEGMENT
    mov ds, eax
    flat
    outcome
    attempt %1, ": load SS"
    mov eax, SEGMENT
    mov ss, eax
    flat
    outcome
    attempt %1, ": load FS and read"
    mov eax, SEGMENT
    mov fs, eax
    mov al, [fs:0]
    outcome
    attempt %1, ": load FS and write"
    mov eax, SEGMENT
    mov fs, eax
    mov [fs:0], al
    outcome
    attempt %1, ": load FS and exchange"
    mov eax, SEGMENT
    mov fs, eax
    xchg [fs:4], al
    outcome
    mov eax, 0
    mov fs, eax
%endmacro

main:
    protected_setup
    use "read-only data", 0x91
    use "data", 0x93
    use "read-only expand-down", 0x95
    use "expand-down", 0x97
    use "execute-only code", 0x99
    use "code", 0x9b
    use "execute-only conforming code", 0x9d
    use "conforming code", 0x9f
    use "not present data", 0x13
    use "not present code", 0x1b
    use "system type 0", 0x80
    use "16-bit TSS", 0x81
    use "local descriptor table", 0x82
    use "call gate", 0x8c
    use "system type F", 0x8f
    observe "write by CS", mov [cs:SCRATCH], al
    observe "read by CS", mov al, [cs:SCRATCH]
    segment_at SEGMENT, 0, 0xfffff, 0x99, 0xc
    attempt "read by an execute-only CS"
    jmp SEGMENT:.there
.there:
    mov al, [cs:SCRATCH]
    jmp CODE32:.back
.back:
    outcome
    segment_at SEGMENT, 0, 0xfffff, 0x9b, 0xc
    observe "mov to CS", db 0x8e, 0xc8
    observe "mov to segment register 6", db 0x8e, 0xf0
    observe "mov from segment register 7", db 0x8c, 0xf8
    attempt "mov from SS to a 32-bit register"
    mov eax, -1
    mov eax, ss
    outcome
    show "eax", eax
    finish
