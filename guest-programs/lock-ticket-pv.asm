; vmxlab: vcpus=4 pcpus=2 hogs=2
;
; A paravirtual ticket lock, as Linux guests used it from 2013 to 2015.
;
; A ticket lock is fair: each waiter takes a ticket and enters in its turn. On a virtual machine
; that is a trap, for the waiter whose turn it is may not be running, and nobody can go before it.
; So a waiter that has spun long enough says so, halts, and is kicked by a hypercall when its turn
; comes; meanwhile its pCPU does something useful.
;
; N vCPUs increment a counter ITERATIONS times each; the result must be N x ITERATIONS.
; RDI = vCPU index, RSI = number of vCPUs, RSP = a stack (see docs/guest-programs.md).

bits 64
org 0x100000
default rel

%ifndef ITERATIONS
%define ITERATIONS 20000
%endif

SPIN_THRESHOLD  equ 1 << 11     ; PAUSEs before a waiter halts
KICK_CPU        equ 5           ; hypercall: RBX = flags, RCX = APIC id
SLOWPATH        equ 1           ; bit 0 of the head: someone is halted, or about to be
TICKET          equ 2           ; so tickets count by two

start:
    mov r12, rdi                ; our index, which is our APIC id too
    mov r13, rsi                ; how many we are
    mov ebp, ITERATIONS

again:
    call acquire
    inc qword [counter]         ; not locked: the lock must protect it
    call release
    dec ebp
    jnz again

    lock inc dword [finished]
    test r12, r12
    jnz done                    ; vCPU 0 waits for the others and prints the result
.wait:
    pause
    cmp [finished], r13d
    jne .wait
    mov rax, [counter]
    call print_decimal
done:
    cli
    hlt

; Take the next ticket, and wait until the head shows it.
acquire:
    mov eax, TICKET
    lock xadd [tail], eax       ; EAX = our ticket
.spin:
    mov ecx, SPIN_THRESHOLD
.look:
    mov edx, [head]
    mov ebx, edx
    and ebx, ~SLOWPATH
    cmp ebx, eax
    je .ours
    pause
    dec ecx
    jnz .look

    ; Spun long enough: publish what we wait for, then set the flag, then look once more. Both are
    ; locked operations, so either we see the new head or the unlocker sees the flag.
    lea rcx, [wanted]
    mov ebx, eax
    or ebx, 1                   ; 0 means nobody waits here; tickets are even
    xchg [rcx + r12 * 4], ebx
    lock or dword [head], SLOWPATH
    mov edx, [head]
    and edx, ~SLOWPATH
    cmp edx, eax
    je .awake
    hlt                         ; interrupts are off: only a kick wakes us
.awake:
    mov dword [rcx + r12 * 4], 0
    jmp .spin
.ours:
    ret

; Advance the head; if someone is halted, kick the one whose turn it is.
release:
    mov eax, TICKET
    lock xadd [head], eax
    test al, SLOWPATH
    jz .done
    add eax, TICKET             ; the ticket whose turn it is now, with bit 0 set
    xor ecx, ecx
    lea rdx, [wanted]
.find:
    cmp [rdx + rcx * 4], eax
    je .kick
    inc ecx
    cmp ecx, r13d
    jb .find
    jmp .clear                  ; it is awake and will see the head
.kick:
    mov eax, KICK_CPU
    xor ebx, ebx
    vmcall                      ; RCX = APIC id of the waiter
    ret
.clear:
    ret
.done:
    ret

; Print RAX in decimal and a newline on the debug console.
print_decimal:
    mov ecx, 10
    push rcx                    ; the newline, printed last
.divide:
    xor edx, edx
    div rcx
    add edx, '0'
    push rdx
    test rax, rax
    jnz .divide
.print:
    pop rax
    out 0xe9, al
    cmp al, 10
    jne .print
    ret

align 64
head:       dd 0
align 64
tail:       dd 0
align 64
counter:    dq 0
finished:   dd 0
align 64
wanted:     times 64 dd 0
