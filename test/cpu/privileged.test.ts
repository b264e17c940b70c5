// Instructions that depend on privilege, control registers and features rather than on segments:
// bases of FS and GS, the machine status word, caches, counters, and what this processor does
// without. SDM 2, the instructions' pages.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { BareMachine } from '../support/bare-machine.ts';
import { OPERANDS, ProtectionBench } from '../support/protection-bench.ts';
import { At } from '../support/vmx-bench.ts';

type Cpl = 0 | 1 | 2 | 3;

const hex = (digits: string) => Long.fromString(digits, true, 16);
const CR0 = { PE: 1, MP: 2, EM: 4, TS: 8 };
const CR4 = { PCE: 0x100, FSGSBASE: 0x10000 };

function withControl(cpl: Cpl, name: 'cr0' | 'cr4', set: number): ProtectionBench {
  const bench = new ProtectionBench(cpl);
  bench.bare.set(name, bench.bare.get(name) + set);
  return bench;
}

describe('RDFSBASE, RDGSBASE, WRFSBASE, WRGSBASE', () => {
  const BASE = hex('ffff812345678abc');

  test.each([
    // [instruction, what RCX is then]
    ['rdfsbase rcx', 'ffff812345678abc'],
    ['rdgsbase rcx', 'ffff812345678abc'],
    ['rdfsbase ecx', '45678abc'],
    ['rdgsbase ecx', '45678abc'],
  ])('%s', (instruction, rcx) => {
    for (const cpl of [0, 3] as const) {
      const bench = withControl(cpl, 'cr4', CR4.FSGSBASE);
      bench.setWide(instruction.includes('fs') ? 'fsBase' : 'gsBase', BASE);
      bench.setWide('rcx', Long.NEG_ONE);
      expect(bench.execute(instruction)).toBe(null);
      expect(bench.wide('rcx').toString(16)).toBe(rcx);
    }
  });

  test.each([
    // [instruction, RCX, the base afterwards or a fault]
    ['wrfsbase rcx', 'ffff812345678abc', 'ffff812345678abc'],
    ['wrgsbase rcx', '7fffffffffff', '7fffffffffff'],
    ['wrfsbase ecx', '812345678abc', '45678abc'],
    ['wrgsbase ecx', 'ffffffffffffffff', 'ffffffff'],
    ['wrfsbase rcx', '800000000000', '#GP(0)'],
    ['wrgsbase rcx', 'ffff7fffffffffff', '#GP(0)'],
  ])('%s of %s: %s', (instruction, rcx, expected) => {
    for (const cpl of [0, 3] as const) {
      const bench = withControl(cpl, 'cr4', CR4.FSGSBASE);
      const name = instruction.includes('fs') ? 'fsBase' : 'gsBase';
      bench.setWide(name, Long.fromInt(0x77));
      bench.setWide('rcx', hex(rcx));
      const fault = bench.execute(instruction);
      expect(fault ?? bench.wide(name).toString(16)).toBe(expected);
      if (fault !== null) expect(bench.bare.get(name)).toBe(0x77);
    }
  });

  test.each(['rdfsbase rcx', 'rdgsbase ecx', 'wrfsbase rcx', 'wrgsbase ecx'])(
    '%s without CR4.FSGSBASE is undefined',
    (instruction) => {
      for (const cpl of [0, 3] as const) {
        const bench = new ProtectionBench(cpl);
        // A value that would fault, too.
        bench.setWide('rcx', Long.ONE.shl(47));
        expect(bench.execute(instruction)).toBe('#UD');
      }
    },
  );
});

describe('CLTS, SMSW and LMSW', () => {
  /** The lowest four bits of CR0 are these, the others as ever. */
  function withStatus(cpl: Cpl, status: number): ProtectionBench {
    const bench = new ProtectionBench(cpl);
    const others = bench.bare.get('cr0') - (bench.bare.get('cr0') % 16);
    bench.bare.set('cr0', others + status);
    return bench;
  }

  test.each([
    // [status before, status afterwards]
    [CR0.PE + CR0.TS, CR0.PE],
    [CR0.PE, CR0.PE],
    [15, 7],
  ])('CLTS: %i becomes %i', (before, after) => {
    const bench = withStatus(0, before);
    const cr0 = bench.bare.get('cr0');
    expect(bench.execute('clts')).toBe(null);
    expect(bench.bare.get('cr0')).toBe(cr0 - before + after);
  });

  test.each([
    // [status before, operand, status afterwards]: PE is set by it but not cleared.
    [1, 0xffff, 15],
    [15, 0, 1],
    [15, 0xfff0, 1],
    [1, 8, 9],
    [3, 5, 5],
    [9, 0xfff6, 7],
  ])('LMSW: %i, %i gives %i', (before, operand, after) => {
    for (const source of ['lmsw cx', `lmsw [${OPERANDS}]`]) {
      const bench = withStatus(0, before);
      const cr0 = bench.bare.get('cr0');
      bench.bare.set('rcx', 0xabcd0000 + operand);
      bench.write16(OPERANDS, operand);
      expect(bench.execute(source)).toBe(null);
      // Nothing above bit 3.
      expect(bench.bare.get('cr0')).toBe(cr0 - before + after);
    }
  });

  test.each(['smsw cx', 'smsw ecx', 'smsw rcx', `smsw [${OPERANDS}]`])('%s at CPL 3', (source) => {
    const bench = withStatus(3, 11);
    bench.setWide('rcx', hex('1111222233334444'));
    bench.bare.write64(OPERANDS, -1, -1);
    bench.setWide('cr0', hex('8005003b'));
    expect(bench.execute(source)).toBe(null);
    const { view } = bench.bare.machine.memory;
    const stored = {
      'smsw cx': '111122223333003b',
      'smsw ecx': '8005003b',
      'smsw rcx': '8005003b',
    }[source];
    if (stored !== undefined) expect(bench.wide('rcx').toString(16)).toBe(stored);
    else {
      expect(view.getBigUint64(bench.bare.hpa(OPERANDS), true)).toBe(0xffffffffffff003bn);
    }
  });
});

