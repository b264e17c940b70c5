; The single-step trap: where it comes after each kind of instruction, shadows, REP, what clears TF. SDM 3,
; "Single-Step Exception Condition", "Debug Status Register (DR6)".

%include "image.inc"
%include "protected.inc"

; Steps from `begin` to `end` are printed as distances from the first instruction.
%macro begin 1
    say %1, ":"
    mov dword [catch_resume], outcome_ %+ attempts
    mov [catch_stack], esp
    mov dword [caught_vector], -1
    mov dword [catch_start], attempt_ %+ attempts
    mov eax, DATA
    push dword 0x102
    popfd
attempt_ %+ attempts:
%endmacro

%macro end 0
    nop
    ; The debug handler clears TF when it comes here.
    mov dword [stop_here], 0
outcome_ %+ attempts:
    cmp dword [caught_vector], -1
    je %%end
    say ", then "
    call print_outcome_32
%%end:
    say 10
%assign attempts attempts + 1
%endmacro

main:
    protected_setup
    hook 1, step
    begin "nop, nop"
    nop
    nop
    end
    begin "mov ss, nop, nop"
    mov ss, eax
    nop
    nop
    end
    begin "pop ss, nop"
    push dword DATA
    pop ss
    nop
    end
    begin "mov ss, mov ss, nop"
    mov ss, eax
    mov ss, eax
    nop
    end
    begin "mov ds, nop"
    mov ds, eax
    nop
    end
    begin "sti, cli"
    sti
    cli
    nop
    end
    begin "jmp, call, ret"
    jmp jmp_there
    nop
jmp_there:
    call call_there
    jmp call_after
call_there:
    ret
call_after:
    end
    begin "rep stosb of 3"
    mov edi, SCRATCH
    mov ecx, 3
    rep stosb
    end
    begin "rep stosb of 0"
    mov edi, SCRATCH
    mov ecx, 0
    rep stosb
    end
    begin "repe scasb that ends early"
    mov edi, SCRATCH
    mov al, 0x77
    mov ecx, 3
    repe scasb
    end
    begin "loop of 2"
    mov ecx, 2
loop_there:
    loop loop_there
    end
    begin "int 0x31 clears TF in the handler, iret sets it again"
    gate_at 0x31, CODE32, return, 0x8e
    int 0x31
    nop
    end
    begin "pushfd shows TF"
    pushfd
    pop ebx
    end
    and ebx, 0x100
    show "TF", ebx
    begin "popfd that clears TF"
    push dword 2
    popfd
    nop
    nop
    end
    attempt "popfd that sets TF: the next instruction is the first"
    mov dword [catch_start], popfd_there
    push dword 0x102
    popfd
popfd_there:
    nop
    nop
    mov dword [stop_here], 0
    outcome
    attempt "iretd that sets TF"
    mov dword [catch_start], iretd_there
    push dword 0x102
    push dword CODE32
    push dword iretd_there
    iretd
iretd_there:
    nop
    nop
    mov dword [stop_here], 0
    outcome
    begin "a fault comes instead of the step"
    ud2
    end
    begin "in"
    in al, 0x80
    end
    begin "cpuid, rdtsc"
    mov eax, 0
    cpuid
    rdtsc
    end
    ; Without the hook: DR6.BS in what a plain trap says, and TF in the saved flags.
    hook 1, 0
    attempt "the trap"
    push dword 0x102
    popfd
    nop
    outcome_where
    mov eax, [caught_eflags]
    and eax, 0x10102
    show "TF, RF saved", eax
    attempt "user: the trap"
    user
    push dword 0x102
    popfd
    nop
    outcome
    attempt "int3 under TF"
    push dword 0x102
    popfd
    int3
    outcome_where
    finish

step:
    push eax
    push ecx
    mov eax, [ebp + FRAME_EIP]
    cmp word [eax], 0x05c7
    jne .print
    cmp dword [eax + 2], stop_here
    jne .print
    and dword [ebp + FRAME_EFLAGS], ~0x100
.print:
    sub eax, [catch_start]
    mov ecx, 2
    say " "
    call print_ecx_digits
    mov eax, dr6
    and eax, 0xe00f
    cmp eax, 0x4000
    je .single_step
    say "!"
.single_step:
    mov eax, 0xffff0ff0
    mov dr6, eax
    pop ecx
    pop eax
    ret

return:
    iretd

stop_here: dd 0
