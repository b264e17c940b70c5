; POPF and PUSHF: which flags which level may change, and how. SDM 2, "POPF/POPFD/POPFQ", "PUSHF/PUSHFD/PUSHFQ".

%include "image.inc"
%include "protected.inc"

; The flags after a POPFD of the value, at level 0 or 3. RF and VM cannot come from there.
%macro pop_flags 2
    attempt %1
    push dword %2
    popfd
    pushfd
    pop ebx
    push dword 2
    popfd
    outcome
    show "flags", ebx
%endmacro

%macro user_pop_flags 3
    attempt %1
    push dword %2
    popfd
    user
    push dword %3
    popfd
    pushfd
    pop ebx
    kernel
    outcome
    show "flags", ebx
%endmacro

main:
    protected_setup
    pop_flags "nothing", 0
    pop_flags "all but TF, IF, VM", 0xfffdfcff
    pop_flags "status flags", 0x8d5
    pop_flags "DF", 0x400
    pop_flags "NT, IOPL", 0x7000
    pop_flags "RF, AC", 0x50000
    pop_flags "ID", 0x200000
    pop_flags "VM", 0x20000
    user_pop_flags "user: IOPL 0, IOPL", 0x0002, 0x3002
    user_pop_flags "user: IOPL 0, IF set", 0x0002, 0x0202
    user_pop_flags "user: IOPL 3, IF and IOPL 0", 0x3002, 0x0002
    user_pop_flags "user: IOPL 0, all but TF, IF", 0x0002, 0xffffbcff
    attempt "popf of 16 bits"
    push dword 0x00240002
    popfd
    push word 0x08d7
    popfw
    pushfd
    pop ebx
    push dword 2
    popfd
    outcome
    show "flags", ebx
    attempt "pushf of 16 bits"
    mov ebx, esp
    pushfw
    sub ebx, esp
    add esp, 2
    outcome
    show "bytes", ebx
    attempt "sahf, lahf"
    mov ah, 0xff
    sahf
    lahf
    mov ebx, eax
    outcome
    and ebx, 0xff00
    show "ah", ebx
    attempt "iretd of all but TF, IF, VM, NT, VIF, VIP"
    push dword 0xffe5bcff
    push dword CODE32
    push dword .there
    iretd
.there:
    pushfd
    pop ebx
    push dword 2
    popfd
    outcome
    show "flags", ebx
    attempt "user: iretd of IF, IOPL"
    user
    push dword 0x3202
    push dword USER32
    push dword .user_there
    iretd
.user_there:
    pushfd
    pop ebx
    kernel
    outcome
    show "flags", ebx
    attempt "user: iretd of VM stays in protected mode"
    user
    push dword 0x20002
    push dword USER32
    push dword .user_still
    iretd
.user_still:
    pushfd
    pop ebx
    kernel
    outcome
    show "flags", ebx
    finish
