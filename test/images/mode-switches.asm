; Round trips between the modes: 32-bit protected, 16-bit protected, real, PAE paging, 64-bit and
; compatibility mode, and back; what control registers and EFER say on the way. SDM 3, "Mode Switching",
; "Initializing IA-32e Mode", "IA-32e Mode Operation and Returning".

%include "image.inc"
%include "protected.inc"
%include "real.inc"
%include "long.inc"

%macro where_am_i 1
    say %1, ": "
%if __BITS__ = 64
    push rax
    push rcx
    push rdx
    mov rax, cr0
    mov ecx, 8
    call print_ecx_digits_64
    say " "
    mov rax, cr4
    mov ecx, 8
    call print_ecx_digits_64
    say " "
    mov ecx, EFER
    rdmsr
    mov ecx, 8
    call print_ecx_digits_64
    pop rdx
    pop rcx
    pop rax
%else
    pushad
    mov eax, cr0
    call print_eax
    say " "
    mov eax, cr4
    call print_eax
    say " "
    mov ecx, EFER
    rdmsr
    call print_eax
    popad
%endif
    say 10
%endmacro

main:
    protected_setup
    where_am_i "protected mode"
    to_real
    observe "real mode: interrupt", int 0x80
    mov eax, cr0
    call print_8_digits_16
    say 10
    to_protected
    lidt [idt_pointer]
    where_am_i "protected mode again"
    observe_where "its interrupts", ud2

    ; The code of 16 bits in protected mode, whose stack is of 16 bits, too.
    call copy_image
    attempt "16-bit protected mode"
    jmp CODE16:low(.sixteen)
bits 16
.sixteen:
    mov ax, DATA16
    mov ds, ax
    mov ebx, 0
    mov bx, cs
    ud2
bits 32
    outcome
    show "cs", [caught_cs]
    show "ebx", ebx
    mov eax, [caught_eip]
    shr eax, 16
    show "upper half of eip", eax

    mov byte [gdt + TSS + 5], 0x89
    long_setup
    where_am_i "64-bit mode"
    observe_where "its interrupts", ud2
    ; Back: compatibility mode, paging off, LME off.
    call back_to_32
bits 32
    jmp main_32

bits 64
back_to_32:
    pop rbx
    push qword CODE32
    push rbx
    retfq
bits 32
main_32:
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, KERNEL_STACK
    lgdt [gdt_pointer]
    lidt [idt_pointer]
    where_am_i "protected mode, paging off: LMA is clear"
    mov ecx, EFER
    rdmsr
    and eax, ~0x100
    wrmsr
    where_am_i "LME clear"
    segment_at TSS, tss, 103, 0x89, 0
    mov eax, TSS
    ltr ax
    observe_where "interrupts", ud2
    ; PAE paging, where the tables of long mode are still good below the first level.
    mov dword [PDPT], PD_LOW + 1
    mov dword [PDPT + 8], 0
    mov dword [PDPT + 16], 0
    mov eax, PDPT
    mov cr3, eax
    mov eax, cr0
    or eax, 0x80000000
    mov cr0, eax
    where_am_i "PAE paging"
    observe "not mapped", mov eax, [0x70000000]
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov eax, 0
    mov cr4, eax
    where_am_i "no paging"
    observe "not mapped, without paging", mov eax, [0x700000]
    ; And once more into long mode, then real mode without a stop in between but compatibility mode.
    mov byte [gdt + TSS + 5], 0x89
    long_setup
    where_am_i "64-bit mode again"
    call back_to_32_again
back_to_32_again:
    pop rbx
    push qword CODE32
    mov ebx, main_32_again
    push rbx
    retfq
bits 32
main_32_again:
    mov eax, 0x11
    mov cr0, eax
    mov ecx, EFER
    sub eax, eax
    sub edx, edx
    wrmsr
    mov cr4, eax
    mov eax, DATA
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, KERNEL_STACK
    to_real
    observe "real mode again: interrupt", int 0x81
    to_protected
    where_am_i "the end"
    finish
