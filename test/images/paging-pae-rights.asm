; PAE paging: P, R/W, U/S and XD of both levels with CR0.WP and IA32_EFER.NXE, and the error code.
; SDM 3, "Access Rights", "Page-Fault Exceptions".

%include "image.inc"
%include "paging.inc"

%define XD 0x80000000

; entries text, low bits and high half of the PDE, the same of the PTE
%macro entries 5
    set_entry PAE_TEST, PAE_PT + (%2), %3
    set_entry PAE_PT, SCRATCH + (%4), %5
    attempt %1, ", read"
    mov eax, [TEST]
    outcome
    attempt %1, ", write"
    mov byte [TEST + 0x123], 1
    outcome
    attempt %1, ", fetch"
    mov eax, TEST
    call eax
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
    call eax
    kernel
    outcome
%endmacro

main:
    protected_setup
    mov byte [SCRATCH], 0xc3
    set_efer EFER_NXE
    pae_paging_on CR0_WP, 0
    entries "all rights", 7, 0, 7, 0
    entries "PTE not present", 7, 0, 6, 0
    entries "PDE not present", 6, 0, 7, 0
    entries "PTE read-only", 7, 0, 5, 0
    entries "PDE read-only", 5, 0, 7, 0
    entries "PTE supervisor", 7, 0, 3, 0
    entries "PDE supervisor", 3, 0, 7, 0
    entries "PTE XD", 7, 0, 7, XD
    entries "PDE XD", 7, XD, 7, 0
    entries "PTE XD, supervisor", 7, 0, 3, XD
    entries "PTE XD, not present", 7, 0, 6, XD
    entries "PDE XD, PTE read-only", 7, XD, 5, 0
    set_cr0 0
    entries "WP=0, PTE read-only", 7, 0, 5, 0
    entries "WP=0, PDE read-only, XD", 5, XD, 7, 0
    set_efer 0
    entries "NXE=0, not present", 7, 0, 6, 0
    entries "NXE=0, PTE supervisor", 7, 0, 3, 0
    finish
