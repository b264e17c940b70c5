; All other processors started at once by the shorthand, each with a stack of its own by its identity; a ticket
; for each, CMPXCHG8B and XCHG on words that they share, IPIs to all, flat logical destinations. SDM 3,
; "Issuing Interprocessor Interrupts", "MP Initialization Protocol". Four processors.

%include "image.inc"
%include "protected.inc"
%include "processors.inc"

%define ROUNDS 200
%define APIC_LDR APIC + 0xd0
%define APIC_DFR APIC + 0xe0

main:
    protected_setup
    apic_setup
    hook 0x33, count_interrupt
    call place_trampoline
    mov dword [APIC_ICR], 0xc4500
.init_sent:
    test dword [APIC_ICR], 0x1000
    jnz .init_sent
    mov dword [APIC_ICR], 0xc4600 | START_VECTOR
    wait_for arrived, 3
    show "arrived", [arrived]
    mov dword [go], 1
    call work
    wait_for finished, 3
    show "counted under a lock", [plain]
    show "counted by CMPXCHG8B, low", [pair]
    show "high", [pair + 4]
    ; To all but this one, then to some by their logical identities.
    mov dword [APIC_ICR], 0xc4033
    wait_for interrupts, 3
    show "interrupts by the shorthand", [interrupts]
    mov dword [interrupts], 0
    mov dword [who], 0
    send 0x0a, 0x4833
    wait_for interrupts, 2
    show "to logical 2 and 8", [interrupts]
    show "who", [who]
    ; All and self.
    mov dword [interrupts], 0
    mov dword [APIC_ICR], 0x84033
    sti
    wait_for interrupts, 4
    cli
    show "to all and self", [interrupts]
    finish

; A lock by XCHG around a plain counter, and a pair that CMPXCHG8B counts.
work:
    mov ebp, ROUNDS
.next:
    mov eax, 1
.spin:
    pause
    xchg [lock_word], eax
    test eax, eax
    jnz .spin
    mov eax, [plain]
    pause
    inc eax
    mov [plain], eax
    mov dword [lock_word], 0
    mov eax, [pair]
    mov edx, [pair + 4]
.retry:
    mov ebx, eax
    mov ecx, edx
    add ebx, 0x40000000
    adc ecx, 0
    lock cmpxchg8b [pair]
    jnz .retry
    dec ebp
    jnz .next
    ret

count_interrupt:
    push eax
    mov eax, [APIC_ID]
    shr eax, 24
    lock bts [who], eax
    pop eax
    mov dword [APIC_EOI], 0
    ; Last, as this ends the wait of the processor that shows who it was.
    lock inc dword [interrupts]
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
    mov eax, 1
    cpuid
    shr ebx, 24
    mov ecx, ebx
    shl ebx, 10
    mov esp, OTHER_STACK
    sub esp, ebx
    lidt [idt_pointer]
    mov dword [APIC_SVR], 0x13f
    mov dword [APIC_TPR], 0
    mov dword [APIC_DFR], 0xffffffff
    mov eax, 0x01000000
    shl eax, cl
    mov [APIC_LDR], eax
    lock inc dword [arrived]
.wait:
    pause
    cmp dword [go], 1
    jne .wait
    call work
    lock inc dword [finished]
    sti
.halt:
    hlt
    jmp .halt

    align 8, db 0
pair: dd 0, 0
lock_word: dd 0
plain: dd 0
arrived: dd 0
go: dd 0
finished: dd 0
interrupts: dd 0
who: dd 0
