; vmxlab: vcpus=4 pcpus=4
;
; A guest that only burns time: its first `loops` vCPUs compute for ever, the others halt for good. An
; endless loop on a vCPU is what `while true` is in a guest beside the one that is measured.

bits 64
org 0x100000
default rel

start:
    cmp rdi, [param_loops]
    jae done
forever:
    mov rcx, -1
.round:
    dec rcx
    jnz .round
    jmp forever
done:
    cli
    hlt

align 8
param_loops:    dq 4
end_of_parameters:

; RUN: parameter=loops=0
; EXPECT: 0
