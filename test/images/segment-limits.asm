; Limits of expand-up segments, in bytes and in pages, for data and stack. SDM 3, "Limit Checking".

%include "image.inc"
%include "protected.inc"

%define SMALL   FREE
%define PAGES   FREE + 8
%define EMPTY   FREE + 16

main:
    protected_setup
    segment_at SMALL, SCRATCH, 0x0fff, 0x93, 4
    segment_at PAGES, SCRATCH, 1, 0x93, 0xc
    segment_at EMPTY, SCRATCH, 0, 0x93, 4
    mov eax, SMALL
    mov fs, eax
    observe "byte at the limit", mov al, [fs:0xfff]
    observe "byte behind it", mov al, [fs:0x1000]
    observe "word at the limit", mov ax, [fs:0xfff]
    observe "dword that ends at the limit", mov eax, [fs:0xffc]
    observe "dword that ends behind it", mov eax, [fs:0xffd]
    observe "write behind it", mov [fs:0x1000], al
    observe "read and write behind it", inc dword [fs:0x1000]
    observe "qword", cmpxchg8b [fs:0xff9]
    observe "dword at FFFFFFFF", mov eax, [fs:0xffffffff]
    observe "word at FFFFFFFE", mov ax, [fs:0xfffffffe]
    mov ebp, 0x1000
    observe "based on EBP, but in FS", mov al, [fs:ebp]
    mov eax, PAGES
    mov gs, eax
    observe "pages: last byte", mov al, [gs:0x1fff]
    observe "pages: behind it", mov al, [gs:0x2000]
    mov eax, EMPTY
    mov gs, eax
    observe "limit 0: byte 0", mov al, [gs:0]
    observe "limit 0: byte 1", mov al, [gs:1]
    observe "limit 0: word 0", mov ax, [gs:0]

    attempt "data of SS beyond the limit"
    mov eax, SMALL
    mov ss, eax
    mov esp, 0x800
    mov al, [ss:0x1000]
    flat
    outcome
    attempt "data by EBP beyond the limit"
    mov eax, SMALL
    mov ss, eax
    mov esp, 0x800
    mov ebp, 0x1000
    mov al, [ebp]
    flat
    outcome
    attempt "data by ESP beyond the limit"
    mov eax, SMALL
    mov ss, eax
    mov esp, 0x800
    mov al, [esp + 0x1000]
    flat
    outcome

    ; String instructions: ES is checked for the destination.
    attempt "stosd beyond the limit of ES"
    mov eax, SMALL
    mov es, eax
    mov edi, 0xff8
    mov ecx, 4
    rep stosd
    flat
    outcome
    show "edi", edi
    show "ecx", ecx
    attempt "lodsb beyond the limit of FS"
    mov esi, 0x1000
    fs lodsb
    outcome
    finish
