; SYSCALL and SYSRET: selectors, RIP, flags and masks, to 64-bit and compatibility mode, faults. SDM 2,
; "SYSCALL—Fast System Call", "SYSRET—Return From Fast System Call".

%include "image.inc"
%include "long.inc"

%macro msr 3
    mov ecx, %1
    mov eax, %2
    mov edx, %3
    wrmsr
%endmacro

main:
    long_setup
    msr 0xc0000081, 0, 0x001b0038
    msr 0xc0000082, arrival, 0
    msr 0xc0000083, arrival, 0
    msr 0xc0000084, 0x40700, 0
    attempt "user: syscall"
    user
    push qword 0x40ad7
    popfq
    mov edi, .behind
    mov r12, rsp
    syscall
.behind:
    outcome
    sub edi, [rcx_inside]
    show "rcx points behind it, difference", rdi
    show "r11", [r11_inside]
    show "flags inside", [flags_inside]
    show "cs", [cs_inside]
    show "ss", [ss_inside]
    mov rax, [rsp_inside]
    sub rax, r12
    show "rsp changed by", rax
    attempt "level 0: syscall"
    syscall
    outcome
    show "cs", [cs_inside]
    ; Back: to 64-bit mode and to compatibility mode.
    attempt "sysret to 64-bit mode"
    mov ecx, sysret_there
    mov r11, 0x0000000000247ad7
    mov rsp, USER_STACK
    SYSRET_64
sysret_there:
    mov r13, cs
    mov r14, ss
    pushfq
    pop r15
    kernel
    outcome
    show "cs", r13
    show "ss", r14
    show "flags", r15
    attempt "sysret to compatibility mode"
    mov rcx, sysret_32
    mov r11d, 2
    sysret
bits 32
sysret_32:
    mov ebx, cs
    mov esi, ss
    ud2
bits 64
    outcome
    show "cs", rbx
    show "ss", rsi
    show "saved cs", [caught64_cs]
    attempt "user: sysret"
    user
    SYSRET_64
    outcome
    attempt "compatibility mode: syscall"
    push qword UDATA
    push qword USER_STACK
    push qword 2
    push qword USER32
    mov eax, compat_there
    push rax
    iretq
bits 32
compat_there:
    db 0x0f, 0x05               ; SYSCALL, which this mode has not
    ud2
bits 64
    outcome
    mov ecx, EFER
    rdmsr
    and eax, ~1
    wrmsr
    observe_user "SCE=0: user: syscall", syscall
    observe "SCE=0: sysret", SYSRET_64
    finish

bits 64
arrival:
    mov [rsp_inside], rsp
    mov [rcx_inside], rcx
    mov [r11_inside], r11
    mov rsp, KERNEL_STACK
    pushfq
    pop qword [flags_inside]
    mov ecx, cs
    mov [cs_inside], rcx
    mov ecx, ss
    mov [ss_inside], rcx
    int LEAVE_VECTOR

    align 8, db 0
rsp_inside: dq 0
rcx_inside: dq 0
r11_inside: dq 0
flags_inside: dq 0
cs_inside: dq 0
ss_inside: dq 0
