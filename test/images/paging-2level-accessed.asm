; 32-bit paging: the accessed and dirty flags of both levels, and what leaves them alone. SDM 3,
; "Accessed and Dirty Flags".

%include "image.inc"
%include "paging.inc"

%macro fresh 2
    set_entry PDE, PT + (%1)
    set_entry PT, SCRATCH + (%2)
%endmacro

%macro flags_after 1+
    say %1, ": PDE "
    push eax
    push ecx
    mov ecx, 3
    mov eax, [PDE]
    call print_ecx_digits
    say ", PTE "
    mov eax, [PT]
    call print_ecx_digits
    say 10
    pop ecx
    pop eax
%endmacro

main:
    protected_setup
    mov byte [SCRATCH], 0xc3
    paging_on CR0_WP, 0

    fresh 7, 7
    flags_after "untouched"
    mov eax, [TEST]
    flags_after "read"
    mov [TEST], eax
    flags_after "written after a read"
    fresh 7, 7
    mov [TEST], eax
    flags_after "written"
    fresh 7, 7
    mov eax, TEST
    call eax
    flags_after "fetched"
    fresh 7, 7
    invlpg [TEST]
    flags_after "invlpg"
    fresh 7, 0x47
    mov eax, [TEST]
    flags_after "dirty already, read"
    fresh 7, 0x27
    mov [TEST + 4], eax
    flags_after "accessed already, written"
    fresh 7, 5
    observe "write to a read-only page", mov [TEST], eax
    flags_after "after that fault"
    fresh 5, 7
    observe "write below a read-only PDE", mov [TEST], eax
    flags_after "after that fault"
    fresh 7, 6
    observe "PTE not present", mov eax, [TEST]
    flags_after "after that fault"
    fresh 7, 3
    observe_user "user: supervisor page", mov eax, [TEST]
    flags_after "after that fault"
    fresh 7, 7
    attempt "compare and exchange, unequal"
    mov eax, 1
    mov dword [SCRATCH + 8], 2
    cmpxchg [TEST + 8], ecx
    outcome
    flags_after "after it"
    fresh 7, 7
    attempt "exchange and add"
    xadd [TEST + 8], ecx
    outcome
    flags_after "after it"
    fresh 7, 7
    attempt "bit test without change"
    bt dword [TEST + 8], 1
    outcome
    flags_after "after it"
    fresh 7, 7
    attempt "rep movsb with count 0"
    mov edi, TEST
    mov ecx, 0
    rep movsb
    outcome
    flags_after "after it"
    fresh 7, 7
    attempt "descriptor table in the page"
    mov dword [SCRATCH + 0x10], 0x0000ffff
    mov dword [SCRATCH + 0x14], 0x00cf9200
    lgdt [test_gdt]
    mov eax, 0x10
    mov fs, eax
    lgdt [gdt_pointer]
    outcome
    flags_after "after a load of a segment that was not accessed"
    show "descriptor", [SCRATCH + 0x14]
    fresh 7, 7
    attempt "the same, accessed before"
    lgdt [test_gdt]
    mov eax, 0x10
    mov fs, eax
    lgdt [gdt_pointer]
    outcome
    flags_after "after it"
    mov eax, DATA
    mov fs, eax
    finish

test_gdt:
    dw 0x1f
    dd TEST
