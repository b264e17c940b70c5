; The accessed flag of segment descriptors: set by loads, not by looks. SDM 3, "Code- and Data-Segment
; Descriptor Types".

%include "image.inc"
%include "protected.inc"

%define DATA_SEGMENT FREE
%define CODE_SEGMENT FREE + 8
%define USER_CODE    FREE + 16 + 3

%macro fresh 0
    segment_at DATA_SEGMENT, 0, 0xfffff, 0x92, 0xc
    segment_at CODE_SEGMENT, 0, 0xfffff, 0x9a, 0xc
    segment_at USER_CODE, 0, 0xfffff, 0xfa, 0xc
%endmacro

%macro accessed 1+
    say %1, ": data "
    push eax
    push ecx
    mov ecx, 2
    mov eax, [gdt + DATA_SEGMENT + 5]
    call print_ecx_digits
    say ", code "
    mov eax, [gdt + CODE_SEGMENT + 5]
    call print_ecx_digits
    say ", user's code "
    mov eax, [gdt + (USER_CODE & 0xf8) + 5]
    call print_ecx_digits
    say 10
    pop ecx
    pop eax
%endmacro

main:
    protected_setup
    fresh
    accessed "untouched"
    mov eax, DATA_SEGMENT
    lar ecx, eax
    lsl ecx, eax
    verr ax
    verw ax
    mov eax, CODE_SEGMENT
    lar ecx, eax
    verr ax
    accessed "lar, lsl, verr, verw"
    mov eax, DATA_SEGMENT
    mov fs, eax
    accessed "mov to FS"
    fresh
    mov eax, DATA_SEGMENT
    mov ss, eax
    accessed "mov to SS"
    mov eax, DATA
    mov ss, eax
    fresh
    mov eax, CODE_SEGMENT
    mov es, eax
    accessed "code in ES"
    mov eax, DATA
    mov es, eax
    fresh
    jmp CODE_SEGMENT:.one
.one:
    accessed "far jump"
    jmp CODE32:.two
.two:
    fresh
    push dword CODE_SEGMENT
    push dword .three
    retf
.three:
    accessed "far return"
    jmp CODE32:.four
.four:
    fresh
    gate_at 0x31, CODE_SEGMENT, through_gate, 0x8e
    int 0x31
    accessed "interrupt gate"
    fresh
    mov dword [SCRATCH], 0
    mov dword [SCRATCH + 4], DATA_SEGMENT
    observe "lgs", lgs eax, [SCRATCH]
    accessed "lgs"
    fresh
    segment_at DATA_SEGMENT, 0, 0xfffff, 0x12, 0xc
    attempt "not present"
    mov eax, DATA_SEGMENT
    mov fs, eax
    outcome
    accessed "after it"
    fresh
    attempt "user: far jump"
    user
    jmp USER_CODE:.five
.five:
    kernel
    outcome
    accessed "after it"
    finish

through_gate:
    iretd
