; vmxlab: vcpus=1 pcpus=1 memory=4M
;
; What guests that test a hypervisor rely on, one check after the other: a multiboot program that
; goes to 64-bit mode by itself, prints on the serial port which checks pass, and ends by the exit
; port with the number of those that fail. Checks of what a processor or hypervisor says it does
; not have (by CPUID) are skipped, so that it runs under QEMU, too:
;
;   qemu-system-x86_64 -kernel FILE -serial stdio -display none
;     -device isa-debug-exit,iobase=0xf4,iosize=4

%include "lib/multiboot.inc"

COM1            equ 0x3f8
EXIT            equ 0xf4
APIC            equ 0xfee00000
IOAPIC          equ 0xfec00000
USUAL_PM_PORT   equ 0x608
IRQ             equ 0x30        ; the vector of every interrupt here

PASS            equ 0
FAIL            equ 1
SKIP            equ 2

; Into 64-bit mode, with the first 4 GiB mapped one to one by pages of 2 MiB.
start:
    mov esp, stack_end
    mov dword [pml4], pdpt + 3
    mov eax, directories + 3
    mov edi, pdpt
    mov ecx, 4
.next_gib:
    mov [edi], eax
    add eax, 4096
    add edi, 8
    loop .next_gib
    mov eax, 0x83               ; present, writable, 2 MiB
    mov edi, directories
    mov ecx, 4 * 512
.next_page:
    mov [edi], eax
    add eax, 0x200000
    add edi, 8
    loop .next_page
    mov eax, pml4
    mov cr3, eax
    mov eax, cr4
    or eax, 1 << 5              ; PAE
    mov cr4, eax
    mov ecx, 0xc0000080         ; EFER.LME
    rdmsr
    or eax, 1 << 8
    wrmsr
    mov eax, cr0
    or eax, 1 << 31
    mov cr0, eax
    lgdt [gdtr]
    jmp 8:long_mode

bits 64
long_mode:
    mov ax, 0x10
    mov ds, ax
    mov es, ax
    mov ss, ax
    mov rsp, stack_end
    mov r14d, APIC              ; kept for all that follows, in handlers as well
    mov r15d, IOAPIC
    mov rdi, idt
    mov ecx, 256
.next_gate:
    mov rax, unexpected
    call set_gate
    loop .next_gate
    mov rdi, idt + 16 * 2
    mov rax, on_nmi
    call set_gate
    mov rdi, idt + 16 * 13
    mov rax, on_gp
    call set_gate
    mov rdi, idt + 16 * IRQ
    mov rax, on_irq
    call set_gate
    lidt [idtr]
    mov al, 0xff                ; nothing comes from the PICs
    out 0x21, al
    out 0xa1, al
    mov dword [r14 + 0xf0], 0x1ff
    xor ebx, ebx
    mov rbp, checks
.next_check:
    cmp dword [rbp], 0
    je .done
    push rbp
    push rbx
    mov qword [count], 0
    mov eax, [rbp]
    call rax
    pop rbx
    pop rbp
    mov edx, eax
    and edx, 1
    add ebx, edx                ; FAIL is the only odd one
    mov rsi, pass_text
    cmp eax, PASS
    je .tell
    mov rsi, fail_text
    cmp eax, FAIL
    je .tell
    mov rsi, skip_text
.tell:
    call print_text
    mov esi, [rbp + 4]
    call print_text
    mov al, 10
    call print
    add rbp, 8
    jmp .next_check
.done:
    mov eax, ebx
    out EXIT, al
    cli
    hlt

; The gate at RDI leads to RAX; RDI goes on to the next.
set_gate:
    mov [rdi], ax
    mov word [rdi + 2], 8
    mov word [rdi + 4], 0x8e00
    shr rax, 16
    mov [rdi + 6], ax
    mov qword [rdi + 8], 0
    add rdi, 16
    ret

unexpected:
    mov rsi, unexpected_text
    call print_text
    mov al, 99
    out EXIT, al
    cli
    hlt

on_irq:
    push rax
    push rcx
    push rdx
    inc qword [count]
    cmp byte [x2apic], 0
    jne .by_msr
    mov dword [r14 + 0xb0], 0
    jmp .out
