; Addresses that are not canonical: #GP(0) or #SS(0), for data, stack, branches and registers. SDM 1,
; "Canonical Addressing"; SDM 3, "Exceptions" of the instructions.

%include "image.inc"
%include "long.inc"

main:
    long_setup
    mov rbx, 0x0000800000000000
    mov rbp, rbx
    ; Faults of the stack need another one.
    interrupt_stack 12, 1, SPARE_STACK
    interrupt_stack 13, 1, SPARE_STACK
    interrupt_stack 14, 1, SPARE_STACK
    mov r12, 0xffff7fffffffffff
    observe "read at 0000800000000000", mov eax, [rbx]
    observe "write there", mov [rbx], eax
    observe "read based on RBP", mov eax, [rbp]
    observe "read with RBP as the index", mov eax, [rbp * 1 + rax + 0x7fffffff]
    observe "read at FFFF7FFFFFFFFFFF", mov al, [r12]
    observe "a quadword that ends beyond", mov rax, [rbx - 4]
    observe "the last byte below", mov al, [rbx - 1]
    observe "a word that begins with FFFF7FFFFFFFFFFF", mov ax, [r12]
    attempt "push"
    mov rcx, rsp
    mov rsp, rbx
    add rsp, 8
    push rax
    outcome
    attempt "pop"
    mov rsp, rbx
    pop rax
    outcome
    attempt "call pushes at"
    mov rsp, rbx
    add rsp, 8
    call finish_call
    outcome
    observe_where "jmp", jmp rbx
    observe_where "call", call rbx
    attempt "ret"
    push rbx
    ret
    outcome_where
    attempt "ret 8"
    push rbx
    ret 8
    outcome_where
    attempt "jmp to memory operand there"
    jmp [rbx]
    outcome_where
    observe "lea", lea rax, [rbx + 4]
    observe "prefetch", prefetcht0 [rbx]
    observe "clflush", clflush [rbx]
    observe "nop", nop dword [rbx]
    observe "fs base by MSR", call fs_base_by_msr
    mov eax, 0
    attempt "movsb from there"
    mov rsi, rbx
    mov edi, SCRATCH
    mov ecx, 1
    rep movsb
    outcome
    attempt "movsb, count 0"
    mov rsi, rbx
    mov ecx, 0
    rep movsb
    outcome
    attempt "stosb to there"
    mov rdi, rbx
    stosb
    outcome
    attempt "enter"
    mov rsp, rbx
    add rsp, 8
    enter 0, 0
    outcome
    attempt "leave"
    mov rbp, rbx
    leave
    outcome
    observe "bt far below", call bit_far_below
    attempt "lldt with a base that is not canonical"
    mov dword [gdt + LDT], 0x0000000f
    mov dword [gdt + LDT + 4], 0x00008200
    mov dword [gdt + LDT + 8], 0x00008000
    mov dword [gdt + LDT + 12], 0
    mov eax, LDT
    lldt ax
    outcome
    attempt "ltr with a base that is not canonical"
    mov byte [gdt + LDT + 5], 0x89
    mov eax, LDT
    ltr ax
    outcome
    observe "lgdt", lgdt [bad_pointer]
    observe "lidt", lidt [bad_pointer]
    finish

bits 64
finish_call:
    ret
fs_base_by_msr:
    mov ecx, 0xc0000100
    mov eax, 0
    mov edx, 0x8000
    wrmsr
    ret
bit_far_below:
    mov rcx, 0x0004000000000000
    bt [rcx + 0], rcx
    ret
bad_pointer:
    dw 0xff
    dq 0x0000800000000000
