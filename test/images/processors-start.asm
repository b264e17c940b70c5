; The second processor, started by INIT and SIPI: its registers in real mode. SDM 3, "Processor State After
; Reset", "MP Initialization Protocol". Two processors.

%include "image.inc"
%include "protected.inc"
%include "processors.inc"

%define EFER_MSR 0xc0000080

main:
    protected_setup
    apic_setup
    mov edi, 0x7000
    mov ecx, 0x40
    sub eax, eax
    rep stosd
    start_processor 1
    wait_for 0x7000, 0x600d
    show "cs", [0x7010]
    show "ip", [0x7014]
    show "flags", [0x7018]
    mov eax, [0x701c]
    and eax, 0x9fffffff
    show "cr0, without CD and NW", eax
    show "ds", [0x7020]
    show "es", [0x7024]
    show "fs", [0x7028]
    show "gs", [0x702c]
    show "ss", [0x7030]
    show "eax", [0x7034]
    show "ebx", [0x7038]
    show "ecx", [0x703c]
    show "esi", [0x7040]
    show "edi", [0x7044]
    show "ebp", [0x7048]
    show "esp", [0x704c]
    show "cr2", [0x7050]
    show "cr3", [0x7054]
    show "cr4", [0x7058]
    show "dr6", [0x705c]
    show "dr7", [0x7060]
    show "limit of the IDT", [0x7064]
    show "base of the IDT", [0x7068]
    show "limit of the GDT", [0x706c]
    show "base of the GDT", [0x7070]
    show "efer", [0x7074]
    show "its APIC's id", [0x7078]
    show "bootstrap flag and enable of the APIC's base", [0x707c]
    finish

; What is seen goes to 7000H, below the code, by the stack segment of the reset, which is 0.
bits 16
trampoline:
    mov [ss:0x7034], eax
    mov [ss:0x7038], ebx
    mov [ss:0x703c], ecx
    mov [ss:0x7040], esi
    mov [ss:0x7044], edi
    mov [ss:0x7048], ebp
    mov [ss:0x704c], esp
    mov [ss:0x7020], ds
    mov [ss:0x7024], es
    mov [ss:0x7028], fs
    mov [ss:0x702c], gs
    mov [ss:0x7030], ss
    mov [ss:0x7010], cs
    mov sp, 0x7f00
    call .here
.here:
    pop ax
    sub ax, .here - trampoline
    mov [ss:0x7014], ax
    pushfd
    pop dword [ss:0x7018]
    mov eax, cr0
    mov [ss:0x701c], eax
    mov eax, cr2
    mov [ss:0x7050], eax
    mov eax, cr3
    mov [ss:0x7054], eax
    mov eax, cr4
    mov [ss:0x7058], eax
    mov eax, dr6
    mov [ss:0x705c], eax
    mov eax, dr7
    mov [ss:0x7060], eax
    o32 sidt [ss:0x7066]
    mov ax, [ss:0x7066]
    mov [ss:0x7064], ax
    mov word [ss:0x7066], 0
    o32 sgdt [ss:0x706e]
    mov ax, [ss:0x706e]
    mov [ss:0x706c], ax
    mov word [ss:0x706e], 0
    mov ecx, EFER_MSR
    rdmsr
    mov [ss:0x7074], eax
    mov ecx, APIC_BASE_MSR
    rdmsr
    and eax, 0x900
    mov [ss:0x707c], eax
    ; The APIC is out of reach for segments of 64 KiB; the initial identity is in CPUID.
    mov eax, 1
    cpuid
    shr ebx, 24
    mov [ss:0x7078], ebx
    mov dword [ss:0x7000], 0x600d
.halt:
    hlt
    jmp .halt
trampoline_end:
bits 32
