; CR4.SMEP and CR4.SMAP with 4-level paging, and EFLAGS.AC. SDM 3, "Access Rights".

%define USER_ALIAS 0x80000000
%include "image.inc"
%include "long.inc"

%macro entries 3
    set_entry PD_TEST, PT_TEST + (%2)
    set_entry PT_TEST, SCRATCH + (%3)
    attempt %1, ", read"
    mov eax, [TEST]
    outcome
    attempt %1, ", write"
    mov [TEST + 8], eax
    outcome
    attempt %1, ", fetch"
    mov eax, TEST
    call rax
    outcome
    attempt %1, ", AC, read"
    stac
    mov eax, [TEST]
    clac
    outcome
    attempt %1, ", AC, fetch"
    mov eax, TEST
    stac
    call rax
    clac
    outcome
    attempt "user: ", %1, ", read"
    user
    mov eax, [TEST]
    kernel
    outcome
    attempt "user: ", %1, ", fetch"
    user
    mov eax, TEST
    call rax
    kernel
    outcome
%endmacro

main:
    long_setup
    mov byte [SCRATCH], 0xc3
    mov eax, 0x300020
    mov cr4, rax
    entries "user page", 7, 7
    entries "supervisor page", 7, 3
    entries "supervisor PDE", 3, 7
    entries "not present", 7, 6
    set_entry PD_TEST, PT_TEST + 7
    set_entry PT_TEST, SCRATCH + 7, 0x80000000
    attempt "XD user page, fetch"
    mov eax, TEST
    call rax
    outcome
    set_entry PT_TEST, SCRATCH + 7, 0
    observe "rep stosb with AC", call stos_with_ac
    observe_user "user: stac", stac
    ; A user may have set AC before he came: an interrupt does not clear it.
    attempt "user: ac by popf, then a fault"
    user
    push qword EFLAGS_AC | 2
    popfq
    ud2
    outcome
    mov eax, [caught64_rflags]
    and eax, EFLAGS_AC
    show "AC in the saved flags", rax
    mov eax, 0x100020
    mov cr4, rax
    entries "SMEP only, user page", 7, 7
    mov eax, 0x200020
    mov cr4, rax
    entries "SMAP only, user page", 7, 7
    finish

bits 64
stos_with_ac:
    stac
    mov edi, TEST + 0x20
    mov ecx, 16
    rep stosb
    clac
    ret
