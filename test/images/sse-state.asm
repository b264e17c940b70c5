; When SSE and x87 instructions raise #UD and #NM: CR0.EM, MP, TS, CR4.OSFXSR; FXSAVE and LDMXCSR. SDM 3,
; "Initialization of the x87 FPU", "Providing Operating System Support for SSE"; SDM 2, "LDMXCSR", "FXSAVE".

%include "image.inc"
%include "protected.inc"


%macro every 1
    observe_named %1, "fninit", fninit
    observe_named %1, "fnstcw", fnstcw [SCRATCH]
    observe_named %1, "wait", db 0x9b
    observe_named %1, "addps", addps xmm0, xmm1
    observe_named %1, "movd", movd xmm0, eax
    observe_named %1, "movaps to memory", movaps [SCRATCH + 0x100], xmm0
    observe_named %1, "fxsave", fxsave [SCRATCH + 0x200]
    observe_named %1, "ldmxcsr", ldmxcsr [default_control]
    observe_named %1, "stmxcsr", stmxcsr [SCRATCH]
    observe_named %1, "prefetcht0", prefetcht0 [SCRATCH]
    observe_named %1, "sfence", sfence
    observe_named %1, "movnti", movnti [SCRATCH], eax
%endmacro

%macro observe_named 3+
    attempt %1, ", ", %2
    %3
    outcome
%endmacro

%macro control 2
    mov eax, %1
    mov cr4, eax
    mov eax, 0x11 | (%2)
    mov cr0, eax
%endmacro

main:
    protected_setup
    control 0x200, 0
    every "OSFXSR"
    control 0, 0
    every "OSFXSR=0"
    control 0x200, 4
    every "EM"
    control 0x200, 8
    every "TS"
    control 0x200, 0xa
    every "TS, MP"
    control 0x200, 2
    every "MP"
    control 0x200, 0xc
    every "EM, TS"
    control 0x200, 0
    observe "movaps not aligned", movaps xmm0, [SCRATCH + 8]
    observe "movups not aligned", movups xmm0, [SCRATCH + 8]
    observe "addps not aligned", addps xmm0, [SCRATCH + 8]
    observe "fxsave not aligned", fxsave [SCRATCH + 8]
    observe "ldmxcsr of reserved bits", ldmxcsr [reserved_control]
    stmxcsr [SCRATCH]
    show "mxcsr", [SCRATCH]
    observe "lock addps", db 0xf0, 0x0f, 0x58, 0xc1
    finish

    align 4, db 0
default_control: dd 0x1f80
reserved_control: dd 0x11f80
