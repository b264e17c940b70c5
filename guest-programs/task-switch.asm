; vmxlab: vcpus=1 pcpus=1 memory=8M
;
; Hardware tasks, which no system uses any more and every processor still has: in VMX non-root
; operation each switch is an exit (TASK_SWITCH), and KVM does it in software. A multiboot program of
; 32-bit code goes from task to task in all ways there are and prints what it finds; it prints the
; same under QEMU:
;
;   vmxlab run guest-programs/task-switch.asm --trace trace.txt
;   qemu-system-x86_64 -kernel FILE -debugcon stdio -display none
;     -device isa-debug-exit,iobase=0xf4,iosize=4

%include "lib/multiboot.inc"
NT              equ 1 << 14

; Selectors
CODE            equ 0x08
DATA            equ 0x10
MAIN            equ 0x18        ; TSSs, of which the first is this program's
OTHER           equ 0x20
ABSENT          equ 0x28
SMALL           equ 0x30
OLD             equ 0x38        ; of 16 bits
VIRTUAL         equ 0x40        ; in virtual-8086 mode
GATE            equ 0x48        ; a task gate for OTHER
CODE_16         equ 0x50
BEYOND          equ 0x58        ; the end of the table

; Offsets in a TSS of 32 bits
LINK            equ 0
SS0             equ 8
TSS_CR3         equ 0x1c
TSS_EIP         equ 0x20
TSS_EFLAGS      equ 0x24
TSS_EAX         equ 0x28
TSS_ESP         equ 0x38
TSS_EDI         equ 0x44
TSS_ES          equ 0x48
TSS_CS          equ 0x4c
TSS_SS          equ 0x50
TSS_DS          equ 0x54
TSS_BYTES       equ 0x68

VIRTUAL_CODE    equ 0x8000      ; below 1 MiB

%macro show 1                   ; a 32-bit value
    push eax
    mov eax, %1
    call print_hex
    pop eax
%endmacro

; The fault of an instruction, which is printed.
%macro try 1+
    mov dword [resume], %%after
    mov [resume_stack], esp
    %1
%%after:
%endmacro

%macro descriptor 3             ; selector, base, bits 15:8 of the upper half; the limit is there
    mov eax, %2
    mov [gdt + (%1) + 2], ax
    shr eax, 16
    mov [gdt + (%1) + 4], al
    mov [gdt + (%1) + 7], ah
    mov byte [gdt + (%1) + 5], %3
%endmacro

; A gate in the IDT: vector, offset or 0, selector, type
%macro gate 4
    mov eax, %2
    mov [idt + 8 * (%1)], ax
    mov word [idt + 8 * (%1) + 2], %3
    mov word [idt + 8 * (%1) + 4], (%4) << 8
    shr eax, 16
    mov [idt + 8 * (%1) + 6], ax
%endmacro

; Return from a nested task to one that must not be.
%macro try_return_to 1
    mov word [main_tss + LINK], %1
    pushf
    or dword [esp], NT
    popf
    try iret
    pushf
    and dword [esp], ~NT
    popf
%endmacro

%include "lib/console-32.inc"

start:
    mov esp, stack_end
    lgdt [gdtr]
    lidt [idtr]
    mov ax, DATA
    mov ds, ax
    mov es, ax
    mov ss, ax
    xor eax, eax
    mov fs, ax
    mov gs, ax
    jmp CODE:.flat
