; 4-level paging: pages of 2 MiB and 1 GiB with their flags and reserved bits. SDM 3, "4-Level Paging and
; 5-Level Paging".

%include "image.inc"
%include "long.inc"

main:
    long_setup
    mov dword [SCRATCH], 0x11111111
    mov dword [SCRATCH + 0x1000], 0x22222222
    mov dword [SCRATCH + 0x1ffffc], 0x33333333
    set_entry PD_TEST, SCRATCH + 0x87
    observe "2 MiB, read", mov eax, [TEST + 0x1000]
    show "rax", rax
    show "PDE", [PD_TEST]
    observe "2 MiB, last dword", mov eax, [TEST + 0x1ffffc]
    show "rax", rax
    observe "2 MiB, write", mov [TEST + 4], eax
    show "PDE", [PD_TEST]
    observe "behind it", mov eax, [TEST + 0x200000]
    set_entry PD_TEST, SCRATCH + 0x1087
    observe "2 MiB, PAT", mov eax, [TEST + 0x1000]
    set_entry PD_TEST, SCRATCH + 0x2087
    observe "2 MiB, bit 13", mov eax, [TEST + 0x1000]
    set_entry PD_TEST, SCRATCH + 0x100087
    observe "2 MiB, bit 20", mov eax, [TEST + 0x1000]
    set_entry PD_TEST, SCRATCH + 0x87, 0x80000
    observe "2 MiB, bit 51", mov eax, [TEST + 0x1000]
    set_entry PD_TEST, SCRATCH + 0x87, 0x80000000
    mov byte [SCRATCH], 0xc3
    attempt "2 MiB, XD, fetch"
    mov eax, TEST
    call rax
    outcome
    set_entry PD_TEST, SCRATCH + 0x83, 0
    observe_user "user: 2 MiB, supervisor, read", mov eax, [TEST + 0x1000]

    mov dword [PDPT + 24], 0
    mov ebx, 0xc0000000
    set_entry PDPT + 24, 0x87
    observe "1 GiB, read", mov eax, [rbx + SCRATCH + 0x1000]
    show "rax", rax
    show "PDPTE", [PDPT + 24]
    observe "1 GiB, write", mov [rbx + SCRATCH + 4], eax
    show "PDPTE", [PDPT + 24]
    set_entry PDPT + 24, 0x1187
    observe "1 GiB, PAT, global", mov eax, [rbx + SCRATCH + 0x1000]
    set_entry PDPT + 24, 0x2087
    observe "1 GiB, bit 13", mov eax, [rbx + SCRATCH + 0x1000]
    set_entry PDPT + 24, 0x20000087
    observe "1 GiB, bit 29", mov eax, [rbx + SCRATCH + 0x1000]
    set_entry PDPT + 24, 0x87, 0x80000
    observe "1 GiB, bit 51", mov eax, [rbx + SCRATCH + 0x1000]
    set_entry PDPT + 24, 0x85, 0
    observe_user "user: 1 GiB, read-only, write", mov [rbx + SCRATCH + 0x1000], eax
    set_entry PDPT + 24, 0x83, 0
    observe_user "user: 1 GiB, supervisor, read", mov eax, [rbx + SCRATCH + 0x1000]
    set_entry PDPT + 24, 0x87, 0x80000000
    attempt "1 GiB, XD, fetch"
    lea rax, [rbx + SCRATCH]
    call rax
    outcome
    finish
