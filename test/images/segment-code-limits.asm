; The limit of a code segment: a jump beyond it, running off the end, an instruction that crosses it. SDM 3,
; "Limit Checking"; SDM 2, "JMP—Jump".

%include "image.inc"
%include "protected.inc"

%define CODE FREE

main:
    protected_setup
    segment_at CODE, SCRATCH, 0x0f, 0x9b, 4
    mov dword [SCRATCH], 0x90909090
    mov dword [SCRATCH + 4], 0x90909090
    mov dword [SCRATCH + 8], 0x90909090
    mov dword [SCRATCH + 12], 0x90909090
    observe_where "far jump beyond the limit", jmp CODE:0x10
    observe "run off the end", jmp CODE:0x0c
    show "eip", [caught_eip]
    show "cs", [caught_cs]
    mov dword [SCRATCH + 8], 0x7feb9090
    observe "near jump beyond the limit", jmp CODE:0x08
    show "eip", [caught_eip]
    mov dword [SCRATCH + 12], 0xb8909090
    mov dword [SCRATCH + 8], 0x90909090
    observe "instruction that crosses the limit", jmp CODE:0x08
    show "eip", [caught_eip]
    observe_user "user: far jump into it", jmp CODE:0
    finish
