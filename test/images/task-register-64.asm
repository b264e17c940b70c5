; LTR and LLDT in 64-bit mode: descriptors of 16 bytes. SDM 2, "LTR—Load Task Register", "LLDT"; SDM 3, "TSS
; Descriptor in 64-bit mode".

%include "image.inc"
%include "long.inc"

%macro load 4
    mov byte [gdt + FREE + 5], %2
    mov dword [gdt + FREE + 12], %3
    attempt %1
    mov eax, FREE
    %4 ax
    outcome
    say "access "
    mov eax, [gdt + FREE + 5]
    mov ecx, 2
    call print_ecx_digits_64
    say 10
%endmacro

main:
    long_setup
    segment_at FREE, tss64, 103, 0x89, 0
    mov dword [gdt + FREE + 8], 0
    load "ltr: available", 0x89, 0, ltr
    load "ltr: busy", 0x8b, 0, ltr
    load "ltr: not present", 0x09, 0, ltr
    load "ltr: 16-bit", 0x81, 0, ltr
    load "lldt: a TSS", 0x89, 0, lldt
    load "lldt: a local table", 0x82, 0, lldt
    load "ltr: a local table", 0x82, 0, ltr
    attempt "the last entry has no second half"
    mov byte [gdt_end - 8 + 5], 0x89
    mov eax, gdt_end - gdt - 8
    ltr ax
    outcome
    attempt "lldt, null"
    mov eax, 0
    lldt ax
    outcome
    attempt "str, sldt of 64 bits"
    mov rbx, -1
    str rbx
    mov rsi, -1
    sldt rsi
    outcome
    show "str", rbx
    show "sldt", rsi
    ; Interrupts still find their stack.
    mov byte [gdt + TSS + 5], 0x89
    mov eax, TSS
    ltr ax
    observe_user "user: ud2", ud2
    finish
