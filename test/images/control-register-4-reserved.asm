; CR4: bits that are reserved, and those that need another mode. SDM 3, "Control Registers"; SDM 2,
; "MOV—Move to/from Control Registers".

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
    store "PCIDE without long mode", 0x20000
    store "bit 15", 0x8000
    store "bit 19", 0x80000
    store "bit 23", 0x800000
    store "bit 25", 0x2000000
    store "bit 31", 0x80000000
    store "bit 31 with PSE", 0x80000010
    store "PSE", 0x10
    finish