describe('at CPL 1 to 3 they fault', () => {
  const sources = ['clts', 'lmsw cx', `lmsw [${OPERANDS}]`, 'invd', 'wbinvd', 'db 0xf3\nwbinvd'];
  const tables = [`lgdt [${OPERANDS}]`, `lidt [${OPERANDS}]`, 'lldt cx', 'ltr cx'];
  test.each([...sources, ...tables, 'lmsw [0x80000]', 'hlt', 'invlpg [0]', 'swapgs'])(
    '%s',
    (source) => {
      for (const cpl of [1, 2, 3] as const) {
        const bench = new ProtectionBench(cpl);
        const before = bench.values('cr0', 'gdtrBase', 'idtrBase', 'ldtrSelector', 'trSelector');
        expect(bench.execute(source)).toBe('#GP(0)');
        expect(bench.values('cr0', 'gdtrBase', 'idtrBase', 'ldtrSelector', 'trSelector')).toEqual(
          before,
        );
      }
    },
  );

  test.each(['invd', 'wbinvd', 'db 0xf3\nwbinvd'])('%s at CPL 0 does nothing', (source) => {
    const bench = new ProtectionBench();
    bench.bare.write64(OPERANDS, 0x12345678);
    expect(bench.execute(source)).toBe(null);
    expect(bench.bare.read64(OPERANDS)).toBe(0x12345678);
  });
});

describe('LGDT and LIDT', () => {
  test.each([
    ['7fffffffffff', ''],
    ['ffff800000000000', ''],
    ['800000000000', '#GP(0)'],
    ['ffff7fffffffffff', '#GP(0)'],
  ])('of a base of %s', (base, fault) => {
    for (const [name, register] of [
      ['lgdt', 'gdtr'],
      ['lidt', 'idtr'],
    ] as const) {
      const bench = new ProtectionBench();
      const before = bench.bare.get(`${register}Limit`);
      bench.write16(OPERANDS, 0xfedc);
      bench.bare.machine.memory.write64(
        bench.bare.hpa(OPERANDS + 2),
        hex(base).low,
        hex(base).high,
      );
      expect(bench.execute(`${name} [${OPERANDS}]`) ?? '').toBe(fault);
      expect(bench.bare.get(`${register}Limit`)).toBe(fault === '' ? 0xfedc : before);
      if (fault === '') expect(bench.wide(`${register}Base`).toString(16)).toBe(base);
    }
  });
});

describe('RDPMC: there are no counters', () => {
  test.each<[Cpl, number]>([
    [0, 0],
    [0, CR4.PCE],
    [3, 0],
    [3, CR4.PCE],
  ])('at CPL %i with CR4 plus %i', (cpl, cr4) => {
    for (const counter of [0, 0x40000000, 0xffffffff]) {
      const bench = withControl(cpl, 'cr4', cr4);
      bench.bare.set('rcx', counter);
      expect(bench.execute('rdpmc')).toBe('#GP(0)');
    }
  });
});

describe('MONITOR and MWAIT', () => {
  test.each(['monitor', 'mwait'])('%s is undefined at CPL 1 to 3', (source) => {
    for (const cpl of [1, 2, 3] as const) {
      expect(new ProtectionBench(cpl).execute(source)).toBe('#UD');
    }
    const bench = new ProtectionBench();
    bench.bare.set('rax', OPERANDS);
    expect(bench.execute(source)).toBe(null);
  });
});

test.each(['clac', 'stac'])('%s is undefined at CPL 1 to 3', (source) => {
  for (const cpl of [1, 2, 3] as const) {
    expect(new ProtectionBench(cpl).execute(source)).toBe('#UD');
  }
});

