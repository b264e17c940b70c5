; Implicit accesses to tables are the supervisor's, whoever causes them: U/S, R/W and CR0.WP for a
; descriptor table of the user's loads. SDM 3, "Access Rights", "Determination of Access Rights".

%include "image.inc"
%include "paging.inc"

; A local table in the test page: accessed data at 0, data not accessed yet at 8.
%macro fresh 2
    mov dword [SCRATCH], 0x0000ffff
    mov dword [SCRATCH + 4], 0x00cff300
    mov dword [SCRATCH + 8], 0x0000ffff
    mov dword [SCRATCH + 12], 0x00cff200
    set_entry PDE, PT + (%1)
    set_entry PT, SCRATCH + (%2)
%endmacro

%macro loads 1
    attempt %1, ", accessed"
    mov eax, 0x07
    mov fs, eax
    outcome
    attempt %1, ", not accessed"
    mov eax, 0x0f
    mov fs, eax
    outcome
    show "access byte", [SCRATCH + 12]
    attempt "user: ", %1, ", accessed"
    user
    mov eax, 0x07
    mov fs, eax
    kernel
    outcome
    attempt "user: ", %1, ", not accessed"
    user
    mov eax, 0x0f
    mov fs, eax
    kernel
    outcome
    show "access byte", [SCRATCH + 12]
%endmacro

main:
    protected_setup
    segment_at LDT, TEST, 0x0f, 0x82, 0
    paging_on CR0_WP, 0
    mov eax, LDT
    lldt ax
    fresh 7, 3
    loads "supervisor page"
    fresh 7, 7
    loads "user page"
    fresh 7, 1
    loads "WP=1, supervisor read-only page"
    fresh 7, 6
    loads "not present"
    set_cr0 0
    fresh 7, 1
    loads "WP=0, supervisor read-only page"
    fresh 7, 5
    loads "WP=0, user read-only page"
    ; Verification leaves the flag alone.
    fresh 7, 7
    attempt "lar"
    mov eax, 0x0f
    lar ecx, eax
    outcome
    show "access byte", [SCRATCH + 12]
    finish
