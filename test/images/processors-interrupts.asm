; Interrupts between two processors: fixed ones in both directions, to all others, NMI, a SIPI to a processor
; that runs, INIT to one that runs and a start at another place. SDM 3, "Issuing Interprocessor Interrupts",
; "MP Initialization Protocol". Two processors.

%include "image.inc"
%include "protected.inc"
%include "processors.inc"

main:
    protected_setup
    apic_setup
    hook 0x31, count_here
    hook 0x32, count_there
    hook 2, count_nmi
    start_processor 1
    wait_for arrived, 1
    show "arrived", [arrived]
    send 1, 0x4032
    wait_for counted_there, 1
    show "interrupts there", [counted_there]
    send 0, 0xc4032
    wait_for counted_there, 2
    show "to all others: interrupts there", [counted_there]
    send 1, 0x4400
    wait_for counted_nmis, 1
    show "NMIs there", [counted_nmis]
    send 1, STARTUP | START_VECTOR
    send 1, 0x4032
    wait_for counted_there, 3
    show "a SIPI to one that runs is ignored: arrived", [arrived]
    ; It answers a request by an interrupt to here.
    mov dword [request], 1
    sti
    wait_for counted_here, 1
    cli
    show "interrupts here", [counted_here]
    ; Once more from the start.
    send 1, INIT
    mov dword [request], 0
    send 1, 0x4032
    mov ecx, 0x1000
.pass_time:
    pause
    loop .pass_time
    show "an interrupt to one that waits for SIPI: interrupts there", [counted_there]
    send 1, STARTUP | START_VECTOR
    wait_for arrived, 2
    show "started again: arrived", [arrived]
    send 1, 0x4032
    wait_for counted_there, 4
    show "interrupts there", [counted_there]
    finish

count_here:
    inc dword [counted_here]
    mov dword [APIC_EOI], 0
    ret

count_there:
    inc dword [counted_there]
    mov dword [APIC_EOI], 0
    ret

count_nmi:
    inc dword [counted_nmis]
    ret

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
    mov esp, OTHER_STACK
    lidt [idt_pointer]
    mov dword [APIC_SVR], 0x13f
    mov dword [APIC_TPR], 0
    inc dword [arrived]
.wait:
    sti
    nop
    pause
    cli
    cmp dword [request], 1
    jne .wait
    mov dword [request], 2
    mov dword [APIC_ICR_HIGH], 0
    mov dword [APIC_ICR], 0x4031
    jmp .wait

    align 4, db 0
arrived: dd 0
request: dd 0
counted_here: dd 0
counted_there: dd 0
counted_nmis: dd 0
