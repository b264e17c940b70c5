; The local APIC: version and identity, interrupts to itself and their order, in service and requested, end
; of interrupt, spurious vector, errors, masked by the task priority. SDM 3, "Advanced Programmable Interrupt
; Controller (APIC)".

%include "image.inc"
%include "protected.inc"
%include "apic.inc"

%macro show_requests 0
    show "requested 3F:20", [APIC_IRR + 0x10]
    show "in service 3F:20", [APIC_ISR + 0x10]
%endmacro

main:
    protected_setup
    mov eax, [APIC_SVR]
    and eax, 0xff
    mov ecx, APIC_BASE_MSR
    rdmsr
    and eax, 0xfffffd00
    show "base, without the processor's kind", eax
    apic_setup
    mov eax, [APIC_ID]
    show "id", eax
    mov eax, [APIC_VERSION]
    and eax, 0xf0
    show "version, upper digit", eax
    show "spurious vector register", [APIC_SVR]
    show_requests
    hook 0x31, note
    hook 0x35, note
    hook 0x38, note
    send_self 0x31
    send_self 0x38
    send_self 0x35
    show_requests
    say "handled:"
    sti
    nop
    nop
    cli
    say 10
    show_requests
    mov dword [APIC_EOI], 0
    say "handled:"
    sti
    nop
    nop
    cli
    say 10
    show_requests
    mov dword [APIC_TPR], 0x40
    mov dword [APIC_EOI], 0
    say "behind the task priority:"
    sti
    nop
    nop
    cli
    say 10
    mov dword [APIC_TPR], 0
    show_requests
    say "handled:"
    sti
    nop
    nop
    cli
    say 10
    mov dword [APIC_EOI], 0
    show_requests
    show "task priority", [APIC_TPR]
    show "timer entry", [APIC_TIMER]
    finish

note:
    push eax
    push ecx
    say " "
    mov eax, [ebp + FRAME_VECTOR]
    mov ecx, 2
    call print_ecx_digits
    pop ecx
    pop eax
    ret
