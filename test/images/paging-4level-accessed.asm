; 4-level paging: accessed and dirty flags of all levels. SDM 3, "Accessed and Dirty Flags".

%include "image.inc"
%include "long.inc"

%macro fresh 0
    mov dword [PML4 + 8], PDPT + 7
    and dword [PDPT + 8], ~0x60
    mov dword [PD_TEST], PT_TEST + 7
    mov dword [PT_TEST], SCRATCH + 7
    call flush_64
%endmacro

%macro flags_after 1+
    say %1, ":"
    call print_flags
%endmacro

main:
    long_setup
    mov byte [SCRATCH], 0xc3
    mov rbx, 0x8040000000
    fresh
    flags_after "untouched"
    mov eax, [rbx]
    flags_after "read"
    mov [rbx + 4], eax
    flags_after "then written"
    fresh
    mov [rbx + 4], eax
    flags_after "written"
    fresh
    call rbx
    flags_after "fetched"
    fresh
    prefetcht0 [rbx + 64]
    clflush [rbx]
    invlpg [rbx]
    fresh
    observe "write read-only page, WP=0", mov [rbx + 4], eax
    fresh
    set_entry PT_TEST, SCRATCH + 5
    observe "write read-only page, WP=0", mov [rbx + 4], eax
    flags_after "after it"
    fresh
    attempt "lock cmpxchg8b, unequal"
    mov edx, 1
    lock cmpxchg8b [rbx + 8]
    outcome
    flags_after "after it"
    fresh
    attempt "page-crossing write into a page that is not there"
    mov rax, 0x1122334455667788
    mov [rbx + 0xffc], rax
    outcome
    show "the first half", [SCRATCH + 0xff8]
    fresh
    attempt "stack in the page"
    mov rsp, rbx
    add rsp, 0x800
    push rax
    outcome
    flags_after "after it"
    finish

print_flags:
    push rax
    push rcx
    mov ecx, 3
    mov eax, [PML4 + 8]
    and eax, 0x67
    call .one
    mov eax, [PDPT + 8]
    and eax, 0x67
    call .one
    mov eax, [PD_TEST]
    call .one
    mov eax, [PT_TEST]
    call .one
    say 10
    pop rcx
    pop rax
    ret
.one:
    say " "
    jmp print_ecx_digits_64
