; vmxlab: vcpus=1 pcpus=1 memory=4M
;
; The interrupt controllers and the timer of a PC, as drivers use them: what the PIC has requested
; and in service, polling it, its priorities and its automatic end of interrupt; the interval timer's
; modes, read back; entries of the I/O APIC, edges and levels. A multiboot program that prints what
; it finds, the same under QEMU:
;
;   vmxlab run guest-programs/interrupt-controllers.asm
;   qemu-system-x86_64 -icount shift=4 -kernel FILE -debugcon stdio -display none
;     -device isa-debug-exit,iobase=0xf4,iosize=4

%include "lib/multiboot.inc"

CODE            equ 0x08
DATA            equ 0x10
PIC             equ 0x20
PIC_MASK        equ 0x21
SLAVE           equ 0xa0
SLAVE_MASK      equ 0xa1
COUNTER_0       equ 0x40
COUNTER_2       equ 0x42
PIT             equ 0x43
GATE            equ 0x61
COM1            equ 0x3f8
IOAPIC          equ 0xfec00000
APIC            equ 0xfee00000
EOI             equ 0xb0
SPURIOUS        equ 0xf0
ISR             equ 0x100

%macro outb 2                   ; port, value
    mov edx, %1
    mov al, %2
    out dx, al
%endmacro

%macro inb 1
    mov edx, %1
    in al, dx
%endmacro

%macro show_port 1
    inb %1
    movzx eax, al
    call print_hex
%endmacro

; What the PIC has requested, and in service.
%macro show_pic 0
    outb PIC, 0x0a
    show_port PIC
    outb PIC, 0x0b
    show_port PIC
%endmacro

%macro init_pics 1              ; ICW4 of the first
    outb PIC, 0x11
    outb PIC_MASK, 0x20
    outb PIC_MASK, 4
    outb PIC_MASK, %1
    outb SLAVE, 0x11
    outb SLAVE_MASK, 0x28
    outb SLAVE_MASK, 2
    outb SLAVE_MASK, 1
    outb PIC_MASK, 0xff
    outb SLAVE_MASK, 0xff
%endmacro

; Entry of the I/O APIC: register, value
%macro ioapic 2
    mov dword [IOAPIC], %1
    mov eax, %2
    mov [IOAPIC + 0x10], eax
%endmacro

%macro show_ioapic 1
    mov dword [IOAPIC], %1
    mov eax, [IOAPIC + 0x10]
    call print_hex
%endmacro

%macro gate 2                   ; vector, handler
    mov eax, %2
    mov [idt + 8 * (%1)], ax
    mov word [idt + 8 * (%1) + 2], CODE
    mov word [idt + 8 * (%1) + 4], 0x8e00
    shr eax, 16
    mov [idt + 8 * (%1) + 6], ax
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
    jmp CODE:.flat