.by_msr:
    mov ecx, 0x80b
    xor eax, eax
    xor edx, edx
    wrmsr
.out:
    pop rdx
    pop rcx
    pop rax
    iretq

; A second NMI, sent from here, has to wait until the first is over.
on_nmi:
    inc qword [count]
    cmp qword [count], 1
    jne .out
    mov dword [r14 + 0x300], 0x44400
    cmp qword [count], 1
    je .out
    inc byte [nested]
.out:
    iretq

; To where the check wants to go on.
on_gp:
    push rax
    mov rax, [recover]
    mov [rsp + 16], rax
    pop rax
    add rsp, 8                  ; the error code
    mov byte [faulted], 1
    iretq

print:
    mov ah, al
    mov edx, COM1 + 5
.wait:
    in al, dx
    test al, 0x20
    jz .wait
    mov al, ah
    mov edx, COM1
    out dx, al
    ret

print_text:
    lodsb
    test al, al
    jz .done
    call print
    jmp print_text
.done:
    ret

read_tsc:
    rdtsc
    shl rdx, 32
    or rax, rdx
    ret

; MSR ECX as RAX.
read_msr:
    rdmsr
    shl rdx, 32
    or rax, rdx
    ret

; RAX into MSR ECX; CF if that is #GP.
write_msr:
    mov byte [faulted], 0
    mov qword [recover], .faulted
    mov rdx, rax
    shr rdx, 32
    wrmsr
.faulted:
    cmp byte [faulted], 1
    cmc
    ret

; 10 ms by channel 2 of the interval timer.
wait_10_ms:
    in al, 0x61
    and al, 0xfc
    or al, 1
    out 0x61, al
    mov al, 0xb0
    out 0x43, al
    mov al, 11932 & 255
    out 0x42, al
    mov al, 11932 >> 8
    out 0x42, al
.wait:
    in al, 0x61
    test al, 0x20
    jz .wait
    ret

; ZF if this is KVM. Changes EAX to EDX.
is_kvm:
    push rbx
    mov eax, 0x40000000
    cpuid
    cmp ebx, 0x4b4d564b         ; KVMK
    pop rbx
    ret

; ECX of leaf 1: ZF if bit EDI is not there. Changes EAX to EDX.
has_feature:
    push rbx
    mov eax, 1
    cpuid
    bt ecx, edi
    setc al
    test al, al
    pop rbx
    ret

; Interrupts on until there were ESI of them, or for a while; by what then is in count.
wait_for_irqs:
    mov ecx, 1000000
    sti
.wait:
    pause
    cmp [count], rsi
    jae .done
    loop .wait
.done:
    cli
    ret

pass:
    mov eax, PASS
    ret
fail:
    mov eax, FAIL
    ret
skip:
    mov eax, SKIP
    ret

; The power-management timer, 3.579545 MHz: its port by the ACPI tables, or the usual one.
check_pm_timer:
    call pm_port
    mov ebx, eax
    jmp measure_pm
check_usual_pm_port:
    mov ebx, USUAL_PM_PORT
measure_pm:
    mov edx, ebx
    in eax, dx
    mov r8d, eax
    call wait_10_ms
    mov edx, ebx
    in eax, dx
    sub eax, r8d
    and eax, 0xffffff
    cmp eax, 34000              ; 35795 in 10 ms
    jb fail
    cmp eax, 72000
    ja fail
    jmp pass

; EAX = the port that the FADT names, or the usual one.
pm_port:
    mov esi, 0xe0000
    mov rax, 0x2052545020445352 ; RSD PTR
.next_place:
    cmp [rsi], rax
    je .found
    add esi, 16
    cmp esi, 0x100000
    jb .next_place
.usual:
    mov eax, USUAL_PM_PORT
    ret
.found:
    mov edi, [rsi + 16]         ; RSDT: entries behind 36 bytes
    mov ecx, [rdi + 4]
    add ecx, edi
    add edi, 36
.next_table:
    cmp edi, ecx
    jae .usual
    mov esi, [rdi]
    add edi, 4
    cmp dword [rsi], 0x50434146 ; FACP
    jne .next_table
    mov eax, [rsi + 76]
    ret

