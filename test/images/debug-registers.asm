; Debug registers: reserved bits, DR4 and DR5 with CR4.DE, general detect, who may. SDM 3, "Debug Registers",
; "General-Detect Exception Condition"; SDM 2, "MOV—Move to/from Debug Registers".

%include "image.inc"
%include "protected.inc"

main:
    protected_setup
    mov eax, 0
    mov dr6, eax
    mov eax, dr6
    show "dr6 after 0", eax
    mov eax, 0x0000f00f
    mov dr6, eax
    mov eax, dr6
    show "dr6 after f00f", eax
    mov eax, 0xffff0ff0
    mov dr6, eax
    mov eax, 0
    mov dr7, eax
    mov eax, dr7
    show "dr7 after 0", eax
    mov eax, 0x0000d300
    mov dr7, eax
    observe "mov from DR7 with GD clear", mov eax, dr7
    mov eax, 0x400
    mov dr7, eax
    mov eax, 0x12345678
    mov dr0, eax
    mov dr1, eax
    mov dr2, eax
    mov dr3, eax
    mov eax, dr3
    show "dr3", eax
    observe "DE=0: mov from DR4", mov eax, dr4
    mov ebx, eax
    show "dr4 is dr6", ebx
    observe "DE=0: mov from DR5", mov eax, dr5
    show "dr5 is dr7", eax
    mov eax, 8
    mov cr4, eax
    observe "DE=1: mov from DR4", mov eax, dr4
    observe "DE=1: mov from DR5", mov eax, dr5
    observe "DE=1: mov to DR4", mov dr4, eax
    mov eax, 0
    mov cr4, eax
    observe_user "user: mov from DR0", mov eax, dr0
    observe_user "user: mov to DR7", mov dr7, eax
    observe_user "user: mov from DR4", mov eax, dr4
    ; General detect: a fault, before the instruction, and it clears GD for the handler.
    attempt "GD: mov from DR0"
    mov eax, 0x2400
    mov dr7, eax
    mov eax, dr0
    outcome_where
    mov eax, dr7
    show "dr7", eax
    attempt "GD: mov to DR7"
    mov eax, 0x2400
    mov dr7, eax
    mov eax, 0x400
    mov dr7, eax
    outcome_where
    mov eax, 0x400
    mov dr7, eax
    finish
