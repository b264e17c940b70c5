; vmxlab: vcpus=1 pcpus=1
;
; The smallest guest: print a line on the debug console (port 0xE9) and halt for good.
; Every OUT leaves the guest: exit reason IO_INSTRUCTION, handled in user space. The last
; exit is the HLT, with interrupts off, from which nothing can wake the only vCPU.

bits 64
org 0x100000
default rel

start:
    lea rsi, [message]
    mov ecx, message_end - message
.next:
    lodsb                       ; AL = the next character
    out 0xe9, al
    loop .next

    cli
    hlt

message: db "Hello from VMX non-root operation!", 10
message_end:

; OUTPUT: {{^}}Hello from VMX non-root operation!{{$}}
; CHECK-COUNT-35: reason IO_INSTRUCTION
; CHECK-NEXT: reason HLT
; CHECK-NOT: kvm_exit