; The TSC against the interval timer, and against what KVM says of its rate.
check_pit:
    call read_tsc
    mov r8, rax
    call wait_10_ms
    call read_tsc
    sub rax, r8
    jbe fail
    mov r8, rax
    call is_kvm
    jne pass
    mov eax, 0x40000010
    cpuid
    imul rax, rax, 10           ; kHz to cycles in 10 ms
    mov rcx, rax
    shr rcx, 5
    sub rax, rcx
    cmp r8, rax
    jb fail
    add rax, rcx
    add rax, rcx
    cmp r8, rax
    ja fail
    jmp pass

; Channel 0 of the interval timer, by pin 2 of the I/O APIC.
check_ioapic:
    mov dword [r15], 1
    mov eax, [r15 + 16]
    shr eax, 16
    cmp al, 23                  ; the last pin
    jne fail
    mov dword [r15], 0x15
    mov eax, [r14 + 0x20]
    mov [r15 + 16], eax
    mov dword [r15], 0x14
    mov dword [r15 + 16], IRQ
    mov al, 0x30                ; mode 0: high after 1 ms
    out 0x43, al
    mov al, 1193 & 255
    out 0x40, al
    mov al, 1193 >> 8
    out 0x40, al
    sti
    hlt
    cli
    mov dword [r15], 0x14
    mov dword [r15 + 16], 1 << 16
    cmp qword [count], 1
    jne fail
    jmp pass

; The page of kvmclock, over 10 ms; and the wall clock.
check_kvmclock:
    call is_kvm
    jne skip
    mov rax, clock_page + 1
    mov ecx, 0x4b564d01
    call write_msr
    jc fail
    call read_clock
    mov r8, rax
    call wait_10_ms
    call read_clock
    sub rax, r8
    cmp rax, 9900000
    jb fail
    cmp rax, 11000000
    ja fail
    mov rax, clock_page + 64
    mov ecx, 0x4b564d00
    call write_msr
    cmp dword [clock_page + 64 + 4], 0
    je fail
    xor eax, eax
    mov ecx, 0x4b564d01
    call write_msr
    jmp pass

; RAX = ns.
read_clock:
    mov r9d, [clock_page]       ; version: odd while it is being written
    test r9d, 1
    jnz read_clock
    call read_tsc
    sub rax, [clock_page + 8]
    movsx ecx, byte [clock_page + 28]
    test ecx, ecx
    js .right
    shl rax, cl
    jmp .scaled
.right:
    neg ecx
    shr rax, cl
.scaled:
    mov edx, [clock_page + 24]
    mul rdx
    shrd rax, rdx, 32
    add rax, [clock_page + 16]
    cmp r9d, [clock_page]
    jne read_clock
    ret

; Both opcodes of hypercalls, within a page and across the end of one: four cases. What is not this
; processor's is rewritten where it stands.
check_hypercalls:
    call is_kvm
    jne skip
    mov r8d, 0xc3c1010f         ; vmcall; ret
    mov rdi, code_pages + 64
    call try_hypercall
    jne fail
    mov rdi, code_pages + 4096 - 2
    call try_hypercall
    jne fail
    mov r8d, 0xc3d9010f         ; vmmcall; ret
    mov rdi, code_pages + 64
    call try_hypercall
    jne fail
    mov rdi, code_pages + 4096 - 2
    call try_hypercall
    jne fail
    jmp pass

; The code R8D at RDI: ZF if it calls, and is vmcall or as it was then.
try_hypercall:
    mov [rdi], r8d
    mov eax, 1                  ; VAPIC_POLL_IRQ, which does nothing
    call rdi
    test eax, eax
    jne .done
    mov eax, [rdi]
    cmp eax, 0xc3c1010f
    je .done
    cmp eax, r8d
.done:
    ret

