; CR4.PCIDE and INVPCID: when they are allowed, and bit 63 and the low bits of CR3. SDM 3, "Process-Context
; Identifiers (PCIDs)"; SDM 2, "INVPCID". TCG has neither.

%include "image.inc"
%include "long.inc"

%macro invalidate 4
    mov dword [descriptor_of_pcid], %3
    mov dword [descriptor_of_pcid + 4], 0
    mov rax, %4
    mov [descriptor_of_pcid + 8], rax
    mov eax, %2
    observe %1, invpcid rax, [descriptor_of_pcid]
%endmacro

%macro store_cr3 2
    attempt %1
    mov rax, %2
    mov cr3, rax
    outcome
    mov rax, cr3
    show "cr3", rax
%endmacro

main:
    long_setup
    store_cr3 "PCIDE=0, low bits of CR3", PML4 + 0x18
    store_cr3 "PCIDE=0, bit 63 of CR3", 0x8000000000000000 + PML4
    store_cr3 "PCIDE=0, bit 52 of CR3", 0x0010000000000000 + PML4
    mov eax, PML4 + 0x10
    mov cr3, rax
    attempt "PCIDE=1 with CR3[11:0] not 0"
    mov eax, 0x20020
    mov cr4, rax
    outcome
    mov eax, PML4
    mov cr3, rax
    attempt "PCIDE=1"
    mov eax, 0x20020
    mov cr4, rax
    outcome
    mov rax, cr4
    show "cr4", rax
    store_cr3 "PCID 5", PML4 + 5
    store_cr3 "PCID FFF, without flush", 0x8000000000000000 + PML4 + 0xfff
    store_cr3 "bit 62", 0x4000000000000000 + PML4
    attempt "PG=0 with PCIDE=1"
    mov rax, cr0
    and eax, 0x7fffffff
    mov cr0, rax
    outcome
    invalidate "address", 0, 5, TEST
    invalidate "address, not canonical", 0, 5, 0x8000000000000000
    invalidate "single context", 1, 5, 0
    invalidate "all with global", 2, 5, 0
    invalidate "all", 3, 5, 0
    invalidate "type 4", 4, 0, 0
    invalidate "reserved bits of the descriptor", 1, 0x1005, 0
    invalidate "reserved bits of the descriptor, all", 3, 0x1005, 0
    invalidate "not canonical, single context", 1, 5, 0x8000000000000000
    observe "descriptor not present", invpcid rax, [0x70000000]
    mov eax, 1
    observe_user "user: invpcid", invpcid rax, [descriptor_of_pcid]
    mov eax, PML4
    mov cr3, rax
    attempt "PCIDE=0"
    mov eax, 0x20
    mov cr4, rax
    outcome
    invalidate "PCIDE=0, address, PCID 0", 0, 0, TEST
    invalidate "PCIDE=0, address, PCID 5", 0, 5, TEST
    invalidate "PCIDE=0, single context, PCID 5", 1, 5, TEST
    finish

    align 16, db 0
descriptor_of_pcid: dq 0, 0
