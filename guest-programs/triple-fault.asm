; vmxlab: vcpus=1 pcpus=1
;
; How to kill a guest: raise an exception without an interrupt table. #UD cannot be delivered, which
; is a #GP; that cannot be delivered either, which makes a double fault; and when even the double
; fault cannot be delivered, the processor shuts down. Under VMX that is exit TRIPLE_FAULT, and the
; report shows registers, the last exits and the last instructions. Exit code 6.

bits 64
org 0x100000
default rel

start:
    lea rsi, [message]
    call print_text
    lidt [no_table]
    ud2

%include "lib/console.inc"

message:    db "this will not end well", 10, 0
no_table:   dw 0
            dq 0

; EXPECT: tripleFault
; OUTPUT: this will not end well
; CHECK: reason TRIPLE_FAULT rip
; CHECK-NOT: kvm_exit
; TRACE: kvm_userspace_exit: reason KVM_EXIT_SHUTDOWN
