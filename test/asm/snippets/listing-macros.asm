%macro m 0
nop
%endmacro
%imacro long 1-*
  %rep %0
    db %1
    %rotate 1
  %endrep
%endmacro
bits 64
lab m
lab2: m
	lab3 : m
 long 1,2,3
%macro outer 1
  %define X %1
  mov eax, X
  m
  %if X > 1
   db X, "abc;def" ; comment
  %elif 0
  %endif
%endmacro
outer 5
label_only:
.local:
x equ $-label_only
[section .data]
y: dq 1
 db `a\tb`, 'x'
;
   ; indented
%if 0
skipped
%else
db 1
%endif
%include "inc.asm"
%rep 2
 m
%endrep
%rep 2
%rep 2
 db 5
%endrep
%endrep
 align 4
 align 4, db 1
db 0
align 4, db 1,2
resb 3
dd y, x, $
lea rax,[y]
lea rax,[rel y]
lea rax,[rel label_only]
mov byte [rel label_only], 5
mov eax, label_only
add qword [rbx+y], 12345678
push y
mov [qword y], al
