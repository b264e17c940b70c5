; vmxlab: vcpus=2 pcpus=2
;
; A kick that is lost before HLT. The waiter looks, says that it sleeps, and halts; whoever releases
; it kicks only sleepers. If the release falls between the look and the word, nobody kicks, and the
; waiter sleeps for good. Corrected: look once more behind a locked store, as Linux's locks do.
;
; RUN: name=BUG seed=1..2
; RUN: name=FIXED define=FIXED seed=1..2
; XFAIL-BUG: the waiter sleeps for good
; OUTPUT: {{^}}woken{{$}}

bits 64
org 0x100000
default rel

KICK_CPU        equ 5

start:
    test edi, edi
    jnz waiter

    mov ecx, 400                ; the release falls into the waiter's delay
.work:
    mfence
    dec ecx
    jnz .work
    mov eax, 1
    xchg [released], eax
    cmp dword [sleeping], 0
    je .done                    ; awake: it will see for itself
    mov eax, KICK_CPU
    xor ebx, ebx
    mov ecx, 1
    vmcall
.done:
    cli
    hlt

waiter:
    cmp dword [released], 0
    jne .woken
    mov ecx, 1000               ; preempted here, say
.delay:
    mfence
    dec ecx
    jnz .delay
    mov eax, 1
    xchg [sleeping], eax
%ifdef FIXED
    cmp dword [released], 0     ; the kick may have been left out while we made up our mind
    jne .woken
%endif
    hlt                         ; interrupts are off: only a kick ends this
.woken:
    lea rsi, [text]
    call print_text
    cli
    hlt

%include "../lib/console.inc"

text:       db "woken", 10, 0
align 4
released:   dd 0
sleeping:   dd 0
