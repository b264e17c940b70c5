; Arithmetic in registers: xorshift (Marsaglia, "Xorshift RNGs") of the register's size and the sum of
; what it gives; 12 instructions a round.

%include "program.inc"

%if SIZE = 64
%define SEED    0x9e3779b97f4a7c15
%define LEFT    13
%define RIGHT   7
%define AGAIN   17
%else
%define SEED    0x9e3779b9
%define LEFT    13
%define RIGHT   17
%define AGAIN   5
%endif

main:
    mov ecx, ROUNDS
    mov xbx, SEED
    xor edx, edx
round:
    mov xax, xbx
    shl xax, LEFT
    xor xbx, xax
    mov xax, xbx
    shr xax, RIGHT
    xor xbx, xax
    mov xax, xbx
    shl xax, AGAIN
    xor xbx, xax
    add xdx, xbx
    dec ecx
    jnz round
    mov eax, edx
    finish
