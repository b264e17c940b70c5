; Real mode: 20-bit segments, the high memory area, operand and address sizes of 32 bits, SGDT, MSW, and what
; does not exist. SDM 3, "Real-Address Mode Operation".

%include "image.inc"
%include "real.inc"

main:
    mov dword [0x100000 - 0x10], 0
    to_real
    attempt "segment times 16"
    mov ax, 0x1234
    mov es, ax
    mov dword [es:0x10], 0x13579bdf
    mov ax, 0x1235
    mov es, ax
    mov ebx, [es:0]
    outcome
    mov eax, ebx
    call print_8_digits_16
    say 10
    attempt "segment FFFF, offset 10 is at 1 MiB"
    mov ax, 0xffff
    mov es, ax
    mov ebx, [es:0x10]
    outcome
    mov eax, ebx
    call print_8_digits_16
    say 10
    attempt "32-bit operands and addresses"
    mov ebx, 0x100
    mov ecx, 4
    mov dword [fs:ebx + ecx * 2 + 0x5000], 0x2468ace0
    mov eax, [fs:0x5108]
    outcome
    call print_8_digits_16
    say 10
    observe "lldt", lldt ax
    observe "ltr", ltr ax
    observe "sldt", sldt ax
    observe "str", str ax
    observe "lar", lar ax, bx
    observe "verr", verr ax
    observe "arpl", arpl ax, bx
    observe "sysenter", sysenter
    observe "syscall", db 0x0f, 0x05
    observe "mov to CS", db 0x8e, 0xc8
    observe "clts", clts
    observe "mov from CR4", mov eax, cr4
    observe "rdtsc", rdtsc
    observe "smsw", smsw ax
    show16 "msw", ax
    attempt "sgdt"
    sgdt [fs:0x5200]
    outcome
    show16 "limit", [fs:0x5200]
    attempt "sidt"
    sidt [fs:0x5200]
    outcome
    show16 "limit", [fs:0x5200]
    attempt "16-bit lgdt takes 24 bits of the base"
    mov dword [fs:0x5200], 0x5678ffff
    mov word [fs:0x5204], 0x1234
    o16 lgdt [fs:0x5200]
    sgdt [fs:0x5208]
    outcome
    show16 "base", [fs:0x520a]
    show16 "upper half", [fs:0x520c]
    attempt "push of sp"
    mov bx, sp
    push sp
    pop cx
    sub bx, cx
    outcome
    show16 "difference", bx
    attempt "stack wraps"
    mov dx, sp
    sub sp, sp
    push ax
    mov bx, sp
    mov sp, dx
    outcome
    show16 "sp", bx
    attempt "call and ret of 32 bits"
    call dword in_called
    outcome
    jmp in_go_on
in_called:
    o32 ret
in_go_on:
    attempt "enter and leave"
    mov bx, sp
    enter 8, 1
    mov cx, sp
    leave
    sub bx, cx
    outcome
    show16 "bytes", bx
    attempt "far call and return"
    call COPY_SEGMENT:low(in_far)
    outcome
    jmp in_end
in_far:
    mov bx, cs
    retf
in_end:
    attempt "loop by CX"
    mov ecx, 0x10003
    sub bx, bx
in_loop:
    inc bx
    loop in_loop
    outcome
    show16 "times", bx
    attempt "rep stosb by CX and DI, wraps"
    push es
    mov ax, 0x7000
    mov es, ax
    mov edi, 0x1fffe
    mov ecx, 0x10004
    rep stosb
    pop es
    outcome
    show16 "di", di
    show16 "cx", cx
    attempt "popf and IOPL"
    push word 0x7002
    popf
    pushf
    pop bx
    push word 2
    popf
    outcome
    show16 "flags", bx
    to_protected
    finish
