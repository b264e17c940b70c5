; CR4: the bits that there are, who may, and TSD; CR2 and CR3 beside. SDM 3, "Control Registers"; SDM 2, "MOV—Move to/from
; Control Registers".

%include "image.inc"
%include "protected.inc"

%macro store 2
    attempt %1
    mov eax, %2
    mov cr4, eax
    outcome
    mov eax, cr4
    show "cr4", eax
%endmacro

main:
    protected_setup
    store "VME, PVI, TSD, DE, PSE, PAE", 0x3f
    store "MCE, PGE, PCE", 0x1c0
    store "OSFXSR, OSXMMEXCPT", 0x600
    store "FSGSBASE", 0x10000
    store "SMEP, SMAP", 0x300000
    store "0", 0
    observe_user "user: mov from CR4", mov eax, cr4
    observe_user "user: mov to CR4", mov cr4, eax
    ; TSD keeps the time from the user.
    observe_user "user: rdtsc", rdtsc
    store "TSD", 4
    observe "TSD: rdtsc", rdtsc
    observe_user "user: TSD: rdtsc", rdtsc
    store "0", 0
    observe_user "user: rdpmc", rdpmc
    ; CR2 and CR3 keep what they are given.
    mov eax, 0x12345678
    mov cr2, eax
    mov eax, cr2
    show "cr2", eax
    mov eax, 0xfffff018
    mov cr3, eax
    mov eax, cr3
    show "cr3", eax
    finish
