; PAE paging: the four PDPTEs are loaded with CR3 and with CR0.PG or CR4 bits of paging, checked then,
; and not looked at in memory otherwise. SDM 3, "PDPTE Registers".

%include "image.inc"
%include "paging.inc"

%macro load 3
    mov dword [PAE_PDPT + 8 * 3], %2
    mov dword [PAE_PDPT + 8 * 3 + 4], %3
    attempt %1
    mov eax, PAE_PDPT
    mov cr3, eax
    outcome
%endmacro

main:
    protected_setup
    mov dword [SCRATCH], 0x12345678
    pae_paging_on 0, 0
    load "present", PAE_TEST + 1, 0
    observe "read at C0000000", mov eax, [0xc0000000]
    show "eax", eax
    load "not present", 0, 0
    observe "read at C0000000", mov eax, [0xc0000000]
    load "not present with all other bits", 0xfffffffe, 0xffffffff
    load "PWT and PCD", PAE_TEST + 0x19, 0
    load "R/W", PAE_TEST + 3, 0
    load "U/S", PAE_TEST + 5, 0
    load "bit 5", PAE_TEST + 0x21, 0
    load "bit 6", PAE_TEST + 0x41, 0
    load "bit 7", PAE_TEST + 0x81, 0
    load "bit 8", PAE_TEST + 0x101, 0
    load "software bits", PAE_TEST + 0xe01, 0
    load "bit 51", PAE_TEST + 1, 0x00080000
    load "bit 52", PAE_TEST + 1, 0x00100000
    load "bit 63", PAE_TEST + 1, 0x80000000

    load "present", PAE_TEST + 1, 0
    mov dword [PAE_PDPT + 8 * 3], 0
    mov eax, 0
    observe "PDPTE cleared in memory", mov eax, [0xc0000000]
    observe "invlpg does not load", invlpg [0xc0000000]
    observe "read at C0000000", mov eax, [0xc0000000]
    attempt "CR3 loaded"
    mov eax, PAE_PDPT
    mov cr3, eax
    outcome
    observe "read at C0000000", mov eax, [0xc0000000]

    ; CR4 bits of paging load them, too.
    mov dword [PAE_PDPT + 8 * 3], PAE_TEST + 1
    set_cr4 CR4_PAE | CR4_PGE
    observe "after CR4.PGE changed", mov eax, [0xc0000000]
    mov dword [PAE_PDPT + 8 * 3], PAE_TEST + 3
    attempt "CR4.PGE with a reserved bit"
    mov eax, CR4_PAE
    mov cr4, eax
    outcome
    mov ebx, cr4
    show "cr4", ebx
    ; And CR0.PG.
    mov dword [PAE_PDPT + 8 * 3], PAE_TEST + 1
    paging_off
    mov dword [PAE_PDPT + 8 * 3], PAE_TEST + 3
    attempt "CR0.PG with a reserved bit"
    mov eax, CR0_PG | CR0_PE | 0x10
    mov cr0, eax
    outcome
    mov eax, cr0
    and eax, 0x80000001
    show "cr0 PG, PE", eax
    paging_off
    mov dword [PAE_PDPT + 8 * 3], PAE_TEST + 1
    mov eax, CR0_PG | CR0_PE | 0x10
    mov cr0, eax
    attempt "CR3 + 20H, another table"
    mov esi, PAE_PDPT
    mov edi, PAE_PDPT + 0x20
    mov ecx, 8
    rep movsd
    mov dword [PAE_PDPT + 0x20 + 8 * 3], 0
    mov eax, PAE_PDPT + 0x20 + 0x18
    mov cr3, eax
    outcome
    mov eax, cr3
    show "cr3", eax
    observe "read at C0000000", mov eax, [0xc0000000]
    finish
