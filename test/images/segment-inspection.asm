; LAR, LSL, VERR, VERW and ARPL over all types, levels and RPLs. SDM 2, the pages of these instructions;
; SDM 3, "Pointer Validation".

%include "image.inc"
%include "protected.inc"

; The four looks at a selector; a letter and ZF for each, and what came out.
%macro look 0
    mov ecx, 0x77777777
    lar ecx, eax
    call print_look
    mov ecx, 0x77777777
    lsl ecx, eax
    call print_look
    verr ax
    call print_flag
    verw ax
    call print_flag
%endmacro

main:
    protected_setup
    mov byte [gdt + FREE], 0x34
    mov byte [gdt + FREE + 1], 0x12
    mov byte [gdt + FREE + 6], 0xc0
    sub ebx, ebx
.types:
    mov [gdt + FREE + 5], bl
    say "access "
    mov eax, ebx
    mov ecx, 2
    call print_ecx_digits
    mov eax, FREE
    look
    mov eax, FREE + 3
    look
    say 10
    inc ebx
    cmp ebx, 256
    jb .types
    mov byte [gdt + FREE + 6], 0x40
    mov byte [gdt + FREE + 5], 0x93
    say "byte granular"
    mov eax, FREE
    look
    say 10, "null"
    mov eax, 3
    look
    say 10, "beyond the limit"
    mov eax, 0x200
    look
    say 10, "no local table"
    mov eax, 4
    look
    say 10
    mov eax, FREE
    mov ecx, 0x77777777
    lar cx, ax
    show "lar of 16 bits", ecx
    mov ecx, 0x77777777
    lsl cx, ax
    show "lsl of 16 bits", ecx
    attempt "user"
    user
    mov eax, FREE
    mov ecx, 0x77777777
    lar ecx, eax
    setz dl
    mov [kept], edx
    mov eax, UDATA
    verw ax
    setz dl
    mov [kept + 4], edx
    kernel
    outcome
    and dword [kept], 0xff
    and dword [kept + 4], 0xff
    show "user: lar of level 0", [kept]
    show "user: verw of his data", [kept + 4]
    sub ebx, ebx
.levels:
    mov eax, ebx
    shr eax, 2
    or eax, 0x10
    mov ecx, ebx
    and ecx, 3
    or ecx, 0x20
    arpl ax, cx
    call print_flag
    mov ecx, 2
    say " "
    call print_ecx_digits
    inc ebx
    cmp ebx, 16
    jb .levels
    say 10
    finish

print_look:
    call print_flag
    push eax
    say " "
    mov eax, ecx
    call print_eax
    pop eax
    ret

print_flag:
    jz .yes
    say " -"
    ret
.yes:
    say " +"
    ret

kept: dd 0, 0
