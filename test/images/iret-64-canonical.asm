; Returns of 64-bit mode to addresses that are not canonical. SDM 2, "IRET/IRETD/IRETQ—Interrupt Return",
; "RET—Return From Procedure".

%include "image.inc"
%include "long.inc"

main:
    long_setup
    mov rbx, 0x0000800000000000
    attempt "iretq, RIP"
    push qword DATA64
    push qword OTHER_STACK
    push qword 2
    push qword CODE64
    push rbx
    iretq
    outcome_where
    attempt "iretq to level 3, RIP"
    push qword UDATA64
    push qword USER_STACK
    push qword 2
    push qword USER64
    push rbx
    iretq
    outcome
    show "cs", [caught64_cs]
    attempt "iretq to compatibility mode: upper half of RIP is cut"
    push qword DATA
    push qword OTHER_STACK
    push qword 2
    push qword CODE32
    mov eax, landing_32
    or rax, rbx
    push rax
    iretq
    outcome
    attempt "retf, RIP"
    push qword CODE64
    push rbx
    retfq
    outcome_where
    attempt "iretq, RSP is not checked"
    push qword DATA64
    push rbx
    push qword 2
    push qword CODE64
    mov eax, .there
    push rax
    iretq
.there:
    mov rcx, rsp
    mov rsp, OTHER_STACK
    outcome
    show "rsp", rcx
    finish

bits 32
landing_32:
    int LEAVE_VECTOR
