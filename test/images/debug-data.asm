; Data and I/O breakpoints: traps after the instruction, lengths, writes and reads, alignment, DR6. SDM 3,
; "Data Memory and I/O Breakpoint Exception Conditions", "Breakpoint Field Recognition".

%include "image.inc"
%include "protected.inc"

%define WRITE 1
%define IO    2
%define READ  3

; DR0 at an address, of a kind (WRITE, IO, READ) and a length field (0: 1, 1: 2, 3: 4 bytes)
%macro watch 3
    mov eax, %1
    mov dr0, eax
    mov eax, 0x401 | ((%2) << 16) | ((%3) << 18)
    mov dr7, eax
%endmacro

%macro unwatch 0
    mov eax, 0x400
    mov dr7, eax
    mov eax, 0xffff0ff0
    mov dr6, eax
%endmacro

%macro watching 5+
    watch %2, %3, %4
    observe_where %1, %5
    unwatch
%endmacro

main:
    protected_setup
    watching "write, 4 bytes: write", SCRATCH, WRITE, 3, mov [SCRATCH], eax
    watching "write, 4 bytes: read", SCRATCH, WRITE, 3, mov eax, [SCRATCH]
    watching "write, 4 bytes: byte 3", SCRATCH, WRITE, 3, mov [SCRATCH + 3], al
    watching "write, 4 bytes: byte 4", SCRATCH, WRITE, 3, mov [SCRATCH + 4], al
    watching "write, 4 bytes: dword from below", SCRATCH, WRITE, 3, mov [SCRATCH - 3], eax
    watching "write, 4 bytes: dword below", SCRATCH, WRITE, 3, mov [SCRATCH - 4], eax
    watching "write, 1 byte: write", SCRATCH + 1, WRITE, 0, mov [SCRATCH], eax
    watching "write, 1 byte: byte before", SCRATCH + 1, WRITE, 0, mov [SCRATCH], al
    watching "write, 2 bytes: byte 1", SCRATCH + 2, WRITE, 1, mov [SCRATCH + 3], al
    watching "read or write: read", SCRATCH, READ, 3, mov eax, [SCRATCH]
    watching "read or write: write", SCRATCH, READ, 3, mov [SCRATCH], eax
    watching "read or write: read and write", SCRATCH, READ, 3, inc dword [SCRATCH]
    watching "write: read and write", SCRATCH, WRITE, 3, inc dword [SCRATCH]
    watching "read or write: fetch", here, READ, 0, db 0x90
here:
    watching "read or write: lea", SCRATCH, READ, 3, lea eax, [SCRATCH]
    watching "read or write: prefetch", SCRATCH, READ, 3, prefetcht0 [SCRATCH]
    watching "read or write: cmp that fails", SCRATCH, READ, 3, cmp dword [SCRATCH], 1
    attempt "write: push"
    watch SPARE_STACK - 4, WRITE, 3
    mov esp, SPARE_STACK
    push eax
    outcome_where
    unwatch
    mov esi, SCRATCH
    mov edi, SCRATCH + 0x10
    mov ecx, 4
    watching "write in the middle of rep movsd", SCRATCH + 0x14, WRITE, 3, rep movsd
    mov ecx, [caught_ecx]
    show "ecx", ecx
    watching "write to a place that faults", 0x70000000, WRITE, 3, ud2
    attempt "two of them"
    mov eax, SCRATCH
    mov dr0, eax
    mov eax, SCRATCH + 0x20
    mov dr3, eax
    mov eax, 0xd00d0441
    mov dr7, eax
    mov eax, [SCRATCH]
    mov [SCRATCH + 0x20], eax
    outcome
    unwatch
    attempt "behind mov ss it waits"
    watch SCRATCH, READ, 3
    mov eax, DATA
    mov [SCRATCH + 8], eax
    mov dword [SCRATCH], DATA
    outcome_where
    unwatch
    attempt "user: write"
    watch SCRATCH, WRITE, 3
    user
    mov [SCRATCH], eax
    kernel
    outcome
    unwatch
    ; I/O, which needs CR4.DE.
    mov eax, 8
    mov cr4, eax
    watching "I/O: in", 0x80, IO, 0, in al, 0x80
    watching "I/O: out", 0x80, IO, 0, out 0x80, al
    watching "I/O: next port", 0x80, IO, 0, in al, 0x81
    watching "I/O, 2 bytes: port 81", 0x80, IO, 1, in al, 0x81
    watching "I/O: memory of the same address", 0x80, IO, 0, mov al, [0x80]
    watching "I/O: in by DX", 0x80, IO, 0, call in_by_dx
    finish

in_by_dx:
    mov edx, 0x80
    in al, dx
    ret
