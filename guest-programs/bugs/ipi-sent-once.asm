; vmxlab: vcpus=2 pcpus=2
;
; An interrupt to another processor that gets lost, as some chipsets have had it: who waits for the answer
; without a limit waits for ever. Corrected: ask again after a while.
;
; RUN: name=BUG fault=lose-ipi,vector=64,nth=1 until=2ms
; RUN: name=FIXED define=FIXED fault=lose-ipi,vector=64,nth=1 until=2ms
; XFAIL-BUG: nobody answers
; EXPECT: halted
; PROPERTY: at least 1 fault(kind=lose-ipi)
; PROPERTY: every fault(kind=lose-ipi) is followed by kvm_apic_accept_irq(apicId=1, vector=64) within 500us

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"

VECTOR          equ 0x40
PATIENCE        equ 3000        ; rounds, some 100 us

start:
    test edi, edi
    jz asker
    take_interrupts VECTOR, answers
    mov dword [ready], 1
.sleep:
    cli
    cmp dword [answered], 0
    jne .done
    sti
    hlt
    jmp .sleep
.done:
    cli
    hlt

asker:
    pause
    cmp dword [ready], 0
    je asker
    enable_x2apic
.ask:
    mov ecx, X2APIC_ICR
    mov eax, VECTOR
    mov edx, 1                  ; the APIC id
    wrmsr
    mov ecx, PATIENCE
.look:
    cmp dword [answered], 0
    jne .heard
    mfence
%ifdef FIXED
    dec ecx
    jz .ask
%endif
    jmp .look
.heard:
    cli
    hlt

answers:
    save_registers
    mov dword [answered], 1
    end_of_interrupt
    restore_registers
    iretq

align 64
ready:      dd 0
align 64
answered:   dd 0
