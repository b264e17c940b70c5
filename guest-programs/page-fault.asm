; vmxlab: vcpus=1 pcpus=1
;
; A page fault inside the guest, handled by the guest: no VM exit is needed for it. With EPT the guest
; owns its page tables, and the host does not even see the fault (all exits here are console output).
;
; The program takes the mapping of 0x200000 away, reads from it, and in the handler prints the
; address (CR2) and the error code, gives the mapping back, and returns to the same instruction.

bits 64
org 0x100000
default rel

%include "lib/interrupts.inc"

PAGE_FAULT      equ 14
PAGE_DIRECTORY  equ 0x3000      ; where the loader has put it; 2 MiB for each entry

start:
    set_gate PAGE_FAULT, page_fault
    lidt [idtr]

    mov rax, 0x200000
    mov qword [rax], 42         ; it is mapped now
    mov rbx, PAGE_DIRECTORY
    and qword [rbx + 8], ~1     ; entry 1: not present
    invlpg [rax]

    mov rcx, [rax]              ; faults, and is executed again after the handler
    cmp rcx, 42
    jne .wrong
    lea rsi, [right_text]
    call print_text
    cli
    hlt
.wrong:
    mov al, 1
    out 0xf4, al                ; ends the run with exit code (1 << 1) | 1 = 3

page_fault:
    push rax
    push rcx
    push rdx
    push rsi
    lea rsi, [fault_text]
    call print_text
    mov rax, cr2
    call print_hex
    lea rsi, [code_text]
    call print_text
    mov rax, [rsp + 32]         ; the error code, below the frame that IRETQ takes
    call print_hex
    call print_newline
    or qword [abs PAGE_DIRECTORY + 8], 1
    pop rsi
    pop rdx
    pop rcx
    pop rax
    add rsp, 8                  ; IRETQ does not take the error code
    iretq

%include "lib/console.inc"

fault_text:     db "page fault at 0x", 0
code_text:      db ", error code 0x", 0
right_text:     db "mapped again: the value is still there", 10, 0

; OUTPUT: {{^}}page fault at 0x200000, error code 0x0{{$}}
; OUTPUT-NEXT: {{^}}mapped again: the value is still there{{$}}
; A page fault is the guest's own business: nothing but the console leaves it.
; PROPERTY: never kvm_inj_exception
; CHECK-NOT: reason EXCEPTION_NMI
