; CR4.SMEP with 32-bit paging: the supervisor fetches nothing from user pages. SDM 3, "Access Rights".

%include "image.inc"
%include "paging.inc"

%macro entries 3
    set_entry PDE, PT + (%2)
    set_entry PT, SCRATCH + (%3)
    attempt %1, ", fetch"
    mov eax, TEST
    call eax
    outcome
    attempt %1, ", read"
    mov eax, [TEST]
    outcome
    attempt %1, ", write"
    mov [TEST + 8], eax
    outcome
    attempt "user: ", %1, ", fetch"
    user
    mov eax, TEST
    call eax
    kernel
    outcome
    attempt "user: ", %1, ", read"
    user
    mov eax, [TEST]
    kernel
    outcome
%endmacro

main:
    protected_setup
    mov byte [SCRATCH], 0xc3
    paging_on CR0_WP, CR4_SMEP
    entries "user page", 7, 7
    entries "supervisor page", 7, 3
    entries "supervisor PDE, user PTE", 3, 7
    entries "read-only user page", 7, 5
    entries "not present", 7, 6
    entries "PDE not present", 6, 7
    set_cr4 CR4_SMEP | CR4_PSE
    set_entry PDE, SCRATCH + 0x87
    attempt "4 MiB user page, fetch"
    mov eax, TEST
    call eax
    outcome
    set_cr4 0
    entries "SMEP=0, user page", 7, 7
    entries "SMEP=0, not present", 7, 6
    finish
