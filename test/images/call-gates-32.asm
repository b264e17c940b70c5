; 32-bit call gates: levels of gate and target, stack switch with parameters, errors. SDM 3, "Call Gates",
; "Accessing a Code Segment Through a Call Gate", "Stack Switching".

%include "image.inc"
%include "protected.inc"

%define GATE       FREE
%define ABSENT     FREE + 8
%define CONFORMING FREE + 16
%define FOR_USER   FREE + 24

; call_gate target, offset, access, count of parameters
%macro call_gate 4
    mov eax, %2
    mov [gdt + GATE], ax
    mov word [gdt + GATE + 2], %1
    mov word [gdt + GATE + 4], ((%3) << 8) | (%4)
    shr eax, 16
    mov [gdt + GATE + 6], ax
%endmacro

%macro through 2
    attempt %1
    mov dword [landed], 0
    call GATE + (%2):0x12345678
    outcome
    show "landed with", [landed]
%endmacro

%macro user_through 2
    attempt "user: ", %1
    mov dword [landed], 0
    user
    push dword 0x33333333
    push dword 0x22222222
    push dword 0x11111111
    call GATE + (%2):0
    kernel
    outcome
    show "landed with", [landed]
%endmacro

main:
    protected_setup
    segment_at ABSENT, 0, 0xfffff, 0x1b, 0xc
    segment_at CONFORMING, 0, 0xfffff, 0x9f, 0xc
    segment_at FOR_USER, 0, 0xfffff, 0xfb, 0xc
    call_gate CODE32, target, 0x8c, 0
    through "gate of level 0", 0
    through "gate of level 0, RPL 3", 3
    user_through "gate of level 0", 3
    call_gate CODE32, target, 0xec, 0
    through "gate of level 3, RPL 3", 3
    user_through "gate of level 3", 3
    user_through "gate of level 3, RPL 0", 0
    call_gate CODE32 + 3, target, 0xec, 0
    user_through "RPL of the gate's selector", 0
    call_gate CONFORMING, target, 0xec, 0
    user_through "conforming target", 3
    call_gate FOR_USER, target, 0xec, 0
    user_through "target of level 3", 3
    through "target of level 3", 3
    call_gate CODE32, target, 0x6c, 0
    through "gate not present", 0
    user_through "gate not present", 0
    call_gate ABSENT, target, 0xec, 0
    through "target not present", 0
    user_through "target not present", 0
    call_gate DATA, target, 0xec, 0
    through "target is data", 0
    call_gate 0, target, 0xec, 0
    through "target is null", 0
    call_gate 0x200, target, 0xec, 0
    through "target beyond the limit", 0
    call_gate GATE, target, 0xec, 0
    through "target is a gate", 0
    ; With parameters: ESP, SS, what was copied, and the way back.
    call_gate CODE32, target_with_parameters, 0xec, 3
    mov dword [kept], 0
    attempt "user: three parameters"
    user
    push dword 0x33333333
    push dword 0x22222222
    push dword 0x11111111
    call GATE + 3:0
    mov [kept + 4], esp
    kernel
    outcome
    show "esp inside", [kept + 32]
    show "cs", [kept + 12]
    show "first", [kept + 16]
    show "second", [kept + 20]
    show "third", [kept + 24]
    show "esp", [kept + 28]
    show "ss", [kept + 36]
    show "esp afterwards", [kept + 4]
    attempt "level 0: parameters are not copied"
    push dword 0x44444444
    push dword 0x44444444
    push dword 0x44444444
    call GATE:0
    outcome
    mov ebx, [kept + 32]
    sub ebx, KERNEL_STACK
    show "esp inside, relative", ebx
    ; A jump through a gate never changes the level.
    call_gate CODE32, landing, 0xec, 0
    attempt "jmp through the gate"
    mov dword [landed], 0
    jmp GATE:0
    outcome
    show "landed with", [landed]
    attempt "user: jmp through the gate"
    mov dword [landed], 0
    user
    jmp GATE + 3:0
    outcome
    show "landed with", [landed]
    finish

target:
    push eax
    mov eax, cs
    mov [landed], eax
    pop eax
    retf

landing:
    mov [landed], cs
    int LEAVE_VECTOR

target_with_parameters:
    mov [kept + 32], esp
    mov [kept + 36], ss
    pop dword [kept + 8]
    pop dword [kept + 12]
    pop dword [kept + 16]
    pop dword [kept + 20]
    pop dword [kept + 24]
    pop dword [kept + 28]
    sub esp, 24
    retf 12

landed: dd 0
kept: times 10 dd 0
