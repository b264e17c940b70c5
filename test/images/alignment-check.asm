; Alignment checks: CR0.AM, EFLAGS.AC, level 3; sizes; what is exempt. SDM 3, "Alignment Check Exception
; (#AC)".

%include "image.inc"
%include "protected.inc"

; With AC set, at level 3.
%macro checked 2+
    attempt %1
    user
    push dword EFLAGS_AC | 2
    popfd
    %2
    push dword 2
    popfd
    kernel
    outcome
%endmacro

main:
    protected_setup
    mov dword [SCRATCH + 0x11], 0
    checked "AM=0: dword at 1", mov eax, [SCRATCH + 1]
    mov eax, 0x00040011
    mov cr0, eax
    observe_user "user: AC=0: dword at 1", mov eax, [SCRATCH + 1]
    checked "user: dword at 1", mov eax, [SCRATCH + 1]
    checked "user: dword at 2", mov eax, [SCRATCH + 2]
    checked "user: dword at 4", mov eax, [SCRATCH + 4]
    checked "user: word at 1", mov ax, [SCRATCH + 1]
    checked "user: word at 2", mov ax, [SCRATCH + 2]
    checked "user: byte at 1", mov al, [SCRATCH + 1]
    checked "user: write at 3", mov [SCRATCH + 3], eax
    checked "user: lock add at 1", lock add [SCRATCH + 1], eax
    checked "user: cmpxchg8b at 4", cmpxchg8b [SCRATCH + 4]
    checked "user: cmpxchg8b at 8", cmpxchg8b [SCRATCH + 8]
    checked "user: bt at 1", bt dword [SCRATCH + 1], 1
    checked "user: lea of 1", lea eax, [SCRATCH + 1]
    checked "user: sgdt at 1", sgdt [SCRATCH + 1]
    checked "user: far pointer at 2", les eax, [SCRATCH + 2]
    attempt "user: push with an odd stack"
    user
    push dword EFLAGS_AC | 2
    popfd
    mov ebx, esp
    dec esp
    push eax
    outcome
    attempt "user: movsd from an odd address"
    user
    push dword EFLAGS_AC | 2
    popfd
    mov esi, SCRATCH + 1
    mov edi, SCRATCH + 0x20
    movsd
    outcome
    attempt "user: movsd to an odd address"
    user
    push dword EFLAGS_AC | 2
    popfd
    mov esi, SCRATCH + 4
    mov edi, SCRATCH + 0x21
    movsd
    outcome
    attempt "level 0: dword at 1"
    push dword EFLAGS_AC | 2
    popfd
    mov eax, [SCRATCH + 1]
    outcome
    ; Interrupt delivery to level 0 is not checked.
    mov dword [tss + 4], KERNEL_STACK - 0x1002
    checked "user: int with an odd stack of level 0", nop
    mov dword [tss + 4], KERNEL_STACK - 0x1000
    finish

