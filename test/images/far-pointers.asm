; LDS, LES, LSS, LFS, LGS: the pointer in memory, its faults, and that a fault leaves both registers. SDM 2,
; "LDS/LES/LFS/LGS/LSS—Load Far Pointer".

%include "image.inc"
%include "protected.inc"

%macro pointer 2
    mov dword [SCRATCH], %1
    mov dword [SCRATCH + 4], %2
%endmacro

main:
    protected_setup
    segment_at FREE, 0, 0xfffff, 0x13, 0xc
    segment_at FREE + 8, SCRATCH, 0x00fff, 0x93, 0x4
    pointer 0x12345678, DATA
    mov ebx, 0
    observe "les", les ebx, [SCRATCH]
    show "ebx", ebx
    observe "lfs", lfs ebx, [SCRATCH]
    mov ebx, -1
    observe "lgs of 16 bits", lgs bx, [SCRATCH + 2]
    show "ebx", ebx
    pointer 0x12345678, FREE
    mov ebx, 0
    observe "lfs, not present", lfs ebx, [SCRATCH]
    show "ebx", ebx
    pointer 0x12345678, 0
    observe "lfs, null", lfs ebx, [SCRATCH]
    show "ebx", ebx
    mov eax, fs
    show "fs", eax
    observe "lss, null", lss ebx, [SCRATCH]
    pointer KERNEL_STACK - 0x100, DATA
    attempt "lss esp"
    lss esp, [SCRATCH]
    mov ebx, esp
    outcome
    show "esp", ebx
    pointer 0x12345678, CODE32
    mov ebx, 0
    observe "lss, code", lss ebx, [SCRATCH]
    show "ebx", ebx
    pointer 0x12345678, 0x200
    observe "lgs, beyond the limit", lgs ebx, [SCRATCH]
    mov eax, FREE + 8
    mov gs, eax
    observe "lfs, the selector is beyond the limit", lfs ebx, [gs:0xffb]
    mov dword [SCRATCH + 0xffa], 0x55556666
    mov word [SCRATCH + 0xffe], DATA
    observe "lfs, just within", lfs ebx, [gs:0xffa]
    show "ebx", ebx
    observe "les with a register", db 0xc4, 0xc0
    observe "lss with a register", db 0x0f, 0xb2, 0xc0
    attempt "lds"
    pointer 0x11223344, DATA
    lds ebx, [SCRATCH]
    outcome
    show "ebx", ebx
    attempt "user: lds of level 0"
    user
    lds ebx, [SCRATCH]
    kernel
    outcome
    finish