test('RDPID reads IA32_TSC_AUX, zero-extended, at any CPL', () => {
  for (const cpl of [0, 3] as const) {
    const bench = new ProtectionBench(cpl);
    bench.bare.set('tscAux', 0xfedcba98);
    bench.setWide('rcx', Long.NEG_ONE);
    expect(bench.execute('rdpid rcx')).toBe(null);
    expect(bench.bare.get('rcx')).toBe(0xfedcba98);
  }
});

test.each(['rdrand', 'rdseed'])('%s sets CF, clears the others and fills its width', (name) => {
  const bench = new ProtectionBench(3);
  bench.setWide('entropy', Long.fromInt(1));
  bench.bare.set('rflags', 0xcd7 - 1);
  expect(bench.execute(`${name} rcx`)).toBe(null);
  // DF stays.
  expect(bench.bare.get('rflags')).toBe(0x403);
  bench.setWide('rcx', Long.NEG_ONE);
  expect(bench.execute(`${name} ecx`)).toBe(null);
  expect(bench.wide('rcx').high).toBe(0);
  bench.setWide('rcx', Long.NEG_ONE);
  expect(bench.execute(`${name} cx`)).toBe(null);
  expect(bench.wide('rcx').shru(16).toString(16)).toBe('ffffffffffff');
});

test('random numbers are those of SplitMix64', () => {
  // The published generator with seed 1234567, as in the Rosetta Code task "Pseudo-random
  // numbers/Splitmix64".
  const bench = new ProtectionBench();
  bench.setWide('entropy', Long.fromInt(1234567));
  const numbers = Array.from({ length: 5 }, () => {
    bench.execute('rdrand rcx');
    return bench.wide('rcx').toString();
  });
  expect(numbers).toEqual([
    '6457827717110365317',
    '3203168211198807973',
    '9817491932198370423',
    '4593380528125082431',
    '16408922859458223821',
  ]);
});

describe('what this processor does without is undefined, at CPL 0 and 3', () => {
  test.each([
    ['XGETBV', '0x0f, 0x01, 0xd0'],
    ['XSETBV', '0x0f, 0x01, 0xd1'],
    ['GETSEC', '0x0f, 0x37'],
    ['RSM', '0x0f, 0xaa'],
    ['VMFUNC', '0x0f, 0x01, 0xd4'],
    ['VMMCALL', '0x0f, 0x01, 0xd9'],
    // Outside VMX operation.
    ['VMCALL', '0x0f, 0x01, 0xc1'],
    ['VMLAUNCH', '0x0f, 0x01, 0xc2'],
    ['VMRESUME', '0x0f, 0x01, 0xc3'],
    ['VMXOFF', '0x0f, 0x01, 0xc4'],
    ['VMXON [rbx]', '0xf3, 0x0f, 0xc7, 0x33'],
    ['VMCLEAR [rbx]', '0x66, 0x0f, 0xc7, 0x33'],
    ['VMPTRLD [rbx]', '0x0f, 0xc7, 0x33'],
    ['VMPTRST [rbx]', '0x0f, 0xc7, 0x3b'],
    ['VMREAD [rbx], rcx', '0x0f, 0x78, 0x0b'],
    ['VMREAD rbx, rcx', '0x0f, 0x78, 0xcb'],
    ['VMWRITE rcx, [rbx]', '0x0f, 0x79, 0x0b'],
    ['INVEPT rax, [rbx]', '0x66, 0x0f, 0x38, 0x80, 0x03'],
    ['INVVPID rax, [rbx]', '0x66, 0x0f, 0x38, 0x81, 0x03'],
  ])('%s', (_name, bytes) => {
    for (const cpl of [0, 3] as const) {
      const bench = new ProtectionBench(cpl);
      // Before any fault of the operand.
      bench.bare.set('rbx', 0x80000);
      expect(bench.execute(`db ${bytes}`)).toBe('#UD');
    }
  });
});

describe('INT1', () => {
  test.each([0, 3] as const)('at CPL %i reaches vector 1 whatever the DPL of its gate', (cpl) => {
    const bare = new BareMachine(cpl);
    bare.gate(1, { dpl: 0 });
    bare.set('dr6', 0xffff0ff0);
    const outcome = bare.delivered('db 0xf1\nhlt');
    // A trap: the address behind it, without RF.
    expect(outcome).toMatchObject({ vector: 1, rip: At.CODE + 1, flags: 2 });
    expect(bare.get('dr6')).toBe(0xffff0ff0);
  });

  test('a gate that is not present faults with EXT set', () => {
    const bare = new BareMachine();
    bare.gate(1, { present: false });
    expect(bare.delivered('db 0xf1\nhlt')).toMatchObject({ vector: 11, errorCode: 0x0b });
  });
});
