; Which pairs of exceptions make a double fault, seen in protected mode: contributory after contributory or
; page fault, page fault after page fault; all else is handled one after the other. SDM 3, "Double Fault
; Exception (#DF)".

%include "image.inc"
%include "paging.inc"

%define ABSENT FREE

; The gate of the vector leads to a segment that is not there: #NP, which is contributory.
%macro spoil 1
    mov word [idt + 8 * (%1) + 2], ABSENT
%endmacro

%macro mend 1
    mov word [idt + 8 * (%1) + 2], CODE32
%endmacro

main:
    protected_setup
    segment_at ABSENT, 0, 0xfffff, 0x1b, 0xc
    spoil 0
    attempt "#DE, then #NP"
    sub ecx, ecx
    div ecx
    outcome_where
    mend 0
    spoil 13
    observe_where "#GP of a far jump, then #NP", jmp 0x200:0
    attempt "#GP of a load, then #NP"
    mov eax, 0x200
    mov fs, eax
    outcome_where
    mend 13
    spoil 11
    segment_at FREE + 8, 0, 0xfffff, 0x13, 0xc
    attempt "#NP, then #NP"
    mov eax, FREE + 8
    mov fs, eax
    outcome_where
    mend 11
    spoil 12
    attempt "#SS, then #NP"
    mov eax, FREE + 8
    mov ss, eax
    outcome_where
    mend 12
    spoil 6
    observe_where "#UD, then #NP", ud2
    mend 6
    spoil 5
    mov dword [SCRATCH], 2
    mov dword [SCRATCH + 4], 3
    attempt "#BR, then #NP"
    sub eax, eax
    bound eax, [SCRATCH]
    outcome_where
    mend 5
    spoil 3
    observe_where "#BP, then #NP", int3
    mend 3
    spoil 0x31
    observe_where "int 0x31, then #NP", int 0x31
    mend 0x31
    paging_on CR0_WP, 0
    spoil 14
    observe_where "#PF, then #NP", mov eax, [0x70000000]
    show "cr2", [caught_cr2]
    mend 14
    ; The IDT in a page that is not there: page faults while delivering.
    spoil 13
    attempt "#GP, then #NP, with paging"
    mov eax, 0x200
    mov fs, eax
    outcome_where
    mend 13
    mov esi, idt
    mov edi, SCRATCH + 0x1000 - 8 * 6
    mov ecx, VECTORS * 2
    rep movsd
    lidt [split_pointer]
    set_entry PT + 4, SCRATCH + 0x1007
    observe_where "IDT over two pages: #UD", ud2
    ; Vectors from 6 on are on the second page, 0 to 5 on the first.
    set_entry PT, SCRATCH + 6
    attempt "#DE, then #PF"
    sub ecx, ecx
    div ecx
    outcome_where
    set_entry PT, SCRATCH + 7
    lidt [idt_pointer]
    finish

split_pointer:
    dw VECTORS * 8 - 1
    dd TEST + 0x1000 - 8 * 6
