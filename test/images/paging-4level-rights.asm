; 4-level paging: P, R/W, U/S and XD of all four levels with CR0.WP, and the error code. SDM 3, "Access
; Rights", "Page-Fault Exceptions".

%define USER_ALIAS 0x80000000
%include "image.inc"
%include "long.inc"

%define XD 0x80000000

%macro accesses 1
    attempt %1, ", read"
    mov eax, [TEST]
    outcome
    attempt %1, ", write"
    mov byte [TEST + 0x123], 1
    outcome
    attempt %1, ", fetch"
    mov eax, TEST
    call rax
    outcome
    attempt "user: ", %1, ", read"
    user
    mov eax, [TEST]
    kernel
    outcome
    attempt "user: ", %1, ", write"
    user
    mov byte [TEST + 0x123], 1
    kernel
    outcome
    attempt "user: ", %1, ", fetch"
    user
    mov eax, TEST
    call rax
    kernel
    outcome
%endmacro

; entry text, which, low bits, high half: one level with these rights, and back again
%macro entry 4
    mov eax, [%2]
    and eax, ~0x107
    or eax, %3
    mov [%2], eax
    mov dword [%2 + 4], %4
    call flush_64
    accesses %1
    or dword [%2], 7
    mov dword [%2 + 4], 0
    call flush_64
%endmacro

main:
    long_setup
    mov byte [SCRATCH], 0xc3
    mov rax, cr0
    or eax, 0x10000
    mov cr0, rax
    accesses "all rights"
    entry "PTE not present", PT_TEST, 6, 0
    entry "PDE not present", PD_TEST, 6, 0
    entry "PDPTE not present", PDPT + 8, 6, 0
    entry "PTE read-only", PT_TEST, 5, 0
    entry "PDE read-only", PD_TEST, 5, 0
    entry "PDPTE read-only", PDPT + 8, 5, 0
    entry "PTE supervisor", PT_TEST, 3, 0
    entry "PDE supervisor", PD_TEST, 3, 0
    entry "PDPTE supervisor", PDPT + 8, 3, 0
    entry "PTE XD", PT_TEST, 7, XD
    entry "PDE XD", PD_TEST, 7, XD
    entry "PDPTE XD", PDPT + 8, 7, XD
    entry "PTE XD, supervisor, read-only", PT_TEST, 1, XD
    ; The highest level by a second entry, which leads to the same tables at 8000000000H.
    mov dword [PML4 + 8], PDPT + 7
    mov rbx, 0x8040000000
    observe "other PML4E, read", mov eax, [rbx]
    observe "other PML4E, write", mov [rbx + 8], eax
    set_entry PML4 + 8, PDPT + 5
    observe "PML4E read-only, write", mov [rbx + 8], eax
    set_entry PML4 + 8, PDPT + 3
    observe_user "user: PML4E supervisor, read", mov eax, [rbx + 8]
    set_entry PML4 + 8, PDPT + 6
    observe "PML4E not present, read", mov eax, [rbx + 8]
    set_entry PML4 + 8, PDPT + 7, XD
    observe "PML4E XD, fetch", call rbx
    observe "PML4E XD, read", mov eax, [rbx + 8]
    mov rax, cr0
    and eax, ~0x10000
    mov cr0, rax
    entry "WP=0, PTE read-only", PT_TEST, 5, 0
    entry "WP=0, PDPTE read-only", PDPT + 8, 5, 0
    finish
