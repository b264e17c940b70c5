; vmxlab: vcpus=1 pcpus=1
;
; A fault that only one input reaches, for `vmxlab fuzz`: each letter is looked at by itself, so
; whoever has got one right comes a step farther. Without an input all is well.

bits 64
org 0x100000
default rel

start:
    lea rsi, [fuzz_input]
    cmp dword [fuzz_length], 4
    jb done
    cmp byte [rsi], 'V'
    jne done
    cmp byte [rsi + 1], 'M'
    jne done
    cmp byte [rsi + 2], 'X'
    jne done
    cmp byte [rsi + 3], '!'
    jne done
    lidt [no_table]
    ud2                         ; nobody can handle it: a triple fault
done:
    cli
    hlt

no_table:       dw 0
                dq 0
fuzz_length:    dd 0
fuzz_input:     times 16 db 0
fuzz_input_end:
