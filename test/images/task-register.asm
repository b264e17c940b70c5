; LTR and STR: types, the busy flag, presence, tables. SDM 2, "LTR—Load Task Register", "STR—Store Task
; Register"; SDM 3, "TSS Descriptor".

%include "image.inc"
%include "protected.inc"

%macro load 3
    mov byte [gdt + FREE + 5], %2
    attempt %1
    mov eax, %3
    ltr ax
    outcome
    say "access "
    mov eax, [gdt + FREE + 5]
    mov ecx, 2
    call print_ecx_digits
    str eax
    show ", tr", eax
%endmacro

main:
    protected_setup
    str eax
    show "tr", eax
    mov eax, [gdt + TSS + 4]
    and eax, 0xff00
    show "access of the one loaded", eax
    observe "the same again, busy", ltr ax
    segment_at FREE, tss, 103, 0x89, 0
    load "32-bit, available", 0x89, FREE
    load "32-bit, busy", 0x8b, FREE
    load "not present", 0x09, FREE
    load "busy and not present", 0x0b, FREE
    load "local table", 0x82, FREE
    load "data", 0x93, FREE
    load "code", 0x9b, FREE
    load "call gate", 0x8c, FREE
    load "level 3", 0xe9, FREE
    load "level 3, RPL 3", 0xe9, FREE + 3
    load "by the local table", 0x89, FREE + 4
    load "beyond the limit", 0x89, 0x200
    load "16-bit, available", 0x81, FREE
    load "16-bit, busy", 0x83, FREE
    load "32-bit, available, at the end", 0x89, FREE
    observe_user "user: ltr", ltr ax
    observe_user "user: str", str ax
    mov eax, -1
    str ax
    show "str ax", eax
    mov eax, -1
    str eax
    show "str eax", eax
    finish
