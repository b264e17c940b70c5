; 32-bit paging: P, R/W and U/S of both levels with CR0.WP, and the error code. SDM 3, "Access Rights",
; "Page-Fault Exceptions".

%include "image.inc"
%include "paging.inc"


%macro accesses 1
    attempt %1, ", read"
    mov eax, [TEST]
    outcome
    attempt %1, ", write"
    mov byte [TEST + 0x123], 1
    outcome
    attempt %1, ", read and write"
    lock inc dword [TEST + 0xffc]
    outcome
    attempt %1, ", fetch"
    call far_routine
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

%macro entries 3
    set_entry PDE, PT + (%2)
    set_entry PT, SCRATCH + (%3)
    accesses %1
%endmacro

far_routine:
    mov eax, TEST
    jmp eax

main:
    protected_setup
    mov byte [SCRATCH], 0xc3
    paging_on 0, 0
%assign round 0
%rep 2
    entries "all rights", 7, 7
    entries "PTE not present", 7, 6
    entries "PDE not present", 6, 7
    entries "PTE read-only", 7, 5
    entries "PDE read-only", 5, 7
    entries "PTE supervisor", 7, 3
    entries "PDE supervisor", 3, 7
    entries "PTE supervisor read-only", 7, 1
    entries "PDE supervisor, PTE read-only", 3, 5
    entries "PDE read-only, PTE supervisor", 5, 3
    entries "PDE supervisor read-only", 1, 7
    entries "software bits", 0xe07, 0xe07
    entries "PWT, PCD, G", 0x1f, 0x11f
%if round = 0
    set_cr0 CR0_WP
    say "WP=1", 10
%endif
%assign round round + 1
%endrep
    finish