; TSC_ADJUST moves the TSC, and a write to the TSC moves it.
check_tsc_adjust:
    mov eax, 7
    xor ecx, ecx
    cpuid
    test ebx, 2
    jz skip
    mov ecx, 0x3b
    call read_msr
    test rax, rax
    jnz fail
    call read_tsc
    mov r8, rax
    mov rax, 1 << 40
    mov ecx, 0x3b
    call write_msr
    jc fail
    call read_tsc
    sub rax, r8
    mov rdx, 1 << 40
    cmp rax, rdx
    jb fail
    xor eax, eax                ; back to the beginning: by so much less is TSC_ADJUST
    mov ecx, 0x10
    call write_msr
    jc fail
    call read_tsc
    mov rdx, 1 << 39
    cmp rax, rdx
    ja fail
    mov ecx, 0x3b
    call read_msr
    mov rdx, 1 << 40
    cmp rax, rdx
    jge fail
    xor eax, eax
    mov ecx, 0x3b
    call write_msr
    jmp pass

; A deadline that HLT waits for, and one that a loop does.
check_deadline_hlt:
    mov edi, 24
    call has_feature
    jz skip
    call set_deadline
    sti
    hlt
    cli
    jmp deadline_met
check_deadline_busy:
    mov edi, 24
    call has_feature
    jz skip
    call set_deadline
    mov esi, 1
    call wait_for_irqs
deadline_met:
    cmp qword [count], 1
    jne fail
    call read_tsc
    cmp rax, r8
    jb fail
    mov ecx, 0x6e0              ; which has fired
    call read_msr
    test rax, rax
    jnz fail
    mov dword [r14 + 0x320], 1 << 16
    jmp pass

; R8 = the deadline.
set_deadline:
    mov dword [r14 + 0x320], (2 << 17) | IRQ
    mfence
    call read_tsc
    lea r8, [rax + 1000000]
    mov rax, r8
    mov ecx, 0x6e0
    call write_msr
    ret

; By the shorthand of the interrupt command register.
check_self_ipi:
    mov dword [r14 + 0x300], 0x44000 | IRQ
    mov esi, 1
    call wait_for_irqs
    cmp qword [count], 1
    jne fail
    jmp pass

; Logical destinations: a set of bits, and clusters of four.
check_logical:
    mov dword [r14 + 0xe0], 0xffffffff
    mov dword [r14 + 0xd0], 0x02000000
    mov eax, 0x06               ; me and somebody else
    call send_logical
    mov eax, 0x04
    call send_logical
    cmp qword [count], 1
    jne fail
    mov dword [r14 + 0xe0], 0x0fffffff
    mov dword [r14 + 0xd0], 0x31000000
    mov eax, 0x31
    call send_logical
    mov eax, 0x3f
    call send_logical
    mov eax, 0x21               ; another cluster
    call send_logical
    mov eax, 0x32               ; another member
    call send_logical
    cmp qword [count], 3
    jne fail
    mov dword [r14 + 0xe0], 0xffffffff
    jmp pass

send_logical:
    shl eax, 24
    mov [r14 + 0x310], eax
    mov dword [r14 + 0x300], 0x4800 | IRQ
    mov esi, 1000               ; more than there will be
    mov ecx, 1000
    sti
    call wait_for_irqs.wait
    ret

; An NMI to itself, and one more out of its handler.
check_nmi:
    mov byte [nested], 0
    mov eax, [r14 + 0x20]
    mov [r14 + 0x310], eax
    mov dword [r14 + 0x300], 0x4400
    mov ecx, 1000
.wait:
    pause
    loop .wait
    cmp qword [count], 2
    jne fail
    cmp byte [nested], 0
    jne fail
    jmp pass

