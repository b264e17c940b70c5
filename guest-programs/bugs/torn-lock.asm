; vmxlab: vcpus=2 pcpus=2
;
; A lock that looks and takes in two steps: both vCPUs find it free and both have it. Each marks its
; section by writing to port 0x80, so that the property can say what must not be. Corrected: XCHG.
;
; RUN: name=BUG
; RUN: name=FIXED define=FIXED
; XFAIL-BUG: two holders
; PROPERTY: one holder: at most 1 between kvm_pio(port=0x80, value=1) and kvm_pio(port=0x80, value=2)
; STATE: status halted

bits 64
org 0x100000
default rel

start:
    mov ebp, 3
again:
%ifdef FIXED
    mov eax, 1
    xchg [taken], eax
    test eax, eax
    jz .ours
    pause
    jmp again
.ours:
%else
    cmp dword [taken], 0
    jne .busy
    mov ecx, 20                 ; as an interrupt would
.delay:
    mfence
    dec ecx
    jnz .delay
    mov dword [taken], 1
    jmp .ours
.busy:
    pause
    jmp again
.ours:
%endif
    mov al, 1
    out 0x80, al                ; in
    mov al, 2
    out 0x80, al                ; out
    mov dword [taken], 0
    dec ebp
    jnz again
    cli
    hlt

align 4
taken:      dd 0
