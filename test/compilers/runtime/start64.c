// The entry point of a C program as a guest in 64-bit mode, with a stack of its own.

// vCPU 0 runs main; the others have nothing to do.
__asm__(
    ".text\n"
    ".globl _start\n"
    ".type _start, @function\n"
    "_start:\n"
    "    test %edi, %edi\n"
    "    jnz 1f\n"
    "    lea stack_top(%rip), %rsp\n"
    "    xor %ebp, %ebp\n"
    "    call main\n"
    "1:  cli\n"
    "    hlt\n"
    "    jmp 1b\n"
    ".size _start, . - _start\n");
