; Expand-down segments: what is above the limit, up to FFFFH or FFFFFFFFH by the B flag. SDM 3, "Limit
; Checking".

%include "image.inc"
%include "protected.inc"

%define DOWN32 FREE
%define DOWN16 FREE + 8
%define PAGES  FREE + 16
%define FULL   FREE + 24

main:
    protected_setup
    segment_at DOWN32, SCRATCH, 0x0fff, 0x97, 4
    segment_at DOWN16, SCRATCH, 0x0fff, 0x97, 0
    segment_at PAGES, SCRATCH, 0, 0x97, 0xc
    segment_at FULL, SCRATCH, 0xfffff, 0x97, 0xc
    mov eax, DOWN32
    mov fs, eax
    observe "B=1: at the limit", mov al, [fs:0xfff]
    observe "B=1: behind the limit", mov al, [fs:0x1000]
    observe "B=1: dword that begins at the limit", mov eax, [fs:0xfff]
    observe "B=1: 0", mov al, [fs:0]
    observe "B=1: 10000", mov al, [fs:0x10000]
    observe "B=1: write at the limit", mov [fs:0xfff], al
    mov eax, DOWN16
    mov gs, eax
    observe "B=0: behind the limit", mov al, [gs:0x1000]
    observe "B=0: at the limit", mov al, [gs:0xfff]
    observe "B=0: byte FFFF", mov al, [gs:0xffff]
    observe "B=0: word FFFF", mov ax, [gs:0xffff]
    observe "B=0: 10000", mov al, [gs:0x10000]
    mov eax, PAGES
    mov gs, eax
    observe "pages: FFF", mov al, [gs:0xfff]
    observe "pages: 1000", mov al, [gs:0x1000]
    mov eax, FULL
    mov gs, eax
    observe "limit FFFFFFFF: FFFFFFFF", mov al, [gs:0xffffffff]
    observe "limit FFFFFFFF: 0", mov al, [gs:0]
    segment_at DOWN32, SCRATCH, 0x0fff, 0x95, 4
    mov eax, DOWN32
    mov fs, eax
    observe "read-only: write", mov [fs:0x1000], al
    observe "read-only: read", mov al, [fs:0x1000]
    finish
