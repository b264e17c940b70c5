; CR0: combinations of bits that are not allowed, LMSW, SMSW, CLTS, and who may. SDM 3, "Control Registers";
; SDM 2, "MOV—Move to/from Control Registers", "LMSW", "CLTS".

%include "image.inc"
%include "protected.inc"

%macro store 2
    attempt %1
    mov eax, %2
    mov cr0, eax
    outcome
    mov eax, cr0
    show "cr0", eax
%endmacro

main:
    protected_setup
    store "PE, ET", 0x11
    store "NW without CD", 0x20000011
    store "NW with CD", 0x60000011
    store "CD", 0x40000011
    store "ET cleared", 0x00000001
    store "MP, EM, TS, NE, WP, AM", 0x0005003f
    store "reserved bits of the low half", 0x1ffaffc0 + 0x11
    store "PE, ET", 0x11
    observe "lmsw with all bits", call load_status_word_all
    mov eax, cr0
    show "cr0", eax
    observe "lmsw 0", call load_status_word_none
    mov eax, cr0
    show "cr0", eax
    mov eax, 0xffffffff
    observe "smsw eax", smsw eax
    show "eax", eax
    mov eax, 0xffffffff
    observe "smsw ax", smsw ax
    show "eax", eax
    store "TS", 0x19
    observe "clts", clts
    mov eax, cr0
    show "cr0", eax
    observe_user "user: clts", clts
    observe_user "user: lmsw", lmsw ax
    observe_user "user: smsw", smsw eax
    show "eax", eax
    observe_user "user: mov from CR0", mov eax, cr0
    observe_user "user: mov to CR0", mov cr0, eax
    observe_user "user: mov to CR1", db 0x0f, 0x22, 0xc8
    observe "mov from CR1", db 0x0f, 0x20, 0xc8
    observe "mov to CR5", db 0x0f, 0x22, 0xe8
    observe "mov from CR7", db 0x0f, 0x20, 0xf8
    ; The mod field does not count.
    observe "mov from CR0 with mod 0", db 0x0f, 0x20, 0x00
    show "eax", eax
    observe "lock mov from CR0", db 0xf0, 0x0f, 0x20, 0xc0
    store "PG without PE", 0x80000010
    finish

load_status_word_all:
    mov eax, 0xffff
    lmsw ax
    ret
load_status_word_none:
    mov eax, 0
    lmsw ax
    ret
