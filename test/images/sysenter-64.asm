; SYSENTER and SYSEXIT in IA-32e mode, from 64-bit and compatibility mode. SDM 2, "SYSENTER—Fast System Call",
; "SYSEXIT—Fast Return from Fast System Call".

%include "image.inc"
%include "long.inc"

%macro msr 2
    mov ecx, %1
    mov eax, %2
    sub edx, edx
    wrmsr
%endmacro

main:
    long_setup
    msr 0x174, CODE32
    msr 0x175, OTHER_STACK
    msr 0x176, arrival
    attempt "user: sysenter of 64-bit mode"
    user
    sysenter
    outcome
    show "cs", [cs_inside]
    show "ss", [ss_inside]
    show "rsp", [rsp_inside]
    attempt "user: sysenter of compatibility mode"
    push qword UDATA
    push qword USER_STACK
    push qword 2
    push qword USER32
    mov eax, compat_there
    push rax
    iretq
bits 32
compat_there:
    sysenter
    ud2
bits 64
    outcome
    show "cs", [cs_inside]
    show "ss", [ss_inside]
    attempt "sysexit to 64-bit mode"
    mov edx, sysexit_there
    mov ecx, USER_STACK
    SYSEXIT_64
sysexit_there:
    mov ebx, cs
    mov esi, ss
    mov rdi, rsp
    kernel
    outcome
    show "cs", rbx
    show "ss", rsi
    show "rsp", rdi
    attempt "sysexit to compatibility mode"
    mov rdx, 0x1234567800000000 + sysexit_32
    mov rcx, 0x1234567800000000 + USER_STACK
    sysexit
bits 32
sysexit_32:
    mov ebx, cs
    mov esi, ss
    mov edi, esp
    ud2
bits 64
    outcome
    show "cs", rbx
    show "ss", rsi
    show "rsp", rdi
    finish

bits 64
arrival:
    mov eax, cs
    mov [cs_inside], rax
    mov eax, ss
    mov [ss_inside], rax
    mov [rsp_inside], rsp
    int LEAVE_VECTOR

    align 8, db 0
cs_inside: dq 0
ss_inside: dq 0
rsp_inside: dq 0
