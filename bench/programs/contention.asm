; A kernel under load: PROCESSORS processors compute for COMPUTE cycles on average, then take one of eight
; ticket locks with PAUSE and hold it for HOLD cycles; ROUNDS times each. Several such guests on the same
; host preempt each other's lock holders and waiters.

%include "program.inc"
%include "processors.inc"

LOCKS       equ 8
LOCK_BYTES  equ 192             ; three lines: next ticket, now serving, what the lock protects
next_ticket equ SHARED
now_serving equ SHARED + 0x40
counter     equ SHARED + 0x80

main:
    start_processors
    xor eax, eax
worker:
    mov edi, eax
    imul ebx, eax, 0x9e3779b9   ; a seed of its own
    xor ebx, 0x2545f491
    mov ecx, ROUNDS
round:
    ; xorshift
    mov eax, ebx
    shl eax, 13
    xor ebx, eax
    mov eax, ebx
    shr eax, 17
    xor ebx, eax
    mov eax, ebx
    shl eax, 5
    xor ebx, eax
    ; up to COMPUTE iterations, of two cycles each
    mov eax, ebx
    mov edx, COMPUTE
    mul edx
    inc edx
.compute:
    dec edx
    jnz .compute
    mov esi, ebx
    and esi, LOCKS - 1
    imul esi, esi, LOCK_BYTES
    mov eax, 1
    lock xadd [next_ticket + xsi], eax
    jmp .look
.wait:
    pause
.look:
    cmp [now_serving + xsi], eax
    jne .wait
    inc dword [counter + xsi]
    mov edx, HOLD / 2
.hold:
    dec edx
    jnz .hold
    inc dword [now_serving + xsi]
    dec ecx
    jnz round
    lock inc dword [finished]
    test edi, edi
    jz first
    rest
first:
    wait_for_workers
    xor eax, eax
    xor esi, esi
.sum:
    add eax, [counter + xsi]
    add esi, LOCK_BYTES
    cmp esi, LOCKS * LOCK_BYTES
    jne .sum
    finish
