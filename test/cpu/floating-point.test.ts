// What surrounds floating-point arithmetic: which control bits open and close it, which exceptions
// it raises, what a program finds at the start, and FXSAVE images. Results themselves are compared
// with the processor of the machine in test/silicon. SDM 3, "System Programming for Instruction Set
// Extensions and Processor Extended States"; SDM 1, "Floating-Point Exceptions".

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { resetState } from '../../src/cpu/index.ts';
import { OPERANDS, ProtectionBench } from '../support/protection-bench.ts';

const CR0 = { MP: 2, EM: 4, TS: 8, NE: 0x20 };
const CR4 = { OSFXSR: 0x200, OSXMMEXCPT: 0x400 };
const STATUS = 0x2e;

/** A bench with some of the lowest bits of CR0, and both bits of CR4 unless they are given. */
function bench(cr0 = CR0.NE, cr4 = CR4.OSFXSR | CR4.OSXMMEXCPT): ProtectionBench {
  const made = new ProtectionBench(0);
  const without = (name: string, mask: number) =>
    made.bare.get(name) - (made.bare.get(name) & mask);
  made.bare.set('cr0', without('cr0', STATUS) + cr0);
  made.bare.set('cr4', without('cr4', CR4.OSFXSR | CR4.OSXMMEXCPT) + cr4);
  made.setWide('rbx', Long.fromNumber(OPERANDS));
  return made;
}

const NE = CR0.NE;

describe('control registers', () => {
  test.each([
    // [CR0, CR4.OSFXSR, SSE, the FPU, FWAIT]
    [NE, true, null, null, null],
    [NE | CR0.MP, true, null, null, null],
    [NE | CR0.TS, true, '#NM', '#NM', null],
    [NE | CR0.TS | CR0.MP, true, '#NM', '#NM', '#NM'],
    [NE | CR0.EM, true, '#UD', '#NM', null],
    [NE | CR0.EM | CR0.TS, true, '#UD', '#NM', null],
    [NE, false, '#UD', null, null],
    [NE | CR0.TS, false, '#UD', '#NM', null],
  ])('CR0 %i, OSFXSR %s', (cr0, osfxsr, sse, fpu, wait) => {
    const run = (text: string) => bench(cr0, osfxsr ? CR4.OSFXSR : 0).execute(text);
    for (const text of [
      'addsd xmm0, xmm1',
      'movups xmm3, [rbx]',
      'ldmxcsr [rbx]',
      'pxor xmm0, xmm0',
    ]) {
      expect(`${text} ${run(text)}`).toBe(`${text} ${sse}`);
    }
    for (const text of ['fninit', 'fnstcw [rbx]', 'fxsave [rbx]', 'fxrstor64 [rbx]', 'emms']) {
      expect(`${text} ${run(text)}`).toBe(`${text} ${fpu}`);
    }
    expect(run('fwait')).toBe(wait);
    // These belong to no unit.
    for (const text of ['movnti [rbx], eax', 'mfence', 'prefetcht0 [rbx]']) {
      expect(`${text} ${run(text)}`).toBe(`${text} null`);
    }
  });
});

describe('exceptions that are not masked', () => {
  const DIVISION_UNMASKED = 0x1d80;

  function divided(cr4: number): readonly [fault: string | null, ProtectionBench] {
    const made = bench(NE, cr4);
    made.bare.set('mxcsr', DIVISION_UNMASKED);
    made.setWide('xmm0Low', Long.fromBits(0, 0x3ff00000));
    made.setWide('xmm1Low', Long.ZERO);
    return [made.execute('divsd xmm0, xmm1'), made];
  }

  test('raise #XM, and leave the destination alone but for the flag in MXCSR', () => {
    const [fault, made] = divided(CR4.OSFXSR | CR4.OSXMMEXCPT);
    expect(fault).toBe('#XM');
    expect(made.bare.get('mxcsr')).toBe(DIVISION_UNMASKED | 4);
    expect(made.wide('xmm0Low').high).toBe(0x3ff00000);
  });

  test('raise #UD without CR4.OSXMMEXCPT', () => {
    const [fault, made] = divided(CR4.OSFXSR);
    expect(fault).toBe('#UD');
    expect(made.bare.get('mxcsr')).toBe(DIVISION_UNMASKED | 4);
  });

  test.each([
    // [what has been signalled, what is masked, CR0.NE, FWAIT]
    [0x01, 0x3f, true, null],
    [0x01, 0x3e, true, '#MF'],
    [0x20, 0x1f, true, '#MF'],
    [0x20, 0x1f, false, 'notImplemented'],
  ])('of the FPU: flags %i, masks %i, CR0.NE %s', (flags, masks, isNumeric, wait) => {
    const made = bench(isNumeric ? NE : 0);
    made.bare.set('fsw', flags);
    made.bare.write64(OPERANDS, 0x300 | masks | 0x40);
    expect(made.execute('fldcw [rbx]')).toBe(null);
    expect(made.bare.get('fsw')).toBe(wait === null ? flags : flags | 0x8080);
    expect(made.execute('fwait')).toBe(wait);
    // What does not wait does not look.
    expect(made.execute('fnstcw [rbx]')).toBe(null);
    expect(made.execute('fnclex')).toBe(null);
    expect(made.execute('fwait')).toBe(null);
  });
});

describe('the start', () => {
  test('in 64-bit mode a program may use SSE at once', () => {
    const made = new ProtectionBench(0);
    expect(made.execute('addsd xmm0, xmm1')).toBe(null);
    expect(['mxcsr', 'fcw', 'fsw', 'ftw'].map((name) => made.bare.get(name))).toEqual([
      0x1f80, 0x37f, 0, 0,
    ]);
  });

  test('after reset MXCSR and FPU are as the SDM says', () => {
    const { bare } = bench();
    resetState(bare.machine.processor.state);
    expect(['mxcsr', 'fcw', 'fsw', 'ftw'].map((name) => bare.get(name))).toEqual([
      0x1f80, 0x40, 0, 0xff,
    ]);
  });
});

test('reserved bits of MXCSR are refused, and nothing is loaded', () => {
  const made = bench();
  made.bare.write64(OPERANDS + 24, 0x11f80);
  made.setWide('xmm0Low', Long.NEG_ONE);
  expect(made.execute('fxrstor [rbx]')).toBe('#GP(0)');
  expect(made.execute('ldmxcsr [rbx+24]')).toBe('#GP(0)');
  expect(made.bare.get('mxcsr')).toBe(0x1f80);
  expect(made.wide('xmm0Low').low).toBe(-1);
});

test.each([
  'movaps xmm0, [rbx+8]',
  'movdqa [rbx+4], xmm1',
  'addpd xmm0, [rbx+1]',
  'fxsave [rbx+8]',
])('%s is not aligned', (text) => {
  expect(bench().execute(text)).toBe('#GP(0)');
});
