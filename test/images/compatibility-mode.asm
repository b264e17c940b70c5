; Compatibility mode: into it and back by far transfers and interrupts, segmentation, registers, addresses
; of 32 bits. SDM 3, "Compatibility Mode"; SDM 1, "Modes of Operation".

%include "image.inc"
%include "long.inc"

; 32-bit code between `compat` and `bits64`.
%macro compat 0
    push qword CODE32
    mov eax, %%there
    push rax
    retfq
bits 32
%%there:
    mov eax, DATA
    mov ss, eax
%endmacro

%macro compat_user 0
    push qword UDATA
    push qword USER_STACK
    push qword 2
    push qword USER32
    mov eax, %%there
    push rax
    mov eax, UDATA
    mov ds, eax
    mov es, eax
    iretq
bits 32
%%there:
%endmacro

%macro leave 0
    int LEAVE_VECTOR
bits 64
%endmacro

main:
    long_setup
    attempt "to compatibility mode and back by an interrupt"
    compat
    mov ebx, cs
    leave
    outcome
    show "cs", rbx
    attempt "back by a far jump"
    compat
    jmp CODE64:.back
bits 64
.back:
    mov ebx, cs
    outcome
    show "cs", rbx
    attempt "48H is DEC"
    mov rcx, 0x100000005
    compat
    dec ecx
    nop
    mov ebx, ecx
    leave
    outcome
    show "rbx", rbx
    attempt "upper halves survive"
    mov rbx, 0x1234567800000001
    mov r15, 0x1111111122222222
    compat
    nop
    leave
    outcome
    show "r15", r15
    attempt "addresses wrap at 4 GiB"
    mov dword [SCRATCH + 0x10], 0x98765432
    compat
    mov eax, 0x80000000
    mov ebx, [eax + eax + SCRATCH + 0x10]
    leave
    outcome
    show "rbx", rbx
    attempt "segment bases count"
    segment_at FREE, SCRATCH, 0xfff, 0x93, 4
    compat
    mov eax, FREE
    mov es, eax
    mov ebx, [es:0x10]
    leave
    outcome
    show "rbx", rbx
    attempt "limits count"
    compat
    mov eax, FREE
    mov es, eax
    mov ebx, [es:0x1000]
    leave
    outcome
    attempt "null segments fault"
    compat
    mov eax, 0
    mov es, eax
    mov ebx, [es:0x10]
    leave
    outcome
    attempt "inc eax by 40H"
    compat
    db 0x40
    leave
    outcome
    attempt "push es, pop es"
    compat
    db 0x06, 0x07
    leave
    outcome
    attempt "daa"
    compat
    daa
    leave
    outcome
    attempt "into"
    compat
    into
    leave
    outcome
    attempt "aam"
    compat
    aam
    leave
    outcome
    attempt "arpl"
    compat
    arpl bx, cx
    leave
    outcome
    attempt "swapgs"
    compat
    db 0x0f, 0x01, 0xf8
    leave
    outcome
    attempt "movsxd is arpl"
    compat
    db 0x63, 0xc3
    leave
    outcome
    attempt "mov cr8 by lock"
    compat
    db 0xf0, 0x0f, 0x20, 0xc0
    leave
    outcome
    attempt "rdfsbase"
    compat
    db 0xf3, 0x0f, 0xae, 0xc0
    leave
    outcome
    attempt "cmpxchg16b is cmpxchg8b with dec eax"
    compat
    db 0x48, 0x0f, 0xc7, 0x0d
    dd SCRATCH
    leave
    outcome
    attempt "user: ud2"
    compat_user
    ud2
    leave
    outcome
    show "cs", [caught64_cs]
    show "rsp", [caught64_rsp]
    show "ss", [caught64_ss]
    attempt "user: not present"
    compat_user
    mov eax, [0x70000000]
    leave
    outcome
    attempt "user: call to his 64-bit code and back"
    compat_user
    call USER64:.user64
    leave
bits 32
.user64:
bits 64
    mov r14, cs
    o32 retf
    outcome
    show "cs", r14
    attempt "user: int to a gate of level 0"
    compat_user
    int 0x20
    leave
    outcome
    attempt "pop of a far pointer to 64-bit code, RIP extends by zeros"
    compat
    push dword CODE64
    push dword .zeros
    retf
bits 64
.zeros:
    lea rbx, [rel $]
    shr rbx, 32
    outcome
    show "upper half of rip", rbx
    attempt "iretd of compatibility mode, same level"
    compat
    mov edx, esp
    pushfd
    push dword CODE32
    push dword .same
    iretd
.same:
    sub edx, esp
    leave
    outcome
    show "difference of esp", rdx
    finish
