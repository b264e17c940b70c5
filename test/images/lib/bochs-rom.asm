; A ROM for Bochs in the place of its BIOS: takes the multiboot image IMAGE, which it contains, to where
; its header says and enters it as a multiboot loader would (Multiboot specification, "Machine state").
; The ROM has 128 KiB and ends both at 4 GiB and, but for shadowing, at 1 MiB.

bits 16
org 0

rom:
image:
    incbin IMAGE
    times 0x1e000 - ($ - $$) db 0

%define ROM_BASE 0xfffe0000

; Offset E000H of segment F000H.
start:
    cli
    o32 lgdt [cs:gdt_pointer - 0x10000]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword 8:ROM_BASE + entry - rom

bits 32
entry:
    mov ecx, 0x10
    mov ds, ecx
    mov es, ecx
    mov fs, ecx
    mov gs, ecx
    mov ss, ecx
    mov esp, 0x7c00
    ; The header is at the start of the image: magic, flags, checksum, header and load address ...
    mov esi, ROM_BASE
    mov edi, [esi + 16]
    mov ebp, [esi + 28]
    mov ecx, 0x1e000 / 4
    cld
    rep movsd
    mov edi, 0x9000
    mov ebx, edi
    mov ecx, 32
    sub eax, eax
    rep stosd
    mov dword [ebx], 1
    mov dword [ebx + 4], 640
    mov dword [ebx + 8], 31 * 1024
    mov eax, 0x2badb002
    jmp ebp

    align 8, db 0
gdt:
    dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_pointer:
    dw 23
    dd ROM_BASE + gdt - rom

    times 0x1fff0 - ($ - $$) db 0
    db 0xea                     ; JMP F000H:E000H
    dw start - rom - 0x10000, 0xf000
    times 0x20000 - ($ - $$) db 0
