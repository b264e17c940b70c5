; vmxlab: vcpus=2 pcpus=2
;
; Each vCPU says that it wants to enter, and enters if the other does not want to. The load may be
; done before others see the store (x86-TSO), so that both find the other's flag clear. Corrected:
; MFENCE.
;
; EXPLORE: exclusion --store-buffers --exclusive enter..leave
; SKIP: for `vmxlab explore`, which finds the schedule

bits 64
org 0x100000
default rel

start:
    lea rbx, [flags]
    mov eax, edi
    xor eax, 1                  ; the other
    mov dword [rbx + rdi * 8], 1
%ifdef FIXED
    mfence
%endif
    cmp dword [rbx + rax * 8], 0
    jne done
enter:
    nop
leave:
    mov dword [rbx + rdi * 8], 0
done:
    cli
    hlt
    jmp done

align 64
flags:      dq 0, 0
