; vmxlab: vcpus=2 pcpus=2
;
; A clock of two words with a version, as pvclock has it: odd while it is written. The reader
; looks at the version before its loads and not behind them: its words can be of two times.
; Corrected: look again.
;
; EXPLORE: ending
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

start:
    test edi, edi
    jnz reader
    inc dword [version]         ; odd: do not read
    mov dword [seconds], 2
    mov dword [fraction], 2
    inc dword [version]
done:
    cli
    hlt
    jmp done

reader:
    mov eax, [version]
    test al, 1
    jz .even
    pause
    jmp reader
.even:
    mov ebx, [seconds]
    mov ecx, [fraction]
%ifdef FIXED
    cmp [version], eax
    jne reader
%endif
    cmp ebx, ecx
    setne al
    out 0xf4, al                ; 0 if both are of one time

align 64
version:    dd 0
seconds:    dd 1
fraction:   dd 1