.flat:
    cli
    gate 0x20, timer
    gate 0x24, serial
    gate 0x40, apic_timer
    gate 0x41, apic_serial
    mov dword [APIC + SPURIOUS], 0x1ff
    mov dword [APIC + 0x350], 0x700     ; LINT0: the PIC's interrupts

    say "masks "
    init_pics 1
    show_port PIC_MASK
    outb PIC_MASK, 0xa5
    outb SLAVE_MASK, 0x5a
    show_port PIC_MASK
    show_port SLAVE_MASK
    outb PIC_MASK, 0xff
    call new_line

    say "requested "
    show_pic
    call one_shot
    show_pic
    outb PIC_MASK, 0xfe
    show_pic
    call new_line

    say "polled "
    outb PIC, 0x0c
    show_port PIC
    show_pic
    outb PIC, 0x60              ; the end of IRQ 0 and of no other
    show_pic
    outb PIC, 0x0c
    inb PIC
    and eax, 0x80
    call print_hex
    call new_line

    say "two "
    outb PIC_MASK, 0xff
    call one_shot
    call raise_serial
    show_pic
    outb PIC_MASK, 0xee
    outb PIC, 0x0c
    show_port PIC
    outb PIC, 0x0c              ; while IRQ 0 is in service, 4 has to wait
    inb PIC
    and eax, 0x80
    call print_hex
    outb PIC, 0x20
    outb PIC, 0x0c
    show_port PIC
    show_pic
    call lower_serial
    outb PIC, 0x20
    show_pic
    call new_line

    say "rotated "
    outb PIC, 0xc0 + 3          ; IRQ 4 comes first, 3 last
    outb PIC_MASK, 0xff
    call one_shot
    call raise_serial
    outb PIC_MASK, 0xee
    outb PIC, 0x0c
    show_port PIC
    call lower_serial
    outb PIC, 0x20
    outb PIC, 0x0c
    show_port PIC
    outb PIC, 0xa0              ; IRQ 0 is over, and last now
    call one_shot
    call raise_serial
    outb PIC, 0x0c
    show_port PIC
    call lower_serial
    outb PIC, 0x20
    outb PIC, 0x0c
    show_port PIC
    outb PIC, 0x20
    outb PIC, 0xc0 + 7
    show_pic
    call new_line

    say "special mask "
    outb PIC_MASK, 0xff
    call one_shot
    outb PIC_MASK, 0xfe
    outb PIC, 0x0c
    show_port PIC
    outb PIC_MASK, 0xef         ; IRQ 0 is in service, and masked
    outb PIC, 0x68
    call raise_serial
    outb PIC, 0x0c
    show_port PIC
    outb PIC, 0x48
    call lower_serial
    outb PIC, 0x64
    outb PIC, 0x60
    show_pic
    call new_line

    say "taken "
    mov dword [eoi], 0x20
    outb PIC_MASK, 0xfe
    call one_shot
    call take
    show_pic
    call new_line
    say "taken, ended by itself "
    init_pics 3
    mov dword [eoi], 0
    outb PIC_MASK, 0xfe
    call one_shot
    call take
    show_pic
    call new_line
    init_pics 1

    ; Mode and access; the output is not told, of which QEMU says other things than data sheets.
    say "modes "
    mov ecx, 0
.next_mode:
    push ecx
    outb GATE, 1
    pop ecx
    push ecx
    mov eax, ecx
    shl eax, 1
    or al, 0xb0                 ; counter 2, both bytes
    mov edx, PIT
    out dx, al
    outb COUNTER_2, 0xff
    outb COUNTER_2, 0xff
    outb PIT, 0xe8
    inb COUNTER_2
    and eax, 0x3f
    call print_hex
    pop ecx
    inc ecx
    cmp ecx, 6
    jb .next_mode
    call new_line

    say "over "
    outb GATE, 0
    outb PIT, 0xb0
    outb COUNTER_2, 200
    outb COUNTER_2, 0
    outb PIT, 0xe8
    inb COUNTER_2
    and eax, 0xbf
    call print_hex
    outb GATE, 1                ; now it counts
.counting:
    inb GATE
    test al, 0x20
    jz .counting
    outb PIT, 0xe8
    show_port COUNTER_2
    call new_line

    ; Both counters in mode 2 from the same count: their latched counts are close to each other.
    say "together "
    outb PIT, 0x34
    outb PIT, 0xb4
    outb COUNTER_0, 0xff
    outb COUNTER_0, 0xff
    outb COUNTER_2, 0xff
    outb COUNTER_2, 0xff
    mov ecx, 20
.again:
    push ecx
    outb PIT, 0xda              ; latch the counts of 0 and 2
    inb COUNTER_0
    movzx ebx, al
    inb COUNTER_0
    mov bh, al
    inb COUNTER_2
    movzx ecx, al
    inb COUNTER_2
    mov ch, al
    sub ecx, ebx
    movzx ecx, cx
    cmp ecx, 1000
    pop ecx
    ja .apart
    loop .again
    say "close"
