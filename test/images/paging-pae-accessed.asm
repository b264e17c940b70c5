; PAE paging: accessed and dirty flags with 4-KiB and 2-MiB pages. SDM 3, "Accessed and Dirty Flags".

%include "image.inc"
%include "paging.inc"

%macro fresh 2
    set_entry PAE_TEST, %1, 0
    set_entry PAE_PT, %2, 0
%endmacro

%macro flags_after 1+
    say %1, ": PDE "
    push eax
    push ecx
    mov ecx, 3
    mov eax, [PAE_TEST]
    call print_ecx_digits
    say ", PTE "
    mov eax, [PAE_PT]
    call print_ecx_digits
    say 10
    pop ecx
    pop eax
%endmacro

main:
    protected_setup
    mov byte [SCRATCH], 0xc3
    pae_paging_on CR0_WP, 0
    fresh PAE_PT + 7, SCRATCH + 7
    mov eax, [TEST]
    flags_after "4 KiB, read"
    mov [TEST + 4], eax
    flags_after "4 KiB, read, then written"
    fresh PAE_PT + 7, SCRATCH + 7
    mov eax, TEST
    call eax
    flags_after "4 KiB, fetched"
    fresh PAE_PT + 7, SCRATCH + 7
    observe_user "user: write", mov [TEST + 4], eax
    flags_after "4 KiB, written by the user"
    fresh SCRATCH + 0x87, SCRATCH + 7
    mov eax, [TEST]
    flags_after "2 MiB, read"
    mov [TEST + 0x1ffffc], eax
    flags_after "2 MiB, read, then written"
    fresh SCRATCH + 0x87, SCRATCH + 7
    mov [TEST + 4], eax
    flags_after "2 MiB, written"
    fresh SCRATCH + 0x85, SCRATCH + 7
    observe "2 MiB, read-only, write", mov [TEST], eax
    flags_after "after it"
    show "PDPTE is left alone", [PAE_PDPT + 8]
    finish
