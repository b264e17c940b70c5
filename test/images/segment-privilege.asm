; Loading data and stack segments: CPL, RPL and DPL, presence, and the limit of the table. SDM 3,
; "Privilege Level Checking When Accessing Data Segments", "Privilege Level Checking When Loading the SS
; Register".

%include "image.inc"
%include "protected.inc"

%macro load 3
    attempt %1
    mov eax, %3
    mov %2, eax
    flat
    outcome
%endmacro

%macro load_user 3
    attempt "user: ", %1
    user
    mov eax, %3
    mov %2, eax
    kernel
    outcome
%endmacro

main:
    protected_setup
    segment_at FREE, 0, 0xfffff, 0x93, 0xc
    segment_at FREE + 8, 0, 0xfffff, 0xb3, 0xc
    segment_at FREE + 16, 0, 0xfffff, 0xd3, 0xc
    segment_at FREE + 24, 0, 0xfffff, 0xf3, 0xc
    segment_at FREE + 32, 0, 0xfffff, 0x9b, 0xc
    segment_at FREE + 40, 0, 0xfffff, 0x9f, 0xc
    segment_at FREE + 48, 0, 0xfffff, 0xfb, 0xc
    segment_at FREE + 56, 0, 0xfffff, 0x13, 0xc
    segment_at FREE + 64, 0, 0xfffff, 0x73, 0xc
%assign level 0
%rep 4
%assign requested 0
%rep 4
    load "load FS", fs, FREE + 8 * level + requested
    load "load SS", ss, FREE + 8 * level + requested
    load_user "load FS", fs, FREE + 8 * level + requested
    load_user "load SS", ss, FREE + 8 * level + requested
%assign requested requested + 1
%endrep
%assign level level + 1
%endrep
    load_user "code of level 0", fs, FREE + 32 + 3
    load_user "conforming code of level 0", fs, FREE + 40 + 3
    load_user "code of level 3", fs, FREE + 48 + 3
    load "code of level 3, RPL 3", fs, FREE + 48 + 3
    load "code of level 0, RPL 3", fs, FREE + 32 + 3
    load "conforming code of level 0, RPL 3", fs, FREE + 40 + 3
    load "not present", fs, FREE + 56
    load "SS not present", ss, FREE + 56
    load "SS not present, wrong RPL", ss, FREE + 56 + 1
    load_user "not present", fs, FREE + 64 + 3
    load_user "SS not present", ss, FREE + 64 + 3
    load_user "not present, level 0", fs, FREE + 56 + 3
    load "beyond the limit of the table", fs, 0x100
    load "SS beyond the limit", ss, 0x100
    load "beyond the limit, with RPL", fs, 0x103
    load "the last selector", fs, 0xfffb
    load "local table that is null", fs, FREE + 4
    load "SS from it", ss, FREE + 4
    attempt "pop SS, not present"
    push dword FREE + 56
    pop ss
    flat
    outcome
    attempt "pop DS, level 0 with RPL 3"
    push dword FREE + 3
    pop ds
    flat
    outcome
    finish
