; vmxlab: vcpus=2 pcpus=2
;
; "The other has surely flushed by now": an interrupt is sent, and its effect is taken for granted after
; a while. Then it comes late. Corrected: wait for the answer.
;
; RUN: name=BUG fault=delay-ipi,by=50us,vector=64
; RUN: name=FIXED define=FIXED fault=delay-ipi,by=50us,vector=64
; XFAIL-BUG: it goes on before the other has flushed
; EXPECT: halted
; PROPERTY: never guest_code(at=reuse) between guest_code(at=asked) and guest_write(at=flushed, new=1)

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"

VECTOR          equ 0x40

start:
    test edi, edi
    jz asker
    take_interrupts VECTOR, flush
    mov dword [ready], 1
.work:
    sti
    pause
    cmp dword [flushed], 0
    je .work
    cli
    hlt

asker:
    pause
    cmp dword [ready], 0
    je asker
    enable_x2apic
    mov ecx, X2APIC_ICR
    mov eax, VECTOR
    mov edx, 1                  ; the APIC id
asked:
    wrmsr
%ifdef FIXED
.wait:
    pause
    cmp dword [flushed], 0
    je .wait
%else
    mov ecx, 500                ; some 18 us
.wait:
    mfence
    dec ecx
    jnz .wait
%endif
reuse:
    nop                         ; what the other no longer knows of, it is thought
    cmp dword [flushed], 0
    mov al, 1
    je .stale
    cli
    hlt
.stale:
    out 0xf4, al

flush:
    save_registers
    mov dword [flushed], 1
    end_of_interrupt
    restore_registers
    iretq

align 64
ready:      dd 0
align 64
flushed:    dd 0
