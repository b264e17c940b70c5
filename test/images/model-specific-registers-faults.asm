; WRMSR and RDMSR that fault: registers that are not there, addresses that are not canonical, reserved
; bits. SDM 2, "RDMSR", "WRMSR"; SDM 4, "Architectural MSRs".

%include "image.inc"
%include "long.inc"

%macro store 4
    attempt %1
    mov ecx, %2
    mov eax, %3
    mov edx, %4
    wrmsr
    outcome
%endmacro

main:
    long_setup
    attempt "rdmsr 4000"
    mov ecx, 0x4000
    rdmsr
    outcome
    store "wrmsr 4000", 0x4000, 0, 0
    store "LSTAR, not canonical", 0xc0000082, 0, 0x00008000
    store "CSTAR, not canonical", 0xc0000083, 0, 0x00008000
    store "FS.base, not canonical", 0xc0000100, 0, 0x00008000
    store "GS.base, not canonical", 0xc0000101, 0, 0xffff7fff
    store "KERNEL_GS_BASE, not canonical", 0xc0000102, 0, 0x00008000
    store "SYSENTER_ESP, not canonical", 0x175, 0, 0x00008000
    store "SYSENTER_EIP, not canonical", 0x176, 0, 0x00008000
    store "PAT, type 2", 0x277, 0x00070402, 0
    store "PAT, type 8", 0x277, 0x08070406, 0
    store "SFMASK, upper half", 0xc0000084, 0, 1
    store "TSC_AUX, upper half", 0xc0000103, 0, 1
    store "EFER, LME cleared while paging", EFER, 0x801, 0
    store "EFER, bit 2", EFER, 0xd05, 0
    finish