.flat:
    descriptor MAIN, main_tss, 0x89
    descriptor OTHER, other_tss, 0x89
    descriptor ABSENT, other_tss, 0x09
    descriptor SMALL, other_tss, 0x89
    descriptor OLD, old_tss, 0x81
    descriptor VIRTUAL, virtual_tss, 0x89
    descriptor CODE_16, old_code, 0x9b
    gate 10, fault_10, CODE, 0x8e
    gate 11, fault_11, CODE, 0x8e
    gate 13, fault_13, CODE, 0x8e
    gate 0x30, 0, OTHER, 0x85
    gate 0x31, 0, MAIN, 0xe5    ; may be used by anybody
    mov ax, MAIN
    ltr ax
    ; Two address spaces, which differ in the second 4 MiB.
    mov dword [directory], 0x87
    mov dword [directory + 4], 0x400087
    mov dword [other_directory], 0x87
    mov dword [other_directory + 4], 0x87
    mov eax, directory
    mov cr3, eax
    mov [main_tss + TSS_CR3], eax
    mov [virtual_tss + TSS_CR3], eax
    mov eax, cr4
    or eax, 1 << 4              ; PSE
    mov cr4, eax
    mov eax, cr0
    or eax, 1 << 31
    mov cr0, eax
    mov dword [marker], 0x11111111
    mov dword [marker + 0x400000], 0x22222222

    say "call "
    call enter_by_call
    say "jump "
    mov dword [other_tss + TSS_EIP], other_jumps
    mov ebx, 0xb0b0b0b0
    jmp OTHER:0
    call say_where
    say "gate "
    mov dword [other_tss + TSS_EIP], other
    call GATE:0
    call say_where
    say "int "
    int 0x30
    call say_where

    ; An exception with an error code, which lies on the stack of the new task.
    say "exception "
    gate 13, 0, OTHER, 0x85
    mov dword [other_tss + TSS_EIP], other_has_code
    mov dword [other_tss + TSS_ESP], other_stack_end
    mov eax, 0x1230
.faulting:
    mov fs, ax                  ; beyond the end of the table
.behind:
    call say_where
    gate 13, fault_13, CODE, 0x8e

    say "old "
    call OLD:0
    call say_where
    show [old_sum]
    call new_line

    ; Virtual-8086 mode as a task of its own, which comes back by an interrupt's task gate.
    say "virtual "
    mov esi, virtual_code
    mov edi, VIRTUAL_CODE
    mov ecx, virtual_end - virtual_code
    rep movsb
    jmp VIRTUAL:0
    call say_where
    pushf                       ; nested, by the interrupt
    and dword [esp], ~NT
    popf
    show [virtual_tss + TSS_EAX]
    show [virtual_tss + TSS_EFLAGS]
    show [virtual_tss + TSS_CS]
    call new_line

    say "busy "
    try jmp MAIN:0
    say "absent "
    try jmp ABSENT:0
    say "small "
    try call SMALL:0
    say "beyond "
    try call BEYOND:0
    say "link "
    try_return_to DATA
    say "available "
    try_return_to OTHER

    mov al, 0
    out 0xf4, al
.end:
    cli
    hlt
    jmp .end

enter_by_call:
    mov ebx, 0xcccccccc
    mov edi, 0xdddddddd
    call OTHER:0x1234           ; the offset does not matter
    call say_where
    show ebx
    show edi
    show [main_tss + TSS_EDI]
    mov eax, [main_tss + TSS_EIP]
    sub eax, enter_by_call
    call print_hex
    call new_line
.end:
    ret

; TR, the link, NT, CR0.TS, which is cleared, which TSS is busy, and the second 4 MiB.
say_where:
    pushf
    str ax
    movzx eax, ax
    call print_hex
    movzx eax, word [main_tss + LINK]
    call print_hex
    pop eax
    and eax, NT
    call print_hex
    mov eax, cr0
    and eax, 8
    call print_hex
    clts
    mov al, [gdt + MAIN + 5]
    mov ah, [gdt + OTHER + 5]
    movzx eax, ax
    call print_hex
    show [marker + 0x400000]
    jmp new_line

; The other task, entered again and again: each IRET leaves it behind itself.
other:
    call say_other
    iret
    jmp other

other_jumps:
    call say_other
    jmp MAIN:0

other_has_code:
    pop ecx
    call say_other
    show ecx
    mov eax, [main_tss + TSS_EIP]
    sub eax, start.faulting
    call print_hex
    mov dword [main_tss + TSS_EIP], start.behind
    iret

