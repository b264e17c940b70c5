; vmxlab: vcpus=4 pcpus=2
;
; A multiboot program that starts the other processors. Only the first one runs at first; the others
; wait for an INIT and a start-up IPI, which this program broadcasts through its local APIC. They
; start in real mode, at the page that the start-up IPI names: the trampoline, copied below 1 MiB,
; goes to protected mode, counts, and halts. How many there should be is asked of QEMU's fw_cfg
; device. Prints on the debug console; ends by the exit port, with 0 if all have come.
;
; Under QEMU: -kernel FILE -smp 4 -debugcon stdio -device isa-debug-exit,iobase=0xf4,iosize=4

%include "lib/multiboot.inc"

APIC            equ 0xfee00000
ICR_LOW         equ APIC + 0x300
ICR_DELIVERY    equ 1 << 12     ; still being sent
ALL_BUT_SELF    equ 3 << 18
ASSERT          equ 1 << 14
INIT            equ 5 << 8
START_UP        equ 6 << 8

TRAMPOLINE      equ 0x8000      ; a page below 1 MiB
CONSOLE         equ 0xe9
EXIT            equ 0xf4
FW_CFG          equ 0x510
FW_CFG_CPUS     equ 5

start:
    mov esp, stack_end
    mov dx, FW_CFG
    mov ax, FW_CFG_CPUS
    out dx, ax
    inc edx
    in al, dx                   ; the low byte comes first
    movzx ebx, al

    mov esi, trampoline
    mov edi, TRAMPOLINE
    mov ecx, trampoline_end - trampoline
    rep movsb

    mov dword [ICR_LOW], ALL_BUT_SELF | ASSERT | INIT
    call wait_until_sent
    call wait_a_while           ; the manual asks for 10 ms
    mov dword [ICR_LOW], ALL_BUT_SELF | ASSERT | START_UP | TRAMPOLINE >> 12
    call wait_until_sent

    mov ecx, 50                 ; give them some time
.wait_for_others:
    call wait_a_while
    lea eax, [ebx - 1]
    cmp [arrived], eax
    je .report
    loop .wait_for_others

.report:
    mov esi, text
    call print_text
    mov eax, [arrived]
    inc eax
    call print_number
    mov esi, of_text
    call print_text
    mov eax, ebx
    call print_number
    mov al, 10
    out CONSOLE, al
    mov eax, ebx                ; 0 if everybody is here
    sub eax, [arrived]
    dec eax
    out EXIT, eax
    cli
    hlt

wait_until_sent:
    pause
    test dword [ICR_LOW], ICR_DELIVERY
    jnz wait_until_sent
    ret

; 10 ms by channel 2 of the interval timer, which port 61H opens and shows. Changes EAX.
wait_a_while:
    in al, 0x61
    and al, 0xfc
    or al, 1                    ; gate open, loudspeaker off
    out 0x61, al
    mov al, 0xb0                ; channel 2, low and high byte, mode 0
    out 0x43, al
    mov al, 11932 & 255
    out 0x42, al
    mov al, 11932 >> 8
    out 0x42, al
.wait:
    pause
    in al, 0x61
    test al, 0x20               ; the counter has reached 0
    jz .wait
    ret

; Print the text at ESI up to a zero byte.
print_text:
    lodsb
    test al, al
    jz .done
    out CONSOLE, al
    jmp print_text
.done:
    ret

; Print EAX, below 100.
print_number:
    aam                         ; AH = tens, AL = ones
    mov cl, al
    test ah, ah
    jz .ones
    mov al, ah
    add al, '0'
    out CONSOLE, al
.ones:
    mov al, cl
    add al, '0'
    out CONSOLE, al
    ret

; What the others execute, from its copy: CS:IP = 0800:0000.
bits 16
trampoline:
    cli
    xor ax, ax
    mov ds, ax
    o32 lgdt [TRAMPOLINE + gdtr - trampoline]
    mov eax, cr0
    or al, 1
    mov cr0, eax
    jmp dword 8:protected

align 4
gdtr:
    dw gdt_end - gdt - 1
    dd gdt
trampoline_end:

bits 32
protected:
    mov ax, 0x10
    mov ds, ax
    lock inc dword [arrived]
.halt:
    cli
    hlt
    jmp .halt

align 8
gdt:
    dq 0
    dq 0x00cf9b000000ffff       ; 08: code
    dq 0x00cf93000000ffff       ; 10: data
gdt_end:

text:           db "processors: ", 0
of_text:        db " of ", 0
image_end:

section .bss align=16
stack:          resb 4096
stack_end:
arrived:        resd 1
bss_end:

; EXPECT: 1
; RUN: vcpus=4
; RUN: vcpus=1
; RUN: vcpus=7 pcpus=3
