; Accesses that cross a page boundary: which page faults, what CR2 says, and that nothing is written
; before. SDM 3, "Page-Fault Exceptions"; SDM 1, "Memory Organization".

%include "image.inc"
%include "paging.inc"

%macro pages 2
    set_entry PT, SCRATCH + (%1)
    set_entry PT + 4, SCRATCH + 0x1000 + (%2)
    mov dword [SCRATCH + 0xffc], 0
    mov dword [SCRATCH + 0x1000], 0
    invlpg [TEST + 0x1000]
%endmacro

main:
    protected_setup
    paging_on CR0_WP, 0
    pages 7, 7
    observe "both present: read", mov eax, [TEST + 0xffe]
    pages 7, 6
    observe "second not present: read", mov eax, [TEST + 0xffe]
    mov eax, 0xaabbccdd
    observe "second not present: write", mov [TEST + 0xffe], eax
    show "left", [SCRATCH + 0xffc]
    observe "second not present: add", add [TEST + 0xffd], eax
    show "left", [SCRATCH + 0xffc]
    pages 6, 7
    observe "first not present: read", mov eax, [TEST + 0xffe]
    observe "first not present: write", mov [TEST + 0xffe], eax
    show "right", [SCRATCH + 0x1000]
    pages 6, 6
    observe "none present: read", mov eax, [TEST + 0xffe]
    pages 7, 5
    observe "second read-only: write", mov [TEST + 0xffe], eax
    show "left", [SCRATCH + 0xffc]
    observe "second read-only: xchg", xchg [TEST + 0xffe], eax
    pages 5, 7
    observe "first read-only: write", mov [TEST + 0xffe], eax
    pages 7, 3
    observe_user "user: second supervisor: read", mov eax, [TEST + 0xffe]
    pages 7, 6
    ; A pop that reads across, with ESP as it was.
    attempt "pop across"
    mov ebp, esp
    mov esp, SCRATCH + 0x800
    pop dword [TEST + 0xffe]
    outcome
    mov eax, [caught_frame]
    add eax, 12
    show "esp", eax
    ; An instruction that lies across.
    mov byte [SCRATCH + 0xfff], 0xb8
    attempt "fetch across"
    mov eax, TEST + 0xfff
    jmp eax
    outcome
    mov eax, [caught_eip]
    show "eip", eax
    pages 7, 7
    mov byte [SCRATCH + 0xfff], 0xb8
    mov dword [SCRATCH + 0x1000], 0x12345678
    mov byte [SCRATCH + 0x1004], 0xc3
    attempt "fetch across, both there"
    mov eax, TEST + 0xfff
    call eax
    outcome
    ; One behind the end of what is there.
    pages 7, 6
    mov word [SCRATCH + 0xffe], 0x9090
    attempt "run into the second"
    mov eax, TEST + 0xffe
    jmp eax
    outcome
    mov eax, [caught_eip]
    show "eip", eax
    pages 7, 6
    attempt "rep stosd into the second"
    mov edi, TEST + 0xff0
    mov ecx, 8
    mov eax, 0x77777777
    rep stosd
    outcome
    show "edi", edi
    show "ecx", ecx
    attempt "rep movsb from the second, down"
    pages 6, 7
    std
    mov esi, TEST + 0x1002
    mov edi, SCRATCH + 0x3010
    mov ecx, 8
    rep movsb
    outcome
    show "esi", esi
    show "edi", edi
    show "ecx", ecx
    attempt "repe cmpsb"
    pages 7, 6
    mov esi, SCRATCH + 0x2000
    mov edi, TEST + 0xffc
    mov ecx, 9
    repe cmpsb
    outcome
    show "esi", esi
    show "ecx", ecx
    finish
