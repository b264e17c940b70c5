; Ports and IOPL: the permission bitmap of the task state, accesses over several bits, its end. SDM 1,
; "I/O Permission Bit Map"; SDM 2, "IN—Input From Port", "INS/INSB/INSW/INSD".

%include "image.inc"
%include "protected.inc"

%define BITMAP (SCRATCH + 104)

%macro ports 1
    mov word [SCRATCH + 102], 104
    segment_at TSS, SCRATCH, %1, 0x89, 0
    mov eax, TSS
    ltr ax
%endmacro

main:
    protected_setup
    mov esi, tss
    mov edi, SCRATCH
    mov ecx, 26
    rep movsd
    mov edi, BITMAP
    mov ecx, 65
    sub eax, eax
    rep stosd
    ; Ports 80H to FFH are there; 84H, 90H and 97H are closed.
    mov byte [BITMAP + 0x10], 0x10
    mov byte [BITMAP + 0x12], 0x81
    mov byte [BITMAP + 0x20], 0xff
    ports 104 + 0x20
    observe_user "user: port 80", in al, 0x80
    observe_user "user: port 84", in al, 0x84
    observe_user "user: word at 82", in ax, 0x82
    observe_user "user: word at 83", in ax, 0x83
    observe_user "user: dword at 80", in eax, 0x80
    observe_user "user: dword at 81", in eax, 0x81
    observe_user "user: word at 8E", in ax, 0x8e
    observe_user "user: word at 8F, over two bytes of the map", in ax, 0x8f
    observe_user "user: port 97", in al, 0x97
    observe_user "user: port 96", in al, 0x96
    observe_user "user: write of port 84", out 0x84, al
    observe_user "user: write of port 85", out 0x85, al
    observe_user "user: port FF, the last", in al, 0xff
    mov edx, 0xfe
    attempt "user: word at FE"
    user
    mov edx, 0xfe
    in ax, dx
    kernel
    outcome
    attempt "user: port 100, beyond"
    user
    mov edx, 0x100
    in al, dx
    kernel
    outcome
    attempt "user: ins at 84"
    user
    mov edx, 0x84
    mov edi, SCRATCH + 0x800
    insb
    kernel
    outcome
    attempt "user: outs at 80"
    user
    mov edx, 0x80
    mov esi, SCRATCH + 0x800
    outsb
    kernel
    outcome
    attempt "user: rep outs, count 0, at 84"
    user
    mov edx, 0x84
    mov ecx, 0
    rep outsb
    kernel
    outcome
    ; The map ends with the limit.
    ports 104 + 0x10
    observe_user "limit at its byte: port 80", in al, 0x80
    observe_user "limit before the next byte: port 78", in al, 0x78
    ports 104 + 0x11
    observe_user "limit behind it: port 80", in al, 0x80
    ports 103
    observe_user "no map: port 0", in al, 0
    ports 104 + 0x20
    mov word [SCRATCH + 102], 0xffff
    observe_user "base FFFF: port 80", in al, 0x80
    ; IOPL 3 asks no map.
    attempt "IOPL 3: port 84"
    push dword 0x3002
    popfd
    user
    in al, 0x84
    cli
    sti
    cli
    kernel
    outcome
    observe_user "IOPL 0: cli", cli
    observe_user "IOPL 0: sti", sti
    observe "level 0 asks no map: port 84", in al, 0x84
    finish
