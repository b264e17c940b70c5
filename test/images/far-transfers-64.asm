; Far transfers of 64-bit mode: by memory operands of all sizes, to compatibility mode, to outer levels, LSS
; and kin, and their faults. SDM 2, "JMP—Jump", "CALL—Call Procedure", "RET—Return From Procedure".

%include "image.inc"
%include "long.inc"

%macro pointer 2
    mov rax, %1
    mov [SCRATCH], rax
    mov qword [SCRATCH + 8], 0
%if %2 >= 0
    mov word [SCRATCH + 4], %2
%endif
%endmacro

; With an offset of 64 bits, and the selector behind it.
%macro wide_pointer 2
    mov rax, %1
    mov [SCRATCH], rax
    mov qword [SCRATCH + 8], %2
%endmacro

%macro landed_with 0
    show "landed with", [landed]
    mov qword [landed], 0
%endmacro

main:
    long_setup
    segment_at FREE, 0, 0xfffff, 0x9f, 0xa
    segment_at FREE + 8, 0, 0xfffff, 0x1b, 0xa
    segment_at FREE + 16, 0, 0xfffff, 0x9b, 0xe
    pointer landing, CODE64
    observe "jmp m16:32", jmp far dword [SCRATCH]
    landed_with
    observe "call m16:32", call far dword [SCRATCH]
    landed_with
    wide_pointer landing, CODE64
    observe "jmp m16:64", jmp far qword [SCRATCH]
    landed_with
    wide_pointer 0x0000800000000000, CODE64
    observe_where "jmp m16:64, not canonical", jmp far qword [SCRATCH]
    pointer landing_32, CODE32
    observe "jmp to compatibility mode", jmp far dword [SCRATCH]
    landed_with
    pointer landing, FREE
    observe "conforming", jmp far dword [SCRATCH]
    landed_with
    observe_user "user: conforming", jmp far dword [SCRATCH]
    landed_with
    pointer landing, FREE + 8
    observe_where "not present", jmp far dword [SCRATCH]
    pointer landing, FREE + 16
    observe_where "L and D", jmp far dword [SCRATCH]
    pointer landing, DATA64
    observe_where "data", jmp far dword [SCRATCH]
    pointer landing, 0
    observe_where "null", jmp far dword [SCRATCH]
    pointer landing, 0x200
    observe_where "beyond the limit", jmp far dword [SCRATCH]
    pointer landing, USER64
    observe_where "level 3", jmp far dword [SCRATCH]
    pointer landing, TSS
    observe_where "TSS", jmp far dword [SCRATCH]
    observe_user "user: jmp to level 0", jmp far dword [SCRATCH]
    attempt "retf to level 3"
    push qword UDATA64
    push qword USER_STACK
    push qword USER64
    mov eax, landing
    push rax
    retfq
    outcome
    landed_with
    attempt "retf to level 3, SS null"
    push qword 3
    push qword USER_STACK
    push qword USER64
    mov eax, landing
    push rax
    retfq
    outcome
    attempt "retf of 32 bits"
    mov rsp, SCRATCH + 0x100
    mov dword [rsp], landing
    mov dword [rsp + 4], CODE64
    retf
    outcome
    landed_with
    attempt "retf 16 at the same level"
    mov rbx, rsp
    push rax
    push rax
    push qword CODE64
    mov eax, .behind
    push rax
    db 0x48, 0xca, 16, 0
.behind:
    sub rbx, rsp
    outcome
    show "difference of rsp", rbx
    attempt "call pushes"
    pointer inside, CODE64
    mov rbx, rsp
    call far dword [SCRATCH]
    outcome
    show "bytes of m16:32", rsi
    wide_pointer inside, CODE64
    attempt "call m16:64 pushes"
    mov rbx, rsp
    call far qword [SCRATCH]
    outcome
    show "bytes of m16:64", rsi
    ; Segment registers with a pointer of 64 bits.
    wide_pointer 0x1122334455667788, DATA64
    attempt "lfs of 64 bits"
    mov ebx, 0
    db 0x48, 0x0f, 0xb4, 0x1c, 0x25
    dd SCRATCH
    outcome
    show "rbx", rbx
    attempt "lfs of 32 bits clears the upper half"
    pointer 0x55667788, DATA64
    mov rbx, -1
    lfs ebx, [SCRATCH]
    outcome
    show "rbx", rbx
    pointer 0x55667788, 0
    observe "lss, null", lss ebx, [SCRATCH]
    pointer 0x55667788, 3
    observe "lss, null with RPL 3", lss ebx, [SCRATCH]
    pointer 0x55667788, 0x200
    observe "lgs, beyond the limit", lgs ebx, [SCRATCH]
    finish

bits 64
inside:
    mov rsi, rbx
    sub rsi, rsp
    int LEAVE_VECTOR
landing:
    mov eax, cs
    mov r15, rax
    mov [landed], rax
    int LEAVE_VECTOR
bits 32
landing_32:
    mov eax, cs
    mov [landed], eax
    int LEAVE_VECTOR

    align 8, db 0
landed: dq 0
