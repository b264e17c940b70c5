; 4-level paging: reserved bits of all levels. SDM 3, "4-Level Paging and 5-Level Paging", "Page-Fault
; Exceptions". Bit 51 is reserved on processors of less than 52 bits.

%include "image.inc"
%include "long.inc"


%macro entry 4
    mov eax, [%2]
    mov [kept], eax
    or eax, %3
    mov [%2], eax
    mov dword [%2 + 4], %4
    call flush_64
    attempt %1, ", read"
    mov eax, [TEST]
    outcome
    attempt "user: ", %1, ", write"
    user
    mov [TEST + 8], eax
    kernel
    outcome
    attempt %1, ", fetch"
    mov eax, TEST
    call rax
    outcome
    mov eax, [kept]
    mov [%2], eax
    mov dword [%2 + 4], 0
    call flush_64
%endmacro

main:
    long_setup
    mov byte [SCRATCH], 0xc3
    mov rax, cr0
    or eax, 0x10000
    mov cr0, rax
    entry "PTE bit 51", PT_TEST, 0, 0x80000
    entry "PDE bit 51", PD_TEST, 0, 0x80000
    entry "PDPTE bit 51", PDPT + 8, 0, 0x80000
    entry "PTE bits 62:52", PT_TEST, 0, 0x7ff00000
    entry "PDE bits 62:52", PD_TEST, 0, 0x7ff00000
    entry "PDPTE bits 62:52", PDPT + 8, 0, 0x7ff00000
    entry "PTE ignored bits", PT_TEST, 0xf98, 0
    entry "PDE ignored bits", PD_TEST, 0xf58, 0
    entry "PDPTE ignored bits", PDPT + 8, 0xf58, 0
    mov dword [PML4 + 8], PDPT + 7
    mov rbx, 0x8040000000
    set_entry PML4 + 8, PDPT + 7, 0x80000
    observe "PML4E bit 51", mov eax, [rbx]
    set_entry PML4 + 8, PDPT + 0x87, 0
    observe "PML4E bit 7", mov eax, [rbx]
    set_entry PML4 + 8, PDPT + 0xf47, 0x7ff00000
    observe "PML4E ignored bits", mov eax, [rbx]
    set_entry PML4 + 8, PDPT + 0x86, 0xfff80000
    observe "PML4E not present with all bits", mov eax, [rbx]
    ; Without XD, bit 63 is reserved.
    mov ecx, EFER
    rdmsr
    and eax, ~0x800
    wrmsr
    entry "NXE=0, PTE XD", PT_TEST, 0, 0x80000000
    entry "NXE=0, PDE XD", PD_TEST, 0, 0x80000000
    entry "NXE=0, PDPTE XD", PDPT + 8, 0, 0x80000000
    set_entry PML4 + 8, PDPT + 7, 0x80000000
    observe "NXE=0, PML4E XD", mov eax, [rbx]
    finish

kept: dd 0