; IA32_APIC_BASE: which transitions there are. In x2APIC mode, an interrupt to itself by SELF IPI,
; and one to its logical address.
check_apic_modes:
    mov edi, 21
    call has_feature
    jz skip
    mov ecx, 0x1b
    call read_msr
    mov r8, rax                 ; xAPIC
    mov r9, rax
    or r9, 0xc00                ; x2APIC
    mov r10, rax
    and r10, ~0xc00             ; off
    mov r11, r10
    or r11, 0x400               ; no mode at all
    mov rax, r11
    call write_base
    jnc fail
    mov rax, r9
    call write_base
    jc fail
    mov byte [x2apic], 1
    mov rax, r8
    call write_base
    jnc fail
    mov ecx, 0x83f              ; SELF IPI
    mov eax, IRQ
    call write_msr
    jc fail
    mov ecx, 0x80d              ; the logical address follows from the id
    call read_msr
    shl rax, 32
    or rax, 0x800 | IRQ
    push rax
    mov esi, 1
    call wait_for_irqs
    pop rax
    mov ecx, 0x830
    call write_msr
    jc fail
    mov esi, 2
    call wait_for_irqs
    cmp qword [count], 2
    jne fail
    mov rax, r10
    call write_base
    jc fail
    mov byte [x2apic], 0
    mov eax, 1
    cpuid
    test edx, 1 << 9            ; there is no APIC now
    jnz fail
    mov rax, r9
    call write_base
    jnc fail
    mov rax, r8
    call write_base
    jc fail
    test dword [r14 + 0xf0], 0x100
    jnz fail                    ; it has lost everything
    mov dword [r14 + 0xf0], 0x1ff
    jmp pass

write_base:
    mov ecx, 0x1b
    jmp write_msr

align 8
checks:
    dd check_pm_timer, pm_timer_text
    dd check_usual_pm_port, usual_pm_port_text
    dd check_pit, pit_text
    dd check_ioapic, ioapic_text
    dd check_kvmclock, kvmclock_text
    dd check_hypercalls, hypercalls_text
    dd check_tsc_adjust, tsc_adjust_text
    dd check_deadline_hlt, deadline_hlt_text
    dd check_deadline_busy, deadline_busy_text
    dd check_self_ipi, self_ipi_text
    dd check_logical, logical_text
    dd check_nmi, nmi_text
    dd check_apic_modes, apic_modes_text
    dd 0

pass_text:          db "PASS ", 0
fail_text:          db "FAIL ", 0
skip_text:          db "SKIP ", 0
unexpected_text:    db "an exception that nobody wanted", 10, 0
pm_timer_text:      db "PM timer by ACPI", 0
usual_pm_port_text: db "PM timer by its usual port", 0
pit_text:           db "PIT", 0
ioapic_text:        db "I/O APIC", 0
kvmclock_text:      db "kvmclock", 0
hypercalls_text:    db "VMCALL and VMMCALL", 0
tsc_adjust_text:    db "TSC adjust", 0
deadline_hlt_text:  db "TSC deadline by HLT", 0
deadline_busy_text: db "TSC deadline by busy wait", 0
self_ipi_text:      db "self-IPI", 0
logical_text:       db "logical destinations", 0
nmi_text:           db "NMI", 0
apic_modes_text:    db "APIC modes", 0

align 8
gdt:
    dq 0
    dq 0x00af9b000000ffff       ; 08: 64-bit code
    dq 0x00cf93000000ffff       ; 10: data
gdt_end:
gdtr:
    dw gdt_end - gdt - 1
    dd gdt
idtr:
    dw 256 * 16 - 1
    dq idt
image_end:

section .bss align=4096
pml4:           resb 4096
pdpt:           resb 4096
directories:    resb 4 * 4096
code_pages:     resb 2 * 4096
idt:            resb 4096
clock_page:     resb 4096
stack:          resb 4096
stack_end:
count:          resq 1
recover:        resq 1
faulted:        resb 1
nested:         resb 1
x2apic:         resb 1
bss_end:

; EXPECT: 1
; SERIAL: PASS PM timer by ACPI
; SERIAL-NEXT: PASS PM timer by its usual port
; SERIAL-NEXT: PASS PIT
; SERIAL-NEXT: PASS I/O APIC
; SERIAL-NEXT: PASS kvmclock
; SERIAL-NEXT: PASS VMCALL and VMMCALL
; SERIAL-NEXT: PASS TSC adjust
; SERIAL-NEXT: PASS TSC deadline by HLT
; SERIAL-NEXT: PASS TSC deadline by busy wait
; SERIAL-NEXT: PASS self-IPI
; SERIAL-NEXT: PASS logical destinations
; SERIAL-NEXT: PASS NMI
; SERIAL-NEXT: PASS APIC modes
; RUN: engine=compiled
; RUN: engine=interpreter
