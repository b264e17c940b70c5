; The local APIC switched off and on: by the spurious-vector register and by IA32_APIC_BASE. SDM 3, "Enabling
; or Disabling the Local APIC", "Local APIC State After It Has Been Software Disabled".

%include "image.inc"
%include "protected.inc"
%include "apic.inc"

; Bit 11 of IA32_APIC_BASE, and what CPUID says about it.
%macro enabled_bit 1
    mov ecx, APIC_BASE_MSR
    rdmsr
    shr eax, 11
    and eax, 1
    mov esi, eax
    mov eax, 1
    cpuid
    shr edx, 5
    and edx, 0x10
    or esi, edx
    show %1, esi
%endmacro

main:
    protected_setup
    apic_setup
    enabled_bit "enabled"
    mov dword [APIC_TIMER], 0x00000032
    mov dword [APIC_SVR], 0x3f
    show "software disabled: timer entry", [APIC_TIMER]
    mov dword [APIC_TIMER], 0x00000032
    show "it stays masked", [APIC_TIMER]
    mov dword [APIC_SVR], 0x13f
    show "enabled again: timer entry", [APIC_TIMER]
    mov dword [APIC_TIMER], 0x00010032
    ; Globally off: nobody is at the address.
    mov ecx, APIC_BASE_MSR
    rdmsr
    and eax, ~0x800
    wrmsr
    enabled_bit "globally disabled"
    mov ecx, APIC_BASE_MSR
    rdmsr
    or eax, 0x800
    wrmsr
    enabled_bit "globally enabled again"
    show "spurious vector register after it", [APIC_SVR]
    show "timer entry after it", [APIC_TIMER]
    apic_setup
    attempt "an interrupt to itself"
    send_self 0x35
    sti
    nop
    nop
    cli
    outcome
    finish