say_other:
    show ebx
    show [other_tss + LINK]
    pushf
    pop eax
    and eax, NT
    call print_hex
    str ax
    movzx eax, ax
    call print_hex
    mov al, [gdt + MAIN + 5]
    mov ah, [gdt + OTHER + 5]
    movzx eax, ax
    call print_hex
    show [marker + 0x400000]
    ret

%macro fault 1
fault_%1:
    mov ecx, %1
    jmp faulted
%endmacro
    fault 10
    fault 11
    fault 13
faulted:
    pop edx                     ; error code
    show ecx
    show edx
    mov eax, [esp + 8]
    and eax, NT
    call print_hex
    call new_line
    mov esp, [resume_stack]
    push dword [resume]
    ret

bits 16
virtual_code:
    mov ax, cs
    add ax, 0x1111
    int 0x31
virtual_end:

old_code:
    add ax, bx
    mov [dword old_sum], ax
    iret

bits 32
align 16
gdtr:
    dw gdt_end - gdt - 1
    dd gdt
idtr:
    dw 0x40 * 8 - 1
    dd idt

align 16
gdt:
    dq 0
    dq 0x00cf9b000000ffff
    dq 0x00cf93000000ffff
    dd TSS_BYTES - 1, 0         ; MAIN
    dd TSS_BYTES - 1, 0         ; OTHER
    dd TSS_BYTES - 1, 0         ; ABSENT
    dd TSS_BYTES - 2, 0         ; SMALL
    dd 0x2b, 0                  ; OLD
    dd TSS_BYTES - 1, 0         ; VIRTUAL
    dd OTHER << 16, 0x8500      ; GATE
    dd 0xffff, 0                ; CODE_16
gdt_end:

align 16
main_tss:
    dd 0, 0, DATA
    times TSS_BYTES - ($ - main_tss) db 0
other_tss:
    dd 0, 0, DATA, 0, 0, 0, 0
    dd other_directory
    dd other, 2
    dd 0, 0, 0, 0x0b0b0b0b, other_stack_end, 0, 0, 0
    dd DATA, CODE, DATA, DATA, 0, 0, 0
    dd 0
virtual_tss:
    dd 0, stack_end - 1024, DATA, 0, 0, 0, 0
    dd 0
    dd 0, 0x23002               ; VM, and IOPL 3, with which INT needs nobody's leave
    dd 0, 0, 0, 0, 0xff0, 0, 0, 0
    dd 0, VIRTUAL_CODE >> 4, 0x700, 0, 0, 0, 0
    dd 0
old_tss:
    dw 0, 0, 0, 0, 0, 0, 0
    dw 0                        ; IP
    dw 2                        ; flags
    dw 0x4000, 0, 0, 0x321, 0x800, 0, 0, 0
    dw DATA, CODE_16, DATA, DATA, 0
image_end:

section .bss align=4096
directory:          resb 4096
other_directory:    resb 4096
idt:                resb 0x40 * 8
marker:             resd 1
old_sum:            resd 1
resume:             resd 1
resume_stack:       resd 1
                    resb 4096
other_stack_end:    resb 4096
stack_end:
bss_end:

; EXPECT: 1
; OUTPUT: {{^}}call 0b0b0b0b 00000018 00004000 00000020
; OUTPUT: {{^}}exception
; OUTPUT: {{^}}virtual 00000018 00000040 00004000
; OUTPUT: {{^}}available 0000000a 00000020
; CHECK: kvm_exit: {{.*}}reason TASK_SWITCH {{.*}}info1 0x0000000000000020 info2 0x0000000000000000
; CHECK: kvm_exit: {{.*}}reason TASK_SWITCH {{.*}}info1 0x0000000040000018
; CHECK: kvm_exit: {{.*}}reason TASK_SWITCH {{.*}}info1 0x0000000080000020
; CHECK: kvm_exit: {{.*}}reason TASK_SWITCH {{.*}}info1 0x00000000c0000020 info2 0x0000000080000430
; CHECK: kvm_exit: {{.*}}reason TASK_SWITCH {{.*}}info1 0x00000000c0000020 info2 0x0000000080000b0d
