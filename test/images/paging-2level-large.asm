; 32-bit paging: 4-MiB pages with CR4.PSE, their flags, and bit 7 without it. SDM 3, "32-Bit Paging".

%include "image.inc"
%include "paging.inc"

main:
    protected_setup
    mov dword [SCRATCH], 0x11111111
    mov dword [SCRATCH + 0x1000], 0x22222222
    ; What a table at 400000H would map.
    mov dword [SCRATCH + 4], PT + 7
    paging_on CR0_WP, CR4_PSE
    set_entry PDE, SCRATCH + 0x87
    observe "4 MiB", mov eax, [TEST]
    show "eax", eax
    observe "its second 4 KiB", mov eax, [TEST + 0x1000]
    show "eax", eax
    show "PDE after reads", [PDE]
    observe "write", mov [TEST + 0x2000], eax
    show "PDE after a write", [PDE]
    observe "last dword", mov eax, [TEST + 0x3ffffc]
    set_entry PDE, SCRATCH + 0x85
    observe "read-only, write", mov [TEST], eax
    observe_user "user: read-only, write", mov [TEST], eax
    set_entry PDE, SCRATCH + 0x83
    observe_user "user: supervisor, read", mov eax, [TEST]
    set_entry PDE, SCRATCH + 0x86
    observe "not present", mov eax, [TEST + 0x345678]
    set_entry PDE, SCRATCH + 0x187
    observe "global", mov eax, [TEST + 4]
    set_entry PDE, SCRATCH + 0x1087
    observe "PAT", mov eax, [TEST + 4]
    set_entry PDE, SCRATCH + 0x200087
    observe "bit 21 is reserved", mov eax, [TEST]
    observe_user "user: bit 21 is reserved", mov [TEST], eax
    set_entry PDE, 0xffffffff - 0x3fffff - 0x87 + 0x10e
    observe "not present with all kinds of bits", mov eax, [TEST]

    set_cr4 0
    set_entry PDE, PT + 0x87
    set_entry PT, SCRATCH + 0x1000 + 7
    observe "bit 7 without PSE: a table", mov eax, [TEST]
    show "eax", eax
    show "PDE", [PDE]
    set_cr4 CR4_PSE
    set_entry PT, SCRATCH + 0x1000 + 0x87
    set_entry PDE, PT + 7
    observe "bit 7 of a PTE is PAT", mov eax, [TEST]
    show "eax", eax
    finish
