; Exceptions and software interrupts of 64-bit mode, from level 0 and 3: vector, error code and saved
; instruction pointer. SDM 3, "Exception Classifications", "Error Code".

%include "image.inc"
%include "long.inc"

main:
    long_setup
    observe_where "nothing", nop
    attempt "division by zero"
    xor ecx, ecx
    div ecx
    outcome_where
    observe_user "user: hlt", hlt
    observe_user "user: nop", nop
    observe_user "not present", mov eax, [0x70000000]
    show "rsp", rsp
    finish
