; vmxlab: vcpus=2 pcpus=2
;
; The producer says that the message is there, and then writes it. x86 keeps the order of stores:
; the reader can see the flag and no message. Corrected: the message first.
;
; EXPLORE: ending
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

start:
    test edi, edi
    jnz reader
%ifdef FIXED
    mov dword [message], 42
    mov dword [ready], 1
%else
    mov dword [ready], 1
    mov dword [message], 42
%endif
done:
    cli
    hlt
    jmp done

reader:
    pause
    cmp dword [ready], 0
    je reader
    cmp dword [message], 42
    setne al
    out 0xf4, al                ; 0 if it is the message

align 64
message:    dd 0
align 64
ready:      dd 0
