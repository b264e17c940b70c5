; The timer of the local APIC, without looking at how long it takes: one shot, periodic, masked, stopped by a
; count of 0, its divider. SDM 3, "APIC Timer".

%include "image.inc"
%include "protected.inc"
%include "apic.inc"

%define INITIAL APIC + 0x380
%define CURRENT APIC + 0x390
%define DIVIDER APIC + 0x3e0

%define PERIODIC 0x20000

; Waits, with interrupts on, until that many have come, or for a long time.
%macro wait_for_ticks 1
    mov ecx, 0x2000000
    sti
%%again:
    pause
    cmp dword [ticks], %1
    jae %%end
    loop %%again
%%end:
    cli
%endmacro

%macro pass_time 0
    mov ecx, 0x4000
    sti
%%again:
    pause
    loop %%again
    cli
%endmacro

main:
    protected_setup
    apic_setup
    hook 0x35, tick
    show "divider", [DIVIDER]
    mov dword [DIVIDER], 0xffffffff
    show "divider after all ones", [DIVIDER]
    mov dword [DIVIDER], 0xb
    show "count at rest", [CURRENT]
    mov dword [APIC_TIMER], 0x35
    mov dword [INITIAL], 1000
    show "initial count", [INITIAL]
    wait_for_ticks 1
    show "one shot", [ticks]
    show "count afterwards", [CURRENT]
    pass_time
    show "no more of it", [ticks]
    mov dword [ticks], 0
    mov dword [APIC_TIMER], 0x10035
    mov dword [INITIAL], 1000
    pass_time
    show "masked", [ticks]
    mov dword [APIC_TIMER], PERIODIC | 0x35
    mov dword [INITIAL], 10000
    wait_for_ticks 3
    mov dword [INITIAL], 0
    sti
    nop
    nop
    cli
    mov dword [count], 0
    cmp dword [ticks], 3
    setae byte [count]
    show "periodic, three at least", [count]
    show "count when stopped", [CURRENT]
    mov eax, [ticks]
    mov [count], eax
    pass_time
    mov eax, [ticks]
    sub eax, [count]
    show "more when stopped", eax
    mov dword [CURRENT], 5
    show "the current count is read-only", [CURRENT]
    ; It counts down.
    mov dword [APIC_TIMER], 0x10035
    mov dword [INITIAL], 0xffffffff
    mov ecx, 1000
.again:
    pause
    loop .again
    mov eax, [CURRENT]
    mov ebx, [CURRENT]
    cmp ebx, eax
    setbe byte [count]
    mov dword [INITIAL], 0
    movzx eax, byte [count]
    show "it counts down", eax
    finish

tick:
    inc dword [ticks]
    mov dword [APIC_EOI], 0
    ret

ticks: dd 0
count: dd 0
