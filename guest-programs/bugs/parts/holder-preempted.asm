; vCPU 2 takes a lock and works; vCPUs 0 and 1 spin for it.

; SKIP: for the scenarios that run it

bits 64
org 0x100000
default rel

start:
    cmp edi, 2
    jne waiter
    mov dword [taken], 1
    mov ecx, 200000             ; about 3.5 ms
.work:
    mfence
    dec ecx
    jnz .work
    mov dword [taken], 0
    mov dword [finished], 1
    cli
    hlt

waiter:
    pause
    cmp dword [finished], 0
    je waiter
    cli
    hlt

align 64
taken:      dd 0
align 64
finished:   dd 0
