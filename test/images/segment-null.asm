; Null selectors: loaded into data segment registers without a fault, used with #GP(0), never in SS or CS.
; SDM 3, "Segment Selectors", "Null Segment Selector Checking".

%include "image.inc"
%include "protected.inc"

%macro load 2
    attempt %1
    mov eax, %2
    mov fs, eax
    outcome
    mov eax, fs
    show "fs", eax
    observe "read", mov al, [fs:SCRATCH]
%endmacro

main:
    protected_setup
    load "0", 0
    load "1", 1
    load "2", 2
    load "3", 3
    load "4, the local table, which is null", 4
    attempt "null in SS"
    mov eax, 0
    mov ss, eax
    flat
    outcome
    attempt "3 in SS"
    mov eax, 3
    mov ss, eax
    flat
    outcome
    attempt "null in DS, write"
    mov eax, 0
    mov ds, eax
    mov [SCRATCH], al
    flat
    outcome
    attempt "null in ES, stosb"
    mov eax, 0
    mov es, eax
    mov edi, SCRATCH
    stosb
    flat
    outcome
    attempt "null in ES, count 0"
    mov eax, 0
    mov es, eax
    mov ecx, 0
    rep stosb
    flat
    outcome
    attempt "null in GS, lea"
    mov eax, 0
    mov gs, eax
    lea eax, [gs:0x123]
    outcome
    attempt "pop of null"
    push dword 0
    pop gs
    outcome
    observe "far jump to null", jmp 0:main
    observe "far jump to 3", jmp 3:main
    attempt "far return to null"
    push dword 0
    push dword main
    retf
    outcome
    attempt "iret to null"
    push dword 2
    push dword 0
    push dword main
    iretd
    outcome
    ; The descriptor of entry 0 is never looked at.
    segment_at 0, 0, 0xfffff, 0x93, 0xc
    load "0 with a descriptor there", 0
    attempt "lldt 0"
    mov eax, 0
    lldt ax
    outcome
    attempt "lldt 3"
    mov eax, 3
    lldt ax
    outcome
    sldt eax
    show "ldtr", eax
    ; Going out clears what the user must not have.
    attempt "user: DS of level 0 on the way out"
    mov eax, DATA
    mov fs, eax
    mov eax, UDATA
    mov gs, eax
    user
    mov eax, fs
    mov ebx, gs
    mov ecx, ds
    mov [kept], eax
    mov [kept + 4], ebx
    kernel
    outcome
    show "fs", [kept]
    show "gs", [kept + 4]
    finish

kept: dd 0, 0
