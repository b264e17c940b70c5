; IA32_EFER and the switch to IA-32e mode: what is reserved, what must not change while paging is on, and
; LMA. SDM 3, "Initializing IA-32e Mode"; "Extended Feature Enable Register".

%include "image.inc"
%include "paging.inc"

%macro store 3
    attempt %1
    mov ecx, EFER
    mov eax, %2
    mov edx, %3
    wrmsr
    outcome
    mov ecx, EFER
    rdmsr
    show "efer", eax
%endmacro

main:
    protected_setup
    store "0", 0, 0
    store "SCE", 1, 0
    store "LME", 0x100, 0
    store "NXE", 0x800, 0
    store "LMA written as 1", 0x400, 0
    store "bit 1", 2, 0
    store "bit 9", 0x200, 0
    store "bit 16", 0x10000, 0
    store "bit 32", 0, 1
    store "0", 0, 0
    pae_paging_on 0, 0
    store "LME while paging is on", 0x100, 0
    store "NXE while paging is on", 0x800, 0
    paging_off
    store "LME", 0x100, 0
    mov eax, 0
    mov cr4, eax
    attempt "paging with LME, without PAE"
    mov eax, 0x80000011
    mov cr0, eax
    outcome
    mov eax, cr0
    show "cr0", eax
    finish
