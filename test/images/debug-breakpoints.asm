; Instruction breakpoints: a fault before the instruction, RF, L and G, what DR6 says, breakpoints that do
; not match. SDM 3, "Instruction-Breakpoint Exception Condition", "Debug Registers".

%include "image.inc"
%include "protected.inc"

; set number, address, DR7
%macro set 3
    mov eax, %2
    mov dr %+ %1, eax
    mov eax, %3
    mov dr7, eax
%endmacro

%macro show_status 0
    mov eax, [caught_eflags]
    and eax, 0x10100
    show "RF, TF saved", eax
%endmacro

main:
    protected_setup
    mov eax, dr7
    show "dr7", eax
    mov eax, dr6
    show "dr6", eax
    attempt "L0"
    set 0, l0_there, 0x401
    nop
l0_there:
    nop
    outcome_where
    show_status
    attempt "G1"
    set 1, g1_there, 0x408
    nop
g1_there:
    inc ebx
    outcome_where
    show_status
    attempt "three of them, two match"
    mov eax, three_there
    mov dr0, eax
    mov dr2, eax
    mov dr1, esp
    set 3, main, 0x455
    nop
three_there:
    nop
    outcome_where
    attempt "a match that is not enabled is shown beside one that is"
    mov eax, beside_there
    mov dr0, eax
    set 3, beside_there, 0x440
    nop
beside_there:
    nop
    outcome_where
    mov eax, 0x400
    mov dr7, eax
    attempt "the second byte of an instruction"
    set 0, second_there + 1, 0x401
second_there:
    mov eax, 0x12345678
    outcome
    attempt "a prefix is the start"
    set 0, prefix_there, 0x401
    nop
prefix_there:
    fs nop
    outcome_where
    attempt "RF set by iret: the instruction is executed"
    set 0, rf_there, 0x401
    push dword EFLAGS_RF | 2
    push dword CODE32
    push dword rf_there
    iretd
rf_there:
    nop
    outcome
    attempt "RF is gone after one instruction"
    set 0, rf2_there, 0x401
    push dword EFLAGS_RF | 2
    push dword CODE32
    push dword rf1_there
    iretd
rf1_there:
    nop
rf2_there:
    nop
    outcome_where
    attempt "a handler that returns: the saved RF"
    hook 1, ignore
    mov dword [count], 0
    set 0, again_there, 0x401
    nop
again_there:
    nop
    outcome
    show "times", [count]
    attempt "rep movsb: before the first iteration only"
    mov dword [count], 0
    mov esi, SCRATCH
    mov edi, SCRATCH + 0x100
    mov ecx, 5
    set 0, rep_there, 0x401
rep_there:
    rep movsb
    outcome
    show "times", [count]
    hook 1, 0
    attempt "it comes before the fault of the instruction"
    set 0, ud_there, 0x401
    nop
ud_there:
    ud2
    outcome_where
    attempt "behind mov ss it is not seen"
    set 0, ss_there, 0x401
    mov eax, DATA
    mov ss, eax
ss_there:
    nop
    outcome
    mov eax, 0x400
    mov dr7, eax
    attempt "user: at his address"
    set 0, user_there, 0x401
    user
    nop
user_there:
    nop
    kernel
    outcome
    attempt "with a single step: both in DR6"
    set 0, step_there, 0x401
    push dword 0x102
    popfd
    nop
step_there:
    nop
    outcome_where
    mov eax, 0x400
    mov dr7, eax
    finish

ignore:
    inc dword [count]
    push eax
    mov eax, 0xffff0ff0
    mov dr6, eax
    ; Or the fault would come again and again.
    or dword [ebp + FRAME_EFLAGS], EFLAGS_RF
    pop eax
    ret

count: dd 0
