; Local descriptor tables: LLDT's types and errors, selectors with TI, SLDT. SDM 2, "LLDT", "SLDT"; SDM 3,
; "Segment Selectors".

%include "image.inc"
%include "protected.inc"

%macro load_table 2
    attempt %1
    mov eax, %2
    lldt ax
    outcome
%endmacro

%macro load 2
    attempt %1
    mov eax, %2
    mov fs, eax
    mov al, [fs:0]
    outcome
%endmacro

main:
    protected_setup
    mov dword [SCRATCH], 0x0000ffff
    mov dword [SCRATCH + 4], 0x00cf9300
    mov dword [SCRATCH + 8], 0x0000ffff
    mov dword [SCRATCH + 12], 0x00cff300
    mov dword [SCRATCH + 16], 0x0000ffff
    mov dword [SCRATCH + 20], 0x00cf1300
    mov dword [SCRATCH + 24], 0x0000ffff
    mov dword [SCRATCH + 28], 0x00cf9b00
    segment_at LDT, SCRATCH, 0x1f, 0x82, 0
    segment_at FREE, SCRATCH, 0x1f, 0x02, 0
    segment_at FREE + 8, SCRATCH, 0x1f, 0x93, 0
    segment_at FREE + 16, SCRATCH, 0x1f, 0x89, 0
    segment_at FREE + 24, SCRATCH, 0x17, 0xe2, 0
    load_table "not present", FREE
    load_table "data", FREE + 8
    load_table "TSS", FREE + 16
    load_table "in the local table itself", LDT + 4
    load_table "beyond the limit", 0x200
    load_table "RPL and DPL do not count", FREE + 24 + 3
    sldt eax
    show "ldtr", eax
    load "beyond the limit", 0x1c
    load_table "good", LDT
    sldt eax
    show "ldtr", eax
    load "entry 0", 4
    load "entry 1", 0x0f
    load "entry 1 with RPL 0", 0x0c
    load "entry 2, not present", 0x14
    load "entry 3, code", 0x1c
    load "entry 4, beyond the limit", 0x24
    attempt "far jump by the local table"
    jmp 0x1c:.there
.there:
    mov ebx, cs
    jmp CODE32:.back
.back:
    outcome
    show "cs", ebx
    observe_user "user: lldt", lldt ax
    observe_user "user: sldt", sldt ax
    mov eax, -1
    sldt ax
    show "sldt ax", eax
    mov eax, -1
    sldt eax
    show "sldt eax", eax
    mov dword [SCRATCH + 0x100], -1
    sldt [SCRATCH + 0x100]
    show "sldt in memory", [SCRATCH + 0x100]
    ; The descriptor was cached: changes of the table in the GDT do not matter.
    segment_at LDT, SCRATCH, 0x1f, 0x02, 0
    load "entry 0, after the descriptor was made not present", 4
    mov eax, 0
    lldt ax
    attempt "str"
    str eax
    outcome
    show "tr", eax
    finish
