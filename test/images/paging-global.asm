; Global pages, CR4.PGE and the invalidations: mappings that were changed and invalidated are seen as
; changed. SDM 3, "Global Pages", "Operations that Invalidate TLBs and Paging-Structure Caches".

%include "image.inc"
%include "long.inc"

%macro look 1
    observe %1, mov eax, [TEST]
    show "rax", rax
%endmacro

main:
    long_setup
    mov dword [SCRATCH], 1
    mov dword [SCRATCH + 0x1000], 2
    mov dword [SCRATCH + 0x2000], 3
    mov rax, cr4
    or eax, 0x80
    mov cr4, rax
    set_entry PT_TEST, SCRATCH + 0x107
    look "global"
    mov dword [PT_TEST], SCRATCH + 0x1107
    invlpg [TEST + 0x123]
    look "after invlpg of another byte of the page"
    mov dword [PT_TEST], SCRATCH + 0x2107
    mov rax, cr4
    and eax, ~0x80
    mov cr4, rax
    look "after clearing PGE"
    mov dword [PT_TEST], SCRATCH + 7
    mov rax, cr3
    mov cr3, rax
    look "not global, after loading CR3"
    mov dword [PT_TEST], SCRATCH + 0x1006
    observe "not present, after invlpg", invlpg [TEST]
    look "then"
    observe "invlpg of a page that is not mapped", invlpg [0x70000000]
    mov rbx, 0x8000000000000000
    observe "invlpg of an address that is not canonical", invlpg [rbx]
    observe_user "user: invlpg", invlpg [TEST]
    mov dword [PD_TEST], SCRATCH + 0x187
    invlpg [TEST]
    look "a 2-MiB page in the table's place"
    mov dword [PD_TEST], PT_TEST + 7
    mov dword [PT_TEST], SCRATCH + 0x1007
    invlpg [TEST]
    look "the table again"
    ; Not present before: no invalidation is necessary.
    mov dword [PT_TEST + 8], 0
    call flush_64
    observe "second page", mov eax, [TEST + 0x1000]
    mov dword [PT_TEST + 8], SCRATCH + 0x2007
    observe "second page, made present", mov eax, [TEST + 0x1000]
    show "rax", rax
    finish
