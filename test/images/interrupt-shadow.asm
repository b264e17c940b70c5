; The instruction behind STI, MOV SS and POP SS is executed before an interrupt that waits, and only one.
; SDM 2, "STI—Set Interrupt Flag"; SDM 3, "Masking Exceptions and Interrupts When Switching Stacks".

%include "image.inc"
%include "protected.inc"
%include "apic.inc"

; The place counts from the label `from`, which is behind the sending.
%macro begin 1
    cli
    mov dword [APIC_EOI], 0
    attempt %1
    mov eax, DATA
    push dword 0x202
    push dword 2
    push dword 0x202
    send_self 0x38
    mov dword [catch_start], %%from
%%from:
%endmacro

%macro end 0
    nop
    nop
    cli
    outcome_where
%endmacro

main:
    protected_setup
    apic_setup
    begin "sti"
    sti
    nop
    nop
    end
    begin "sti, sti"
    sti
    sti
    nop
    end
    begin "sti, cli"
    sti
    cli
    nop
    end
    begin "sti, mov ss"
    sti
    mov ss, eax
    nop
    end
    begin "sti, nop, mov ss, nop"
    sti
    nop
    mov ss, eax
    end
    begin "mov ss, sti"
    mov ss, eax
    sti
    nop
    end
    begin "popfd has no shadow"
    popfd
    nop
    end
    begin "sti, popfd of IF=1"
    sti
    popfd
    nop
    end
    begin "sti, pushfd"
    sti
    pushfd
    nop
    end
    begin "sti, int3"
    sti
    int3
    end
    begin "sti, ud2"
    sti
    ud2
    end
    begin "sti, jmp"
    sti
    jmp sti_there
    nop
sti_there:
    nop
    end
    begin "iretd has none"
    pushfd
    or dword [esp], 0x200
    push dword CODE32
    push dword iret_there
    iretd
    nop
iret_there:
    nop
    end
    begin "sti, hlt"
    sti
    hlt
    end
    begin "priority: 38 before 37"
    send_self 0x37
    sti
    nop
    end
    mov dword [APIC_EOI], 0
    attempt "the rest"
    sti
    nop
    nop
    cli
    outcome
    mov dword [APIC_EOI], 0
    attempt "the task priority holds it"
    mov dword [APIC_TPR], 0x30
    send_self 0x38
    sti
    nop
    nop
    cli
    outcome
    attempt "and lets it go"
    mov dword [APIC_TPR], 0x20
    sti
    nop
    nop
    cli
    outcome
    mov dword [APIC_EOI], 0
    mov dword [APIC_TPR], 0
    attempt "nothing waits"
    sti
    nop
    mov eax, DATA
    mov ss, eax
    nop
    cli
    outcome
    finish
