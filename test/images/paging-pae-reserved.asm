; PAE paging: reserved bits of both levels, XD among them if IA32_EFER.NXE is 0. SDM 3, "PAE Paging",
; "Page-Fault Exceptions". Bit 51 is reserved on processors of less than 52 bits.

%include "image.inc"
%include "paging.inc"

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
%endmacro

main:
    protected_setup
    mov byte [SCRATCH], 0xc3
    pae_paging_on CR0_WP, 0
    entries "NXE=0, PTE XD", 7, 0, 7, 0x80000000
    entries "NXE=0, PDE XD", 7, 0x80000000, 7, 0
    entries "PTE bit 51", 7, 0, 7, 0x00080000
    entries "PDE bit 51", 7, 0x00080000, 7, 0
    entries "PTE bit 52", 7, 0, 7, 0x00100000
    entries "PTE bit 62", 7, 0, 7, 0x40000000
    entries "PDE bit 62", 7, 0x40000000, 7, 0
    entries "PTE bit 51, not present", 7, 0, 6, 0x00080000
    entries "PDE bit 51, PTE not present", 7, 0x00080000, 6, 0
    entries "PTE bit 51, supervisor, read-only", 7, 0, 1, 0x00080000
    set_entry PAE_PT, SCRATCH + 7, 0
    set_entry PAE_TEST, SCRATCH + 0x2087, 0
    observe "2 MiB, bit 13", mov eax, [TEST]
    set_entry PAE_TEST, SCRATCH + 0x100087, 0
    observe "2 MiB, bit 20", mov eax, [TEST]
    set_entry PAE_TEST, SCRATCH + 0x1087, 0
    observe "2 MiB, PAT", mov eax, [TEST]
    set_efer EFER_NXE
    entries "NXE=1, PTE bit 51 and XD", 7, 0, 7, 0x80080000
    entries "NXE=1, PTE bit 62", 7, 0, 7, 0x40000000
    finish
