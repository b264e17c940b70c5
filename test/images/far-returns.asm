; RETF and IRET to the same and to an outer level: selectors, stacks, parameters, the flags that level 3 may
; not change, data segments that are cleared. SDM 2, "RET—Return From Procedure", "IRET/IRETD/IRETQ".

%include "image.inc"
%include "protected.inc"

; What is on the stack, from the top: EIP, CS, ESP, SS.
%macro both 5
    attempt "retf, ", %1
    mov dword [landed], 0
    mov eax, UDATA
    mov ds, eax
    push dword %5
    push dword %4
    push dword %3
    push dword %2
    retf
    outcome
    show "landed with", [landed]
    attempt "iret, ", %1
    mov dword [landed], 0
    mov eax, UDATA
    mov ds, eax
    push dword %5
    push dword %4
    push dword 2
    push dword %3
    push dword %2
    iretd
    outcome
    show "landed with", [landed]
%endmacro

main:
    protected_setup
    segment_at FREE, 0, 0xfffff, 0x7b, 0xc
    segment_at FREE + 8, 0, 0xfffff, 0x73, 0xc
    segment_at FREE + 16, 0, 0xfffff, 0xd3, 0xc
    segment_at FREE + 24, 0, 0xfffff, 0x9f, 0xc
    segment_at FREE + 32, 0, 0xfffff, 0xff, 0xc
    segment_at FREE + 40, 0, 0x00fff, 0xfb, 0x4
    segment_at FREE + 48, 0, 0xfffff, 0xf1, 0xc
    both "same level", landing, CODE32, 0, 0
    both "outer level", landing, USER32, USER_STACK, UDATA
    both "CS of level 3 with RPL 0", landing, USER32 - 3, USER_STACK, UDATA
    both "CS of level 0 with RPL 3", landing, CODE32 + 3, USER_STACK, UDATA
    both "conforming CS of level 0 with RPL 3", landing, FREE + 24 + 3, USER_STACK, UDATA
    both "conforming CS of level 3 with RPL 0", landing, FREE + 32, USER_STACK, UDATA
    both "CS null", landing, 0, USER_STACK, UDATA
    both "CS beyond the limit", landing, 0x203, USER_STACK, UDATA
    both "CS not present", landing, FREE + 3, USER_STACK, UDATA
    both "CS is data", landing, UDATA, USER_STACK, UDATA
    both "SS null", landing, USER32, USER_STACK, 0
    both "SS null with RPL 3", landing, USER32, USER_STACK, 3
    both "SS of level 0", landing, USER32, USER_STACK, DATA
    both "SS with RPL 0", landing, USER32, USER_STACK, UDATA - 3
    both "SS of level 2", landing, USER32, USER_STACK, FREE + 16 + 3
    both "SS not present", landing, USER32, USER_STACK, FREE + 8 + 3
    both "SS is code", landing, USER32, USER_STACK, USER32
    both "SS read-only", landing, USER32, USER_STACK, FREE + 48 + 3
    both "SS beyond the limit", landing, USER32, USER_STACK, 0x203
    attempt "user: to an inner level"
    user
    push dword CODE32
    push dword landing
    retf
    outcome
    ; Bytes of parameters are taken from both stacks.
    attempt "retf 8 to an outer level"
    mov eax, UDATA
    mov ds, eax
    push dword UDATA
    push dword USER_STACK
    push dword 0x11111111
    push dword 0x22222222
    push dword USER32
    push dword .outer
    retf 8
.outer:
    mov [landed], esp
    kernel
    outcome
    show "esp", [landed]
    attempt "retf 8 at the same level"
    mov ebx, esp
    push dword 1
    push dword 2
    push dword CODE32
    push dword .same
    retf 8
.same:
    sub ebx, esp
    outcome
    show "difference of esp", ebx
    finish

landing:
    mov [landed], cs
    int LEAVE_VECTOR

landed: dd 0
