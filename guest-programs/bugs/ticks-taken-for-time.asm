; vmxlab: vcpus=1 pcpus=1
;
; A clock that counts its ticks. Each tick sets the next one a fixed time after itself, so that a late one
; makes all that follow late, and the clock slow. Corrected: the next is due when the one before was.
;
; RUN: name=BUG fault=timer-jitter,by=20us
; RUN: name=FIXED define=FIXED fault=timer-jitter,by=20us
; XFAIL-BUG: ten ticks take more than ten periods
; EXPECT: halted
; STATE: {{^}}fault 0 count [[#]]

bits 64
org 0x100000
default rel

%include "../lib/timer.inc"
%include "../lib/time.inc"

PERIOD          equ 100000      ; cycles
TICKS           equ 10

; Let the timer fire when the time stamp is RAX.
%macro fire_at_rax 0
    mov rdx, rax
    shr rdx, 32
    mov ecx, IA32_TSC_DEADLINE
    wrmsr
%endmacro

start:
    take_timer_interrupts timer
    time_stamp
    mov [started], rax
    add rax, PERIOD
    mov [due], rax
    fire_at_rax
.wait:
    cli
    cmp dword [ticks], TICKS
    jae .over
    sti
    hlt
    jmp .wait
.over:
    time_stamp
    sub rax, [started]
    cmp rax, PERIOD * TICKS + PERIOD
    mov al, 1
    ja .slow
    hlt
.slow:
    out 0xf4, al

timer:
    save_registers
    inc dword [ticks]
%ifdef FIXED
    mov rax, [due]
%else
    time_stamp
%endif
    add rax, PERIOD
    mov [due], rax
    fire_at_rax
    end_of_interrupt
    restore_registers
    iretq

align 64
started:    dq 0
due:        dq 0
ticks:      dd 0
