; SYSRET and SYSEXIT to addresses that are not canonical, and a null SYSENTER_CS. SDM 2, "SYSRET—Return From
; Fast System Call", "SYSEXIT—Fast Return from Fast System Call".

%include "image.inc"
%include "long.inc"

main:
    long_setup
    mov ecx, 0xc0000081
    mov eax, 0
    mov edx, 0x001b0038
    wrmsr
    attempt "sysret, RCX"
    mov rcx, 0x0000800000000000
    mov r11d, 2
    SYSRET_64
    outcome
    show "cs", [caught64_cs]
    attempt "sysexit with SYSENTER_CS of 0"
    mov ecx, 0x174
    mov eax, 0
    mov edx, 0
    wrmsr
    mov edx, main
    mov ecx, USER_STACK
    sysexit
    outcome
    observe_user "user: sysenter with SYSENTER_CS of 0", sysenter
    mov ecx, 0x174
    mov eax, 3
    mov edx, 0
    wrmsr
    observe_user "user: sysenter with SYSENTER_CS of 3", sysenter
    mov ecx, 0x174
    mov eax, 8
    mov edx, 0
    wrmsr
    attempt "sysexit, RDX"
    mov rdx, 0x0000800000000000
    mov ecx, USER_STACK
    SYSEXIT_64
    outcome
    show "cs", [caught64_cs]
    attempt "sysexit, RCX"
    mov edx, main
    mov rcx, 0x0000800000000000
    SYSEXIT_64
    outcome
    show "cs", [caught64_cs]
    observe_user "user: sysexit", sysexit
    finish
