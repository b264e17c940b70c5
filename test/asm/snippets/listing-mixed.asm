bits 64
%include "inc.asm"
%macro m 1
  ; comment
  %if %1
  nop   ; hi
  db    1,	2
  %else
  int3
  %endif
  inner %1,2
  %rep 2
   cli
  %endrep
%endmacro
%macro inner 2+.nolist
  hlt
%endmacro

lab: m 1
 m 0
db 1, \
   2
	nop		; tabs
%define A 5
mov eax, A
x equ 5
db 'long string here that is long', 0
dq 1
times 2 dq 1
times 3 incbin "inc.asm",0,2
%if 1
nop
%elif 0
nop
%endif
align 8
jmp near [rax+lab]
mov dword [lab], 5
mov dword [rel d], 5
mov rax,[qword lab]
mov qword [rax+lab], lab
call d
jmp d
dd lab, lab+5
dq d-$$
%rep 3
  nop
  %if 1
  cli
  %endif
%endrep
times 3 jmp lab
times 2 jmp fwd
times 3 mov rax, lab
fwd:
%assign i 0
%rep 2
 %assign i i+1
 db i
%endrep
section .data
d: db 1
incbin "inc.asm"
section .bss
resb 3
resq 1
resq 2
 dq ?
alignb 16
section .foo nobits
resb 5
times 3 resb 20
times 0 resb 4
section .text
times 20 db 1,2,3
times 100 nop
mov rax, -1
mov rax, 0x123456789abcdef0
m2:m 0
