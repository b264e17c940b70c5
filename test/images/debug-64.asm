; Debug exceptions of 64-bit mode: breakpoints of 8 bytes and above 4 GiB, reserved halves of DR6 and DR7, single
; steps over SYSCALL, SYSRET and IRETQ. SDM 3, "Debug Registers and Intel 64 Processors",
; "Single-Step Exception Condition".

%include "image.inc"
%include "long.inc"

%macro watch 2
    mov rax, %1
    mov dr0, rax
    mov eax, %2
    mov dr7, rax
%endmacro

%macro unwatch 0
    mov eax, 0x400
    mov dr7, rax
    mov eax, 0xffff0ff0
    mov dr6, rax
%endmacro

%macro watching 4+
    watch %2, %3
    observe_where %1, %4
    unwatch
%endmacro

%define WRITE_8 0x90401
%define READ_8  0xb0401
%define READ_1  0x30401
%define EXECUTE 0x00401

main:
    long_setup
    mov dword [PML4 + 8], PDPT + 7
    mov rbx, 0x8040000000
    watching "write, 8 bytes: byte 7", SCRATCH, WRITE_8, mov [SCRATCH + 7], al
    watching "write, 8 bytes: byte 8", SCRATCH, WRITE_8, mov [SCRATCH + 8], al
    watching "write, 8 bytes: qword", SCRATCH, WRITE_8, mov [SCRATCH], rax
    watching "read or write, 8 bytes: qword from below", SCRATCH, READ_8, mov rax, [SCRATCH - 7]
    watching "read or write, 8 bytes: qword below", SCRATCH, READ_8, mov rax, [SCRATCH - 8]
    watching "above 4 GiB", 0x8040000000, READ_1, mov al, [rbx]
    watching "above 4 GiB, the same lower half below", 0x8040000000, READ_1, mov al, [TEST]
    watching "cmpxchg16b", SCRATCH + 8, READ_1, cmpxchg16b [SCRATCH]
    watching "push", OTHER_STACK - 8, WRITE_8, call push_there
    mov byte [SCRATCH], 0x90
    mov byte [SCRATCH + 1], 0xc3
    watching "instruction above 4 GiB", 0x8040000001, EXECUTE, call rbx
    attempt "upper half of DR7"
    mov rax, 0x100000400
    mov dr7, rax
    outcome
    attempt "upper half of DR6"
    mov rax, 0x1ffff0ff0
    mov dr6, rax
    outcome
    mov rax, -1
    mov dr1, rax
    mov rcx, dr1
    show "dr1", rcx
    mov eax, 0x400
    mov dr7, rax
    mov rcx, dr7
    show "dr7", rcx
    mov rcx, dr6
    show "dr6", rcx
    ; Single steps.
    mov ecx, 0xc0000081
    mov eax, 0
    mov edx, 0x001b0038
    wrmsr
    mov ecx, 0xc0000082
    mov eax, arrival
    mov edx, 0
    wrmsr
    mov ecx, 0xc0000084
    mov eax, 0x100
    wrmsr
    attempt "user: TF over syscall that masks it"
    user
    push qword 0x102
    popfq
    syscall
    outcome
    show "cs", [caught64_cs]
    mov ecx, 0xc0000084
    mov eax, 0
    mov edx, 0
    wrmsr
    attempt "sysret that sets TF"
    mov dword [catch64_start], sysret_there
    mov ecx, sysret_there
    mov r11d, 0x102
    SYSRET_64
sysret_there:
    nop
    nop
    outcome_where
    show "cs", [caught64_cs]
    attempt "iretq that sets TF"
    mov dword [catch64_start], iretq_there
    push qword DATA64
    push qword OTHER_STACK
    push qword 0x102
    push qword CODE64
    mov eax, iretq_there
    push rax
    iretq
iretq_there:
    nop
    nop
    outcome_where
    attempt "mov ss under TF"
    mov eax, DATA64
    push qword 0x102
    popfq
    mov ss, eax
    nop
    nop
    outcome_where
    attempt "int3 under TF"
    push qword 0x102
    popfq
    int3
    outcome_where
    attempt "a far jump under TF"
    mov dword [SCRATCH], far_there
    mov dword [SCRATCH + 4], CODE64
    push qword 0x102
    popfq
    jmp far dword [SCRATCH]
    nop
far_there:
    nop
    outcome_where
    finish

bits 64
push_there:
    mov rcx, rsp
    mov rsp, OTHER_STACK
    push rax
    mov rsp, rcx
    ret
arrival:
    nop
    int LEAVE_VECTOR
