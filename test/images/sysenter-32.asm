; SYSENTER and SYSEXIT in 32-bit protected mode. SDM 2, "SYSENTER—Fast System Call", "SYSEXIT—Fast Return from
; Fast System Call".

%include "image.inc"
%include "protected.inc"

%macro msr 2
    mov ecx, %1
    mov eax, %2
    sub edx, edx
    wrmsr
%endmacro

main:
    protected_setup
    observe_user "user: SYSENTER_CS of 0", sysenter
    observe "sysexit with SYSENTER_CS of 0", sysexit
    msr 0x174, CODE32
    msr 0x175, OTHER_STACK
    msr 0x176, arrival
    attempt "user: sysenter"
    push dword 0x0ed7
    popfd
    user
    sysenter
    outcome
    show "cs", [cs_inside]
    show "ss", [ss_inside]
    show "esp", [esp_inside]
    mov eax, [flags_inside]
    and eax, 0x30200
    show "IF, VM, RF", eax
    attempt "level 0: sysenter"
    sysenter
    outcome
    show "cs", [cs_inside]
    attempt "sysexit"
    mov edx, sysexit_there
    mov ecx, USER_STACK
    mov eax, UDATA
    mov ds, eax
    sysexit
sysexit_there:
    mov ebx, cs
    mov esi, ss
    mov edi, esp
    kernel
    outcome
    show "cs", ebx
    show "ss", esi
    show "esp", edi
    observe_user "user: sysexit", sysexit
    ; Descriptors are not looked at: the segments are flat whatever the table says.
    attempt "sysenter with nonsense in the table"
    msr 0x174, FREE
    user
    sysenter
    outcome
    show "cs", [cs_inside]
    show "ss", [ss_inside]
    msr 0x174, CODE32 + 3
    attempt "SYSENTER_CS with RPL"
    user
    sysenter
    outcome
    show "cs", [cs_inside]
    finish

arrival:
    mov eax, DATA
    mov ds, eax
    mov [cs_inside], cs
    mov [ss_inside], ss
    mov [esp_inside], esp
    pushfd
    pop dword [flags_inside]
    int LEAVE_VECTOR

cs_inside: dd 0
ss_inside: dd 0
esp_inside: dd 0
flags_inside: dd 0
