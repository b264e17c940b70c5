; 64-bit call gates: 16 bytes, no parameters, a null SS inside, from 64-bit and compatibility mode. SDM 3,
; "Call-Gate Descriptors in 64-Bit Mode".

%include "image.inc"
%include "long.inc"

%define GATE FREE

; call_gate target selector, offset, access, second type byte
%macro call_gate 4
    mov eax, %2
    mov [gdt + GATE], ax
    mov word [gdt + GATE + 2], %1
    mov word [gdt + GATE + 4], (%3) << 8
    shr eax, 16
    mov [gdt + GATE + 6], ax
    mov dword [gdt + GATE + 8], 0
    mov dword [gdt + GATE + 12], (%4) << 8
%endmacro

%macro through 2
    attempt %1
    mov dword [landed], 0
    mov dword [pointer + 4], GATE + (%2)
    call far dword [pointer]
    outcome
    show "landed with", [landed]
%endmacro

%macro user_through 2
    attempt "user: ", %1
    mov dword [landed], 0
    mov dword [pointer + 4], GATE + (%2)
    user
    call far dword [pointer]
    kernel
    outcome
    show "landed with", [landed]
%endmacro

main:
    long_setup
    call_gate CODE64, target, 0xec, 0
    through "level 0", 0
    show "ss inside", [landed + 8]
    user_through "to level 0", 3
    show "ss inside", [landed + 8]
    show "rsp inside", [landed + 16]
    show "saved ss", [landed + 24]
    show "saved cs", [landed + 32]
    call_gate CODE64, target, 0x8c, 0
    user_through "gate of level 0", 3
    call_gate CODE64, target, 0xec, 1
    through "type in the second half", 0
    call_gate CODE64, target, 0xec, 0x0c
    through "call gate in the second half", 0
    call_gate CODE32, target, 0xec, 0
    through "target is 32-bit code", 0
    call_gate DATA64, target, 0xec, 0
    through "target is data", 0
    call_gate USER64, target, 0xec, 0
    through "target of level 3", 0
    user_through "target of level 3", 3
    call_gate CODE64, target, 0x6c, 0
    through "not present", 0
    call_gate CODE64, target, 0xe4, 0
    through "16-bit gate", 0
    call_gate 0, target, 0xec, 0
    through "target null", 0
    call_gate CODE64, target, 0xec, 0
    mov dword [gdt + GATE + 8], 0x00008000
    through "offset not canonical", 0
    mov dword [gdt + GATE + 8], 0
    attempt "jmp through the gate"
    mov dword [pointer + 4], GATE
    mov qword [landed], 0
    mov eax, landing
    mov [gdt + GATE], ax
    jmp far dword [pointer]
    outcome
    show "landed with", [landed]
    finish

bits 64
target:
    push rax
    mov rax, cs
    mov [landed], rax
    mov rax, ss
    mov [landed + 8], rax
    lea rax, [rsp + 8]
    mov [landed + 16], rax
    mov rax, [rsp + 8 + 24]
    mov [landed + 24], rax
    mov rax, [rsp + 8 + 8]
    mov [landed + 32], rax
    pop rax
    retfq
landing:
    mov [landed], cs
    int LEAVE_VECTOR

    align 8, db 0
pointer: dd 0, 0
landed: times 5 dq 0
