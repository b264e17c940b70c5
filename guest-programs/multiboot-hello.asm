; vmxlab: vcpus=1 pcpus=1 append="color=green verbose"
;
; A multiboot program: its header, somewhere in the first 8 KiB, makes a loader start it in 32-bit
; protected mode, with EAX = 2BADB002H and EBX = address of the boot information. It prints what it
; is told by the serial port, as a polling driver does, and ends.
;
; The same file runs under QEMU, which tells it of more memory that firmware keeps for itself:
;
;   vmxlab asm guest-programs/multiboot-hello.asm -o hello.bin
;   vmxlab run hello.bin --append "color=green verbose" --module "hello.bin a copy of me"
;   qemu-system-i386 -kernel hello.bin -append "color=green verbose" -serial stdio -display none

bits 32
org 0x100000

MAGIC           equ 0x1badb002
ADDRESS_FIELDS  equ 1 << 16     ; the image is flat, so the header says where it goes
FLAGS           equ ADDRESS_FIELDS | 3

image:
    dd MAGIC, FLAGS, -(MAGIC + FLAGS)
    dd image                    ; header_addr
    dd image                    ; load_addr
    dd image_end                ; load_end_addr
    dd bss_end                  ; bss_end_addr: the loader clears up to here
    dd start                    ; entry_addr

COM1            equ 0x3f8

; Boot information
MEM_LOWER       equ 4
MEM_UPPER       equ 8
COMMAND_LINE    equ 16
MODULE_COUNT    equ 20
MODULES         equ 24
MAP_LENGTH      equ 44
MAP             equ 48

start:
    mov esp, stack_end          ; the loader promises no stack, and no GDT that could be used
    cmp eax, 0x2badb002
    jne halt
    mov ebp, ebx

    mov edx, COM1 + 3           ; line control: 8 bits, no parity
    mov al, 3
    out dx, al

    mov esi, command_text
    call print_text
    mov esi, [ebp + COMMAND_LINE]
    call print_text
    mov esi, memory_text
    call print_text
    mov eax, [ebp + MEM_LOWER]
    call print_decimal
    mov esi, and_text
    call print_text
    mov eax, [ebp + MEM_UPPER]
    call print_decimal
    mov esi, kib_text
    call print_text

    mov ebx, [ebp + MAP]        ; entries: size, base (64 bits), length (64 bits), type
    mov edi, [ebp + MAP_LENGTH]
    add edi, ebx
.next_range:
    cmp ebx, edi
    jae .modules
    mov eax, [ebx + 4]
    call print_hex
    mov al, '-'
    call print
    mov eax, [ebx + 4]
    add eax, [ebx + 12]
    dec eax
    call print_hex
    mov esi, ram_text
    cmp dword [ebx + 20], 1
    je .type
    mov esi, reserved_text
.type:
    call print_text
    add ebx, [ebx]              ; the size does not count itself
    add ebx, 4
    jmp .next_range

.modules:
    mov ebx, [ebp + MODULES]
    mov edi, [ebp + MODULE_COUNT]
.next_module:
    sub edi, 1
    jb halt
    mov esi, module_text
    call print_text
    mov eax, [ebx + 4]          ; end, start, text
    sub eax, [ebx]
    call print_decimal
    mov esi, bytes_text
    call print_text
    mov esi, [ebx + 8]
    call print_text
    mov al, 10
    call print
    add ebx, 16
    jmp .next_module

halt:
    mov dx, COM1 + 5
.sending:
    in al, dx                   ; line status: bit 6 says that the last byte is out
    test al, 0x40
    jz .sending
    xor eax, eax                ; the exit port, if there is one; QEMU needs
    out 0xf4, al                ;   -device isa-debug-exit,iobase=0xf4,iosize=4
    cli
    hlt
    jmp halt

; Print AL on the serial port, when it is ready.
print:
    mov ah, al
    mov edx, COM1 + 5           ; line status: the transmitter is empty
.wait:
    in al, dx
    test al, 0x20
    jz .wait
    mov al, ah
    mov edx, COM1
    out dx, al
    ret

; Print the text at ESI up to a zero byte.
print_text:
    lodsb
    test al, al
    jz .done
    call print
    jmp print_text
.done:
    ret

; Print EAX in decimal.
print_decimal:
    xor edx, edx
    mov ecx, 10
    div ecx
    push edx
    test eax, eax
    jz .last
    call print_decimal
.last:
    pop eax
    add al, '0'
    jmp print

; Print EAX as eight hexadecimal digits.
print_hex:
    mov ecx, 8
.next:
    rol eax, 4
    push eax
    and al, 15
    cmp al, 10
    sbb al, 0x69                ; the old trick: AL = its digit
    das
    call print
    pop eax
    loop .next
    ret

command_text:   db "command line: ", 0
memory_text:    db 10, "memory: ", 0
and_text:       db " KiB and ", 0
kib_text:       db " KiB", 10, 0
ram_text:       db " RAM", 10, 0
reserved_text:  db " reserved", 10, 0
module_text:    db "module: ", 0
bytes_text:     db " bytes, ", 0
image_end:

section .bss align=16
stack:          resb 4096
stack_end:
bss_end:

; EXPECT: 1
; SERIAL: {{^}}command line: {{.*}}multiboot-hello.asm color=green verbose
; SERIAL-NEXT: {{^}}memory: 639 KiB and {{[0-9]+}} KiB{{$}}
; SERIAL: 0000-{{[0-9A-Fa-f]+}} RAM
; SERIAL-NOT: module
