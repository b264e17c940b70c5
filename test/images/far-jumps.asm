; Far jumps and calls to code segments: conforming or not, CPL, RPL, DPL, presence, limit. SDM 3,
; "Direct Calls or Jumps to Code Segments"; SDM 2, "JMP—Jump", "CALL—Call Procedure".

%include "image.inc"
%include "protected.inc"

%define SAME       FREE
%define CONFORMING FREE + 8
%define FOR_USER   FREE + 16
%define OPEN       FREE + 24
%define ABSENT     FREE + 32
%define LEVEL1     FREE + 40
%define LEVEL3     FREE + 48

; The target says what CS it finds and returns by the mailbox.
%macro jump 2
    mov dword [SCRATCH], landing
    mov dword [SCRATCH + 4], %2
    attempt %1, ", jmp"
    mov dword [landed], 0
    jmp far [SCRATCH]
    outcome
    show "landed with", [landed]
    attempt %1, ", call"
    mov dword [landed], 0
    call far [SCRATCH]
    outcome
    show "landed with", [landed]
    attempt "user: ", %1, ", jmp"
    user
    mov dword [landed], 0
    jmp far [SCRATCH]
    outcome
    show "landed with", [landed]
%endmacro

main:
    protected_setup
    segment_at SAME, 0, 0xfffff, 0x9b, 0xc
    segment_at CONFORMING, 0, 0xfffff, 0x9f, 0xc
    segment_at FOR_USER, 0, 0xfffff, 0xfb, 0xc
    segment_at OPEN, 0, 0xfffff, 0xff, 0xc
    segment_at ABSENT, 0, 0xfffff, 0x1b, 0xc
    segment_at LEVEL1, 0, 0xfffff, 0xbb, 0xc
    segment_at LEVEL3, 0, 0xfffff, 0x7b, 0xc
    jump "level 0, RPL 0", SAME
    jump "level 0, RPL 1", SAME + 1
    jump "level 0, RPL 3", SAME + 3
    jump "conforming of level 0, RPL 0", CONFORMING
    jump "conforming of level 0, RPL 3", CONFORMING + 3
    jump "level 3, RPL 0", FOR_USER
    jump "level 3, RPL 3", FOR_USER + 3
    jump "level 3, RPL 2", FOR_USER + 2
    jump "conforming of level 3", OPEN + 3
    jump "level 1", LEVEL1 + 1
    jump "not present", ABSENT
    jump "not present, level 3", LEVEL3 + 3
    jump "data", DATA
    jump "TSS of no use", LDT
    jump "null", 0
    jump "beyond the limit", 0x200
    jump "local table", 4
    finish

landing:
    mov [landed], cs
    int LEAVE_VECTOR

landed: dd 0
