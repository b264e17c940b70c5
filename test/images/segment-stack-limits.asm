; Pushes and pops beyond the limits of the stack, seen at privilege level 3, from where the fault comes to
; another stack; ESP is as before. SDM 3, "Stack Fault Exception (#SS)".

%include "image.inc"
%include "protected.inc"

%define STACK FREE + 3
%define DOWN  FREE + 8 + 3
%define SMALL FREE + 16 + 3

; user_on selector, stack pointer
%macro user_on 2
    user
    mov eax, %1
    mov ss, eax
    mov esp, %2
%endmacro

%macro done_there 0
    mov eax, UDATA
    mov ss, eax
    kernel
    outcome_so_far
    cmp dword [caught_vector], -1
    je %%end
    say ", esp="
    mov eax, [caught_esp]
    call print_eax
%%end:
    say 10
%endmacro

main:
    protected_setup
    segment_at STACK, SCRATCH, 0x0fff, 0xf3, 4
    segment_at DOWN, SCRATCH, 0x0fff, 0xf7, 4
    segment_at SMALL, SCRATCH, 0x0fff, 0xf3, 0
    attempt "push at the top"
    user_on STACK, 0x1000
    push eax
    done_there
    attempt "push above the limit"
    user_on STACK, 0x1001
    push eax
    done_there
    attempt "push below 0"
    user_on STACK, 2
    push eax
    done_there
    attempt "push at 0"
    user_on STACK, 0
    push eax
    done_there
    attempt "pop above the limit"
    user_on STACK, 0xffd
    pop eax
    done_there
    attempt "pop to memory above the limit"
    user_on STACK, 0x1000
    pop dword [SCRATCH]
    done_there
    attempt "call below 0"
    user_on STACK, 0
    call .here
.here:
    done_there
    attempt "ret above the limit"
    user_on STACK, 0x1000
    ret
    done_there
    attempt "pushad that does not fit"
    user_on STACK, 0x1c
    pushad
    done_there
    attempt "popad that does not fit"
    user_on STACK, 0xff0
    popad
    done_there
    attempt "enter that does not fit"
    user_on STACK, 0x10
    enter 0x20, 0
    done_there
    attempt "enter 0, 3"
    user_on STACK, 0x8
    mov ebp, 0x100
    enter 0, 3
    done_there
    attempt "leave"
    user_on STACK, 0x8
    mov ebp, 0x1000
    leave
    done_there
    attempt "expand-down: push at 2000"
    user_on DOWN, 0x2000
    push eax
    done_there
    attempt "expand-down: push at 1000"
    user_on DOWN, 0x1000
    push eax
    done_there
    attempt "expand-down: push at 1004"
    user_on DOWN, 0x1004
    push eax
    done_there
    attempt "expand-down: push at 1003"
    user_on DOWN, 0x1003
    push eax
    done_there
    attempt "expand-down: push at 0"
    user_on DOWN, 0
    push eax
    done_there
    attempt "16-bit stack: push at 2"
    user_on SMALL, 0x12340002
    push ax
    done_there
    attempt "16-bit stack: push at 0 wraps above the limit"
    user_on SMALL, 0x12340000
    push ax
    done_there
    attempt "16-bit stack: upper half of ESP does not count"
    user_on SMALL, 0x56780800
    push eax
    mov [kept], esp
    done_there
    show "esp", [kept]
    attempt "16-bit stack: pushad at 10 wraps"
    user_on SMALL, 0x10
    pushad
    done_there
    finish

kept: dd 0
