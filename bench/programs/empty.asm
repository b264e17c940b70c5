; Nothing: what remains is the start of the emulator and the frame of every benchmark.

%include "program.inc"

main:
    mov eax, ROUNDS
    finish
