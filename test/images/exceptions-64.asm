; Exceptions and software interrupts of 64-bit mode, from level 0 and 3: vector, error code and saved
; instruction pointer; opcodes that 64-bit mode has not. SDM 3, "Exception Classifications"; SDM 1,
; "Instructions Invalid in 64-Bit Mode".

%include "image.inc"
%include "long.inc"

%macro both 2+
    observe_where %1, %2
    attempt "user: ", %1
    user
    %2
    kernel
    outcome
%endmacro

main:
    long_setup
    or byte [idt64 + 16 * 3 + 5], 0x60
    observe_where "nothing", nop
    attempt "division by zero"
    sub ecx, ecx
    div rcx
    outcome_where
    attempt "division overflow"
    mov edx, 5
    mov ecx, 5
    div rcx
    outcome_where
    attempt "signed division overflow"
    mov rax, 0x8000000000000000
    mov rdx, -1
    mov rcx, -1
    idiv rcx
    outcome_where
    both "int3", int3
    both "int1", db 0xf1
    both "ud2", ud2
    both "ud0", db 0x0f, 0xff, 0xc0
    both "ud1", db 0x0f, 0xb9, 0xc0
    both "push es", db 0x06
    both "pop ds", db 0x1f
    both "daa", db 0x27
    both "aas", db 0x3f
    both "pusha", db 0x60
    both "popa", db 0x61
    both "82", db 0x82, 0xc0, 0
    both "far call", db 0x9a, 0, 0, 0, 0, 0, 0
    both "into", db 0xce
    both "aam", db 0xd4, 10
    both "salc", db 0xd6
    both "far jump", db 0xea, 0, 0, 0, 0, 0, 0
    both "lock nop", db 0xf0, 0x90
    both "lock mov", db 0xf0, 0x89, 0x00
    both "lock add to a register", db 0xf0, 0x01, 0xc0
    both "mov to CS", db 0x8e, 0xc8
    both "mov to segment register 6", db 0x8e, 0xf0
    both "cmpxchg16b of a register", db 0x48, 0x0f, 0xc7, 0xc8
    both "far jump by a register", db 0xff, 0xe8
    both "rsm outside of SMM", db 0x0f, 0xaa
    attempt "cmpxchg16b not aligned"
    cmpxchg16b [SCRATCH + 8]
    outcome_where
    observe_user "user: hlt", hlt
    observe_user "user: int to a gate of level 0", int 0x20
    both "15 bytes", db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, \
        0x66, 0x66, 0x90
    both "16 bytes", db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, \
        0x66, 0x66, 0x66, 0x90
    finish
