; vmxlab: vcpus=1 pcpus=1
;
; A command comes to COM1, which interrupts for what has arrived, and is echoed. A letter that nobody
; expects is the end. One command is not survived, each letter of which is looked at by itself:
; `vmxlab fuzz` finds it.
;
; RUN: serial-input=564d,300us,71
; EXPECT: halted

bits 64
org 0x100000
default rel

%include "lib/interrupts.inc"
%include "lib/x2apic.inc"

COM1            equ 0x3f8
SERIAL_VECTOR   equ 0x40
IOAPIC          equ 0xfec00000
COM1_PIN        equ 4

start:
    enable_x2apic
    set_gate SERIAL_VECTOR, serial
    lidt [idtr]
    mov al, 0xff
    out 0x21, al                ; the PIC is told to keep quiet
    mov rbx, IOAPIC
    mov dword [rbx], 0x10 + 2 * COM1_PIN
    mov dword [rbx + 0x10], SERIAL_VECTOR
    mov dx, COM1 + 4
    mov al, 8                   ; OUT2 connects the interrupt
    out dx, al
    mov dx, COM1 + 1
    mov al, 1                   ; for what is received
    out dx, al
.wait:
    cli
    cmp byte [finished], 0
    jne .finished
    sti
    hlt
    jmp .wait
.finished:
    cli
    hlt

; A byte has come, or several.
serial:
    push rax
    push rcx
    push rdx
.more:
    mov dx, COM1 + 5
    in al, dx
    test al, 1
    jz .empty
    mov dx, COM1
    in al, dx
    out 0xe9, al
    call letter
    jmp .more
.empty:
    end_of_interrupt
    pop rdx
    pop rcx
    pop rax
    iretq

letter:
    mov cl, [known]
    test cl, cl
    jnz .second
    cmp al, 'V'
    je .goes_on
    jmp .other
.second:
    cmp cl, 1
    jne .third
    cmp al, 'M'
    je .goes_on
    jmp .other
.third:
    cmp cl, 2
    jne .fourth
    cmp al, 'X'
    je .goes_on
    jmp .other
.fourth:
    cmp al, '!'
    jne .other
    lidt [no_table]
    ud2                         ; nobody can handle it: a triple fault
.goes_on:
    inc byte [known]
    ret
.other:
    mov byte [finished], 1
    ret

no_table:       dw 0
                dq 0
known:          db 0            ; letters of the command so far
finished:       db 0
