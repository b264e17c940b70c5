; RDMSR and WRMSR: what is not there, what must be canonical, what is cut off. SDM 2, "RDMSR", "WRMSR";
; SDM 4, "Architectural MSRs".

%include "image.inc"
%include "long.inc"

%macro store 4
    attempt %1
    mov ecx, %2
    mov eax, %3
    mov edx, %4
    wrmsr
    outcome
    mov ecx, %2
    rdmsr
    shl rdx, 32
    or rax, rdx
    show "value", rax
%endmacro

main:
    long_setup
    attempt "rdmsr clears the upper halves"
    mov rax, -1
    mov rdx, -1
    mov ecx, 0xc0000081
    rdmsr
    outcome
    show "rax", rax
    show "rdx", rdx
    attempt "rdmsr, the upper half of RCX is ignored"
    mov rcx, 0x12345678c0000080
    rdmsr
    outcome
    store "STAR", 0xc0000081, 0x11111111, 0x001b0038
    store "LSTAR", 0xc0000082, 0x00345678, 0
    store "LSTAR, high canonical", 0xc0000082, 0x00345678, 0xffff8000
    store "CSTAR", 0xc0000083, 0x00345678, 0
    store "SFMASK", 0xc0000084, 0x00047700, 0
    store "FS.base", 0xc0000100, 0x89abcdef, 0x00001234
    store "GS.base", 0xc0000101, 0x89abcdef, 0xffffabcd
    store "KERNEL_GS_BASE", 0xc0000102, 0x89abcdef, 0x00001234
    store "SYSENTER_CS", 0x174, 0x00000008, 0
    store "SYSENTER_ESP", 0x175, 0x00090000, 0
    store "SYSENTER_EIP", 0x176, 0x00100000, 0xffff8000
    store "PAT", 0x277, 0x00070406, 0x00070406
    store "TSC_AUX", 0xc0000103, 0x12345678, 0
    observe_user "user: rdmsr", rdmsr
    observe_user "user: wrmsr", wrmsr
    finish