.apart:
    call new_line

    say "latched "
    outb PIT, 0xb6              ; mode 3 counts by two
    outb COUNTER_2, 0
    outb COUNTER_2, 0x80
    outb PIT, 0x80
    inb COUNTER_2
    and eax, 1
    call print_hex
    inb COUNTER_2
    outb PIT, 0xb1              ; four decimal digits
    outb COUNTER_2, 0x99
    outb COUNTER_2, 0x99
    outb PIT, 0x80
    inb COUNTER_2
    movzx ebx, al
    inb COUNTER_2
    and eax, 0xf0
    cmp eax, 0xa0
    mov eax, 0
    adc eax, eax
    call print_hex
    outb PIT, 0xb0
    call new_line

    say "entries "
    ioapic 0, 0x0f000000
    show_ioapic 0
    ioapic 0, 0
    mov dword [IOAPIC], 1
    mov eax, [IOAPIC + 0x10]
    shr eax, 16                 ; the last entry; the version differs
    call print_hex
    show_ioapic 0x10 + 2 * 9
    ioapic 0x10 + 2 * 9, 0xffffffff
    show_ioapic 0x10 + 2 * 9
    ioapic 0x11 + 2 * 9, 0xffffffff
    show_ioapic 0x11 + 2 * 9
    ioapic 0x10 + 2 * 9, 0x10000
    show_ioapic 0x10 + 2 * 9
    call new_line

    say "edge "
    outb PIC_MASK, 0xff
    ioapic 0x11 + 2 * 2, 0
    ioapic 0x10 + 2 * 2, 0x40
    call one_shot
    call take
    show_ioapic 0x10 + 2 * 2
    ioapic 0x10 + 2 * 2, 0x10040
    call one_shot               ; masked: it is forgotten
    ioapic 0x10 + 2 * 2, 0x40
    sti
    nop
    cli
    mov eax, [taken]
    call print_hex
    ioapic 0x10 + 2 * 2, 0x10040
    call new_line

    say "level "
    mov dword [taken], 0
    ioapic 0x11 + 2 * 4, 0
    ioapic 0x10 + 2 * 4, 0x8041
    call raise_serial
    call take
    show_ioapic 0x10 + 2 * 4
    ioapic 0x10 + 2 * 4, 0x18041
    call raise_serial           ; masked: it is not
    ioapic 0x10 + 2 * 4, 0x8041
    call take
    show_ioapic 0x10 + 2 * 4
    call new_line

    mov al, 0
    out 0xf4, al
.end:
    hlt
    jmp .end

; Counter 0 runs once, and its output, which is IRQ 0, is high at the end.
one_shot:
    outb PIT, 0x30
    outb COUNTER_0, 50
    outb COUNTER_0, 0
.wait:
    outb PIT, 0xe2
    inb COUNTER_0
    test al, 0x80
    jz .wait
    ret

; The serial port has nothing to send, and says so by IRQ 4.
raise_serial:
    outb COM1 + 4, 8
    outb COM1 + 1, 2
    ret

lower_serial:
    outb COM1 + 1, 0
    ret

; Wait for an interrupt, which prints.
take:
    mov dword [taken], 0
    sti
.wait:
    cmp dword [taken], 0
    je .wait
    cli
    ret

timer:
    pusha
    show_pic
    mov eax, [eoi]
    test eax, eax
    jz .ended
    mov edx, PIC
    out dx, al
.ended:
    inc dword [taken]
    popa
    iret

serial:
    pusha
    call lower_serial
    outb PIC, 0x20
    inc dword [taken]
    popa
    iret

apic_timer:
    pusha
    mov eax, [APIC + ISR + 0x20]
    call print_hex
    mov dword [APIC + EOI], 0
    inc dword [taken]
    popa
    iret

apic_serial:
    pusha
    show_ioapic 0x10 + 2 * 4
    call lower_serial
    mov dword [APIC + EOI], 0
    show_ioapic 0x10 + 2 * 4
    inc dword [taken]
    popa
    iret

align 16
gdtr:
    dw gdt_end - gdt - 1
    dd gdt
idtr:
    dw 0x50 * 8 - 1
    dd idt

align 16
gdt:
    dq 0
    dq 0x00cf9b000000ffff
    dq 0x00cf93000000ffff
gdt_end:
eoi:    dd 0x20
taken:  dd 0
image_end:

section .bss align=16
idt:                resb 0x50 * 8
                    resb 4096
stack_end:
bss_end:

; EXPECT: 1
; OUTPUT: {{^}}two 00000011 00000000 00000080 00000000 00000084
; OUTPUT: {{^}}rotated 00000084 00000080 00000084 00000080
; OUTPUT: {{^}}together close
; OUTPUT: {{^}}level 0000c041 00008041
