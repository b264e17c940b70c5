; Exceptions and software interrupts of 32-bit protected mode, from level 0 and 3: vector, error code
; and saved instruction pointer. SDM 3, "Exception Classifications", "Error Code".

%include "image.inc"
%include "protected.inc"

%macro both 2+
    observe_where %1, %2
    attempt "user: ", %1
    user
    %2
    kernel
    outcome
%endmacro

main:
    protected_setup
    mov dword [SCRATCH], 2
    mov dword [SCRATCH + 4], 8
    or byte [idt + 8 * 3 + 5], 0x60
    or byte [idt + 8 * 4 + 5], 0x60
    observe_where "nothing", nop
    attempt "division by zero"
    sub ecx, ecx
    div ecx
    outcome_where
    attempt "division overflow"
    mov edx, 5
    mov ecx, 5
    div ecx
    outcome_where
    attempt "signed division overflow"
    mov edx, -1
    mov eax, 0x80000000
    mov ecx, -1
    cdq
    idiv ecx
    outcome_where
    show "eax is as before", eax
    attempt "16-bit division overflow"
    mov dx, 0x7fff
    mov cx, 1
    idiv cx
    outcome_where
    observe_where "aam 0", aam 0
    both "int3", int3
    both "int 3 of two bytes", db 0xcd, 3
    both "int1", db 0xf1
    both "ud2", ud2
    both "ud0", db 0x0f, 0xff, 0xc0
    both "ud1", db 0x0f, 0xb9, 0xc0
    attempt "into with OF"
    mov al, 0x7f
    inc al
    into
    outcome_where
    attempt "into without OF"
    mov al, 1
    inc al
    into
    outcome_where
    attempt "bound within"
    mov eax, 8
    bound eax, [SCRATCH]
    outcome_where
    attempt "bound above"
    mov eax, 9
    bound eax, [SCRATCH]
    outcome_where
    attempt "bound below, signed"
    mov eax, -1
    bound eax, [SCRATCH]
    outcome_where
    both "hlt of the user only", nop
    observe_user "user: hlt", hlt
    observe_user "user: int to a gate of level 0", int 0x20
    both "lock nop", db 0xf0, 0x90
    both "lock mov", db 0xf0, 0x89, 0x00
    both "lock add to a register", db 0xf0, 0x01, 0xc0
    both "lock cmp", db 0xf0, 0x39, 0x00
    both "mov to CS", db 0x8e, 0xc8
    both "lea of a register", db 0x8d, 0xc0
    both "cmpxchg8b of a register", db 0x0f, 0xc7, 0xc8
    both "pop of form 1", db 0x8f, 0xc8
    both "group 4 form 2", db 0xfe, 0xd0
    both "group 5 form 7", db 0xff, 0xf8
    both "far jump by a register", db 0xff, 0xe8
    both "far call by a register", db 0xff, 0xd8
    both "les of a register", db 0xc4, 0xc0
    both "syscall off", db 0x0f, 0x05
    both "rsm outside of SMM", db 0x0f, 0xaa
    both "15 bytes", db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, \
        0x66, 0x66, 0x90
    both "16 bytes", db 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, \
        0x66, 0x66, 0x66, 0x90
    both "16 bytes with an immediate", db 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, 0x2e, \
        0x2e, 0xb8, 1, 2, 3, 4
    finish
