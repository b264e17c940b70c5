// Guest code that leaves 64-bit mode, in which benches begin, for the modes before it.

/** Where code of 32 bits goes on, and the GDT with its last byte; selector 0x18 is the code's. */
export interface Compatibility {
  readonly code: number;
  readonly gdt: number;
  readonly gdtLimit: number;
}

/** From 64-bit mode by a far jump into compatibility mode. */
export function toCompatibility({ code, gdt, gdtLimit }: Compatibility): string {
  return `
    lgdt [descriptor]
    jmp far [target]
    align 8
target: dd ${code}
    dw 0x18
descriptor: dw ${gdtLimit}
    dq ${gdt}
`;
}

/** Out of IA-32e mode, with EFER.LME clear; 0x10 is a data segment. */
export const TO_PROTECTED = `
    mov eax, 0x10
    mov ds, eax
    mov es, eax
    mov ss, eax
    mov esp, 0x70000
    mov eax, cr0
    and eax, 0x7fffffff
    mov cr0, eax
    mov ecx, 0xc0000080
    rdmsr
    and eax, ~0x100
    wrmsr
`;
