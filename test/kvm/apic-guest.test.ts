// The local APIC as guest programs see it: nested interrupts, the page, CR8. SDM 3, "Advanced
// Programmable Interrupt Controller (APIC)"; its registers one by one are in lapic.test.ts.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { Guest, KvmBench } from '../support/kvm-bench.ts';

describe('a guest', () => {
  const ENABLE = `
      write_msr 0x1b, 0xfee00d00
      write_msr 0x80f, 0x1ff`;

  test('gets interrupts in the order of their priorities, one within the other', () => {
    const source = `${ENABLE}
        write_msr 0x83f, 0x40
        write_msr 0x83f, 0x61
        write_msr 0x83f, 0x43
        sti
        nop
        cli
        mov result(0), rbx
        finish
      %macro note 1
        shl rbx, 8
        or rbx, %1
      %endmacro
      %macro end_of_interrupt 0
        xor eax, eax
        xor edx, edx
        mov ecx, 0x80b
        wrmsr
      %endmacro
      on_67: note 0x43
        sti
        write_msr 0x83f, 0x71
        nop
        cli
        note 0x4e
        end_of_interrupt
        iretq
      on_113: note 0x71
        end_of_interrupt
        iretq
      on_97: note 0x61
        end_of_interrupt
        iretq
      on_64: note 0x40
        end_of_interrupt
        iretq`;
    const bench = new KvmBench(`xor ebx, ebx\n${source}`).finish();
    // 61H first; then 43H before 40H, interrupted by 71H of a higher class; then 40H.
    expect(bench.result(0).toString(16)).toBe('6143714e40');
    expect(bench.lines('kvm_eoi')).toEqual(
      [0x61, 0x71, 0x43, 0x40].map((vector) => `kvm_eoi: apicid 0 vector ${vector}`),
    );
    expect(bench.counters().irq_injections).toBe(4);
  });

  test('reaches the page by MOV, and the id is in its highest byte', () => {
    const source = `
        mov ebx, 0xfee00000
        mov eax, [rbx + 0x20]
        mov [8 * rdi + ${Guest.RESULTS}], rax
        mov dword [rbx + 0xf0], 0x1ff
        mov eax, [rbx + 0xf0]
        mov result(2), rax
        cmp edi, 1
        je second
        hlt
      second: finish`;
    const bench = new KvmBench(source, { vcpus: 2 }).finish();
    expect(bench.results(3)).toEqual([0n, 0x01000000n, 0x1ffn]);
    expect(bench.exits(1)).toEqual([
      // The other vCPU has mapped the page.
      'APIC_ACCESS',
      'APIC_ACCESS',
      'APIC_ACCESS',
      'IO_INSTRUCTION',
    ]);
    expect(bench.lines('kvm_apic').slice(0, 2)).toContain('kvm_apic: apic_read APIC_ID = 0x0');
  });

  test('does not find the page any more in x2APIC mode: a device may be there', () => {
    const source = `
        write_msr 0x1b, 0xfee00d00
        mov ebx, 0xfee00030
        mov eax, [rbx]
        mov result(0), rax
        finish`;
    const answer = (exit: { reason: string; data?: unknown }) => {
      if (exit.reason === 'MMIO') exit.data = Long.fromInt(0x1234);
    };
    const bench = new KvmBench(source, { answer }).finish();
    expect(bench.result(0)).toBe(0x1234n);
  });

  test('moves to CR8 set bits 7:4 of the TPR, and hold interrupts back', () => {
    const source = `${ENABLE}
        mov eax, 4
        mov cr8, rax
        write_msr 0x83f, 0x4f
        sti
        nop
        mov result(0), rbx
        read_msr 0x808
        mov result(1), rax
        mov eax, 3
        mov cr8, rax
        nop
        mov result(2), rbx
        mov rax, cr8
        mov result(3), rax
        write_msr 0x808, 0x5f
        mov rax, cr8
        mov result(4), rax
        finish
      on_79: inc ebx
        push rax
        push rcx
        push rdx
        write_msr 0x80b, 0
        pop rdx
        pop rcx
        pop rax
        iretq`;
    const bench = new KvmBench(`xor ebx, ebx\n${source}`).finish();
    expect(bench.results(5)).toEqual([0n, 0x40n, 1n, 3n, 5n]);
  });
});
