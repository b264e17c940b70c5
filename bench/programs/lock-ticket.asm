; A ticket lock with PAUSE, on which PROCESSORS processors contend: ROUNDS increments each, with SECTION
; iterations of a delay while the lock is held.

%include "program.inc"
%include "processors.inc"

next_ticket equ SHARED
now_serving equ SHARED + 0x40
counter     equ SHARED + 0x80

main:
    start_processors
    xor eax, eax
worker:
    mov edi, eax
    mov ecx, ROUNDS
.acquire:
    mov eax, 1
    lock xadd [next_ticket], eax
    jmp .look
.wait:
    pause
.look:
    cmp [now_serving], eax
    jne .wait
    inc dword [counter]
%if SECTION > 0
    mov edx, SECTION
.hold:
    dec edx
    jnz .hold
%endif
    inc dword [now_serving]
    dec ecx
    jnz .acquire
    lock inc dword [finished]
    test edi, edi
    jz first
    rest
first:
    wait_for_workers
    mov eax, [counter]
    finish
