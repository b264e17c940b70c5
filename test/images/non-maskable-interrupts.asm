; NMIs that a processor sends to itself: not held by IF, blocked in the handler until IRET, in the shadow of
; MOV SS. SDM 3, "Nonmaskable Interrupt (NMI)", "Handling Multiple NMIs".

%include "image.inc"
%include "protected.inc"
%include "apic.inc"

%macro send_nmi 0
    mov dword [APIC_ICR_HIGH], 0
    mov dword [APIC_ICR], 0x4400
%endmacro

main:
    protected_setup
    apic_setup
    attempt "with IF clear"
    send_nmi
    mov dword [catch_start], behind_nmi
behind_nmi:
    nop
    nop
    outcome
    ; Still blocked: nobody has executed IRET.
    mov dword [count], 0
    hook 2, count_nmi
    attempt "another while the first is not over"
    send_nmi
    nop
    nop
    outcome
    show "handled", [count]
    attempt "an IRET ends that"
    pushfd
    push dword CODE32
    push dword behind_iret
    iretd
behind_iret:
    nop
    nop
    outcome
    show "handled", [count]
    attempt "one more"
    send_nmi
    nop
    nop
    outcome
    show "handled", [count]
    mov dword [count], 0
    hook 2, nested_nmi
    attempt "sent in the handler: afterwards"
    send_nmi
    nop
    nop
    outcome
    show "depth at most", [most]
    show "handled", [count]
    hook 2, count_nmi
    mov dword [count], 0
    attempt "two sent in the handler are one"
    hook 2, double_nmi
    send_nmi
    nop
    nop
    nop
    outcome
    show "handled", [count]
    hook 2, fault_nmi
    mov dword [count], 0
    attempt "the IRET of another exception ends it, too"
    send_nmi
    nop
    nop
    outcome
    show "handled", [count]
    show "within the handler", [most]
    finish

count_nmi:
    inc dword [count]
    ret

nested_nmi:
    inc dword [depth]
    inc dword [count]
    mov eax, [depth]
    cmp eax, [most]
    jbe .no_more
    mov [most], eax
.no_more:
    cmp dword [count], 3
    jae .end
    send_nmi
    nop
    nop
.end:
    dec dword [depth]
    ret

double_nmi:
    inc dword [count]
    cmp dword [count], 1
    jne .end
    send_nmi
    send_nmi
.end:
    ret

fault_nmi:
    inc dword [count]
    cmp dword [count], 1
    jne .end
    mov dword [most], 0
    hook 2, count_nmi
    send_nmi
    hook 0x31, nothing
    int 0x31
    nop
    mov eax, [count]
    mov [most], eax
.end:
nothing:
    ret

count: dd 0
depth: dd 0
most: dd 0
