; ticket lock
bits 64
default rel
org 0x100000
%define LOCK 8
%macro spin 2-3 4
%%again:
        mov     eax, %3
        lock xadd [%1 + LOCK], eax
%%wait: cmp     eax, [%1]
        je      %%done
        pause
        jmp     %%wait
%%done:
%endmacro

start:  mov     rsp, stack_top
        lea     rdi, [counter]
.loop:
        spin    rdi, 1
        inc     qword [counter]
        spin    rdi, 1, 2
        cmp     qword [counter], 1000
        jb      .loop
        out     0xf4, al
        hlt
        jmp     $-1
        align   16
table:  dq      start, start.loop, table
        dd      table - start, $ - $$
        dw      1, 2, 'ab', "xyz"
        times   510 - ($ - $$) db 0
        dw      0xaa55
section .bss align=4096
counter: resq 1
         resb 4096 - 8
stack:  resb 65536
stack_top:
