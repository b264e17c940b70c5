; IRETQ in 64-bit mode: always pops SS:RSP; targets of 64-bit and compatibility mode at both levels; null SS;
; NT; what is not canonical. SDM 2, "IRET/IRETD/IRETQ—Interrupt Return".

%include "image.inc"
%include "long.inc"

%macro interrupt_return 6
    attempt %1
    mov qword [landed], 0
    mov rax, %6
    push rax
    mov rax, %5
    push rax
    push qword %4
    push qword %3
    mov rax, %2
    push rax
    iretq
    outcome_so_far
    say ", cs "
    mov rax, [landed]
    mov ecx, 4
    call print_ecx_digits_64
    say 10
%endmacro

main:
    long_setup
    interrupt_return "same level", landing, CODE64, 2, OTHER_STACK, DATA64
    show "rsp", [landed_rsp]
    interrupt_return "same level, SS null", landing, CODE64, 2, OTHER_STACK, 0
    interrupt_return "same level, SS 3", landing, CODE64, 2, OTHER_STACK, 3
    interrupt_return "level 3", landing, USER64, 2, USER_STACK, UDATA64
    interrupt_return "level 3, SS null with RPL 3", landing, USER64, 2, USER_STACK, 3
    interrupt_return "level 3, SS null with RPL 0", landing, USER64, 2, USER_STACK, 0
    interrupt_return "level 3, SS of level 0", landing, USER64, 2, USER_STACK, DATA64
    interrupt_return "compatibility mode, level 0", landing_32, CODE32, 2, OTHER_STACK, DATA
    interrupt_return "compatibility mode, level 0, SS null", landing_32, CODE32, 2, OTHER_STACK, 0
    interrupt_return "compatibility mode, level 3", landing_32, USER32, 2, USER_STACK, UDATA
    interrupt_return "compatibility mode, level 3, SS null", landing_32, USER32, 2, USER_STACK, 3
    interrupt_return "CS null", landing, 0, 2, OTHER_STACK, DATA64
    interrupt_return "CS is data", landing, DATA64, 2, OTHER_STACK, DATA64
    segment_at FREE, 0, 0xfffff, 0x9b, 0xe
    interrupt_return "CS with L and D", landing, FREE, 2, OTHER_STACK, DATA64
    segment_at FREE, 0, 0xfffff, 0x1b, 0xa
    interrupt_return "CS not present", landing, FREE, 2, OTHER_STACK, DATA64
    interrupt_return "NT", landing, CODE64, 0x4002, OTHER_STACK, DATA64
    interrupt_return "VM is ignored", landing, CODE64, 0x20002, OTHER_STACK, DATA64
    attempt "NT set before"
    push qword DATA64
    push qword OTHER_STACK
    push qword 2
    push qword CODE64
    mov eax, landing
    push rax
    push qword 0x4002
    popfq
    iretq
    outcome
    ; 32-bit and 16-bit returns of 64-bit mode.
    attempt "iretd"
    mov qword [landed], 0
    mov rsp, SCRATCH + 0x100
    mov dword [rsp], landing
    mov dword [rsp + 4], CODE64
    mov dword [rsp + 8], 2
    mov dword [rsp + 12], OTHER_STACK
    mov dword [rsp + 16], DATA64
    iretd
    outcome
    show "landed with", [landed]
    show "rsp", [landed_rsp]
    ; Flags: level 3 does not change IF and IOPL.
    attempt "user: iretq with IF and IOPL"
    user
    push qword UDATA64
    push qword USER_STACK
    push qword 0x3202
    push qword USER64
    mov eax, .flags
    push rax
    iretq
.flags:
    pushfq
    pop rbx
    kernel
    outcome
    and ebx, 0x3200
    show "IF and IOPL", rbx
    finish

bits 64
landing:
    mov rax, cs
    mov [landed], rax
    mov [landed_rsp], rsp
    int LEAVE_VECTOR
bits 32
landing_32:
    mov eax, cs
    int LEAVE_VECTOR

    align 8, db 0
landed: dq 0
landed_rsp: dq 0
