; Ping-pong: two processors wake each other out of HLT by an interrupt, there and back once a round.

%include "program.inc"
%include "processors.inc"
%include "interrupts.inc"

VECTOR      equ 0x30

; Sends the other one its turn. Destination: all but self.
%macro pass_to 1
    mov dword [SHARED], %1
    mov dword [APIC_ICR], 0xc4000 | VECTOR
%endmacro

; Sleeps until it is one's turn.
%macro wait_for_turn 1
%%look:
    cli
    cmp dword [SHARED], %1
    je %%mine
    sti
    hlt
    jmp %%look
%%mine:
    sti
%endmacro

main:
    interrupt_gate VECTOR, ring
    start_processors
    mov ebp, ROUNDS
round:
    pass_to 1
    wait_for_turn 0
    dec ebp
    jnz round
    cli
    mov eax, ebp
    finish

worker:
    lidt [idt_pointer]
.again:
    wait_for_turn 1
    pass_to 0
    jmp .again

ring:
    push xax
    mov dword [APIC_EOI], 0
    pop xax
    return_from_interrupt
