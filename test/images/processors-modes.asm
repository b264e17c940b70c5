; Four processors: each started by INIT and SIPI goes to protected and to 64-bit mode and counts with the
; others under LOCK. SDM 3, "MP Initialization Protocol", "Locked Atomic Operations". Four processors.

%include "image.inc"
%include "protected.inc"
%include "long.inc"
%include "processors.inc"

%define ROUNDS 1000

main:
    protected_setup
    apic_setup
    call build_long_tables
    mov dword [arrived], 0
%assign processor 1
%rep 3
    mov dword [expected], processor
    start_processor processor
    wait_for arrived, processor
%assign processor processor + 1
%endrep
    show "arrived in 64-bit mode", [arrived]
    show "identities", [identities]
    mov dword [go], 1
    mov ecx, ROUNDS
.count:
    lock inc dword [total]
    loop .count
    wait_for finished, 3
    show "total", [total]
    mov eax, [tickets]
    show "tickets", eax
    mov eax, [sum]
    show "sum of the tickets", eax
    show "cs", [their_cs]
    finish

; In real mode at START.
bits 16
trampoline:
    cli
    jmp COPY_SEGMENT:low(in_copy)
in_copy:
    o32 lgdt [cs:low(gdt_pointer)]
    mov eax, cr0
    and eax, 0x9fffffff
    or al, 1
    mov cr0, eax
    jmp dword CODE32:in_protected
trampoline_end:
bits 32
in_protected:
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov eax, 0x20
    mov cr4, eax
    mov eax, PML4
    mov cr3, eax
    mov ecx, EFER
    rdmsr
    or eax, 0x100
    wrmsr
    mov eax, 0x80000011
    mov cr0, eax
    jmp CODE64:in_long
bits 64
in_long:
    mov eax, 1
    cpuid
    shr ebx, 24
    mov ecx, ebx
    mov rsp, OTHER_STACK
    shl ebx, 10
    sub rsp, rbx
    mov eax, 1
    shl eax, cl
    lock or [identities], eax
    mov eax, cs
    mov [their_cs], eax
    lock inc dword [arrived]
.wait:
    pause
    cmp dword [go], 1
    jne .wait
    mov ecx, ROUNDS
.count:
    lock inc dword [total]
    mov eax, 1
    lock xadd [tickets], eax
    lock add [sum], eax
    loop .count
    lock inc dword [finished]
.halt:
    hlt
    jmp .halt
bits 32

    align 4, db 0
expected: dd 0
arrived: dd 0
identities: dd 0
go: dd 0
total: dd 0
tickets: dd 0
sum: dd 0
finished: dd 0
their_cs: dd 0
