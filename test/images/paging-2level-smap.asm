; CR4.SMAP with 32-bit paging: data of the user is out of reach but for EFLAGS.AC, and for implicit
; accesses always. SDM 3, "Access Rights".

%include "image.inc"
%include "paging.inc"

%macro entries 3
    set_entry PDE, PT + (%2)
    set_entry PT, SCRATCH + (%3)
    attempt %1, ", read"
    mov eax, [TEST]
    outcome
    attempt %1, ", write"
    mov [TEST + 8], eax
    outcome
    attempt %1, ", fetch"
    mov eax, TEST
    call eax
    outcome
    attempt %1, ", AC, read"
    stac
    mov eax, [TEST]
    clac
    outcome
    attempt %1, ", AC, write"
    stac
    mov [TEST + 8], eax
    clac
    outcome
    attempt "user: ", %1, ", write"
    user
    mov [TEST + 8], eax
    kernel
    outcome
%endmacro

main:
    protected_setup
    mov byte [SCRATCH], 0xc3
    paging_on CR0_WP, CR4_SMAP
    entries "user page", 7, 7
    entries "read-only user page", 7, 5
    entries "supervisor page", 7, 3
    entries "supervisor PDE, user PTE", 3, 7
    entries "not present", 7, 6

    set_entry PT, SCRATCH + 7
    observe "push to the user's page", push dword [TEST]
    attempt "string copy from the user"
    mov esi, TEST + 4
    mov edi, SCRATCH + 0x20
    mov ecx, 2
    rep movsd
    outcome
    ; Descriptor tables are implicit accesses: AC does not count.
    mov dword [SCRATCH + 0x10], 0x0000ffff
    mov dword [SCRATCH + 0x14], 0x00cf9300
    segment_at LDT, TEST, 0x1f, 0x82, 0
    mov eax, LDT
    lldt ax
    attempt "descriptor in a user page"
    mov eax, 0x14
    mov fs, eax
    outcome
    attempt "descriptor in a user page, AC"
    stac
    mov eax, 0x14
    mov fs, eax
    outcome
    observe "its access rights, AC", lar ecx, eax
    observe_user "user: stac", stac
    observe_user "user: clac", clac
    set_cr4 CR4_SMAP | CR4_SMEP
    entries "SMEP too, user page", 7, 7
    set_cr4 0
    set_cr0 0
    entries "SMAP=0, WP=0, read-only user page", 7, 5
    set_cr4 CR4_SMAP
    entries "SMAP=1, WP=0, read-only user page", 7, 5
    finish
