; vmxlab: vcpus=3 pcpus=3
;
; A ticket lock is handed to whoever came first, though that vCPU has just been preempted: nobody
; has the lock's use until the host runs it again, least of all those that wait awake. Corrected:
; no line, whoever is awake may take it, as Linux's virt_spin_lock.
;
; RUN: name=BUG fault=preempt,at=in_line,vcpu=1,after=2us,for=500us seed=1..2
; RUN: name=FIXED define=FIXED fault=preempt,at=in_line,vcpu=1,after=2us,for=500us seed=1..2
; XFAIL-BUG: vCPU 1 has the lock, but no pCPU
; PROPERTY: handed on: every guest_code(at=released, vcpu=0) is followed by guest_code(at=critical) within 50us
; PROPERTY: at least 1 fault(vcpu=1)
; STATE: status halted
; STATE: vcpu 0 rax 0x3

bits 64
org 0x100000
default rel

%macro pass_time 1
    mov ecx, %1
%%round:
    mfence
    dec ecx
    jnz %%round
%endmacro

start:
    mov ebx, edi                ; vCPU 1 gets in line before vCPU 2
    imul ebx, ebx, 200
    inc ebx
    pass_time ebx
%ifdef FIXED
in_line:
    nop                         ; a place of its own, passed once
.spin:
    pause
    xor eax, eax
    mov ecx, 1
    lock cmpxchg [lock_word], ecx
    jne .spin
%else
    mov eax, 1
    lock xadd [tail], eax
in_line:
    nop                         ; a place of its own, passed once
.spin:
    pause
    cmp [head], eax
    jne .spin
%endif

critical:
    test edi, edi
    jnz .short
    pass_time 3000              ; until vCPU 1 is preempted
.short:
    pass_time 10
    inc dword [counter]
%ifdef FIXED
    mov dword [lock_word], 0
%else
    inc dword [head]
%endif

released:
    nop                         ; a place of its own, passed once
.wait_for_all:
    pause                       ; an idle pCPU would come to vCPU 1's help
    cmp dword [counter], 3
    jne .wait_for_all
    mov eax, [counter]
    cli
    hlt

align 64
head:       dd 0                ; the ticket whose turn it is
tail:       dd 0                ; the next ticket
lock_word:  dd 0
align 64
counter:    dd 0
