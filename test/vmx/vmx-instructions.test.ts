// Exits of the VMX instructions: always and at any privilege, before their operands are looked at,
// with the displacement as qualification and a description of the operands. SDM 3, "Instructions
// That Cause VM Exits Unconditionally", "Basic VM-Exit Information" (exit qualification), and
// "VM-Exit Instruction-Information Field", its tables for VMCLEAR and kin, INVEPT and INVVPID, and
// VMREAD and VMWRITE.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { At, exitRecord, VmxBench } from '../support/vmx-bench.ts';

/** Every instruction, with memory and with registers where it takes both. */
const ALL: readonly (readonly [source: string, reason: string, number: number, length: number])[] =
  [
    // [instruction, exit reason, its number, length]
    ['vmclear [rbx]', 'VMCLEAR', 19, 4],
    ['vmlaunch', 'VMLAUNCH', 20, 3],
    ['vmptrld [rbx]', 'VMPTRLD', 21, 3],
    ['vmptrst [rbx]', 'VMPTRST', 22, 3],
    ['vmread [rbx], rax', 'VMREAD', 23, 3],
    ['vmread rbx, rax', 'VMREAD', 23, 3],
    ['vmresume', 'VMRESUME', 24, 3],
    ['vmwrite rax, [rbx]', 'VMWRITE', 25, 3],
    ['vmwrite rax, rbx', 'VMWRITE', 25, 3],
    ['vmxoff', 'VMOFF', 26, 3],
    ['vmxon [rbx]', 'VMON', 27, 4],
    ['invept rax, [rbx]', 'INVEPT', 50, 5],
    ['invvpid rax, [rbx]', 'INVVPID', 53, 5],
  ];

describe.each(ALL)('%s', (source, reason, number, lengthBytes) => {
  test.each([0, 3] as const)('exits at CPL %i, whatever the operand', (cpl) => {
    const bench = new VmxBench();
    if (cpl === 3) bench.enterUserMode();
    // Neither mapped nor canonical: the exit comes first.
    bench.setRegister('rbx', Long.ONE.shl(47).add(3));
    bench.set({ EXCEPTION_BITMAP: 0xffffffff });
    expect(bench.exitOf(source)).toEqual(exitRecord(reason, At.CODE, { lengthBytes }));
    expect(bench.field('VM_EXIT_REASON')).toBe(number);
    expect(bench.field('GUEST_RFLAGS')).toBe(2);
  });

  test('with LOCK is undefined, and does not exit', () => {
    const bench = new VmxBench();
    expect(bench.exitOf(`db 0xf0\n${source}`).reason).toBe('VMCALL');
  });
});

describe('the qualification is the displacement', () => {
  // Every instruction with a memory operand, by what is to stand in brackets.
  const forms: readonly (readonly [name: string, before: string, after: string])[] = [
    ['VMCLEAR', 'vmclear', ''],
    ['VMON', 'vmxon', ''],
    ['VMPTRLD', 'vmptrld', ''],
    ['VMPTRST', 'vmptrst', ''],
    ['VMREAD', 'vmread', ', rcx'],
    ['VMWRITE', 'vmwrite rcx,', ''],
    ['INVEPT', 'invept rcx,', ''],
    ['INVVPID', 'invvpid rcx,', ''],
  ];

  test.each([
    // [address, qualification, 64 bits]
    ['rbx', '0'],
    ['rbx + 0x7f', '7f'],
    ['rbx - 0x80', 'ffffffffffffff80'],
    ['rbx + rcx*4 + 0x12345678', '12345678'],
    ['rbx + rcx*4 - 0x12345678', 'ffffffffedcba988'],
    ['r13', '0'],
    ['rcx*8 - 1', 'ffffffffffffffff'],
    ['0x7fffffff', '7fffffff'],
    ['abs -4', 'fffffffffffffffc'],
    // Of RIP-relative operands, with the address behind the instruction.
    ['rel behind', 'behind'],
    ['rel $$ - 0x1000', 'f000'],
    // The bases of FS and GS are not in it.
    ['gs:rbx + 8', '8'],
  ])('[%s]: %s', (address, expected) => {
    for (const [reason, before, after] of forms) {
      const bench = new VmxBench();
      bench.setRegister('rbx', 0x40000);
      bench.setRegister('rcx', 0x200);
      bench.set({ GUEST_GS_BASE: 0x5000 });
      const source = `${before} [${address}]${after}\nbehind: nop`;
      const behind = bench.load(source).get('behind') ?? 0;
      expect(bench.exitOf(source)).toMatchObject({ reason, lengthBytes: behind - At.CODE });
      const qualification = bench.virtual.vmcs.read('EXIT_QUALIFICATION').toUnsigned();
      expect(qualification.toString(16)).toBe(
        expected === 'behind' ? behind.toString(16) : expected,
      );
    }
  });

  test.each(['vmlaunch', 'vmresume', 'vmxoff', 'vmread rax, rbx', 'vmwrite rax, rbx'])(
    '%s has none',
    (source) => {
      const bench = new VmxBench();
      bench.set({ EXIT_QUALIFICATION: 0 });
      bench.exitOf(source);
      expect(bench.field('EXIT_QUALIFICATION')).toBe(0);
    },
  );
});

/** Numbers as the field has them. */
const Segment = { ES: 0, CS: 1, SS: 2, DS: 3, FS: 4, GS: 5 } as const;
const REGISTERS = [
  ...['rax', 'rcx', 'rdx', 'rbx', 'rsp', 'rbp', 'rsi', 'rdi'],
  ...['r8', 'r9', 'r10', 'r11', 'r12', 'r13', 'r14', 'r15'],
];
const NONE = -1;
const [ADDRESS_32, ADDRESS_64] = [1, 2];

/** The parts of the field, at the places where the SDM has them. */
interface Information {
  readonly scale?: number;
  readonly addressSize?: number;
  readonly segment?: number;
  readonly index?: number;
  readonly base?: number;
  readonly second?: number;
}

/** What the guest's field says; parts that are undefined with others are left out. */
function partsOf(field: number, hasSecond: boolean): Information {
  const bits = (from: number, count: number) => (field >>> from) & (2 ** count - 1);
  const hasIndex = bits(22, 1) === 0;
  return {
    ...(hasIndex ? { scale: bits(0, 2) } : {}),
    addressSize: bits(7, 3),
    segment: bits(15, 3),
    index: hasIndex ? bits(18, 4) : NONE,
    base: bits(27, 1) === 0 ? bits(23, 4) : NONE,
    ...(hasSecond ? { second: bits(28, 4) } : {}),
  };
}

const MEMORY_OR_REGISTER = 1 << 10;

function information(source: string): number {
  const bench = new VmxBench();
  bench.exitOf(source);
  expect(bench.exit.reason).not.toBe('EXCEPTION_NMI');
  return bench.field('VMX_INSTRUCTION_INFO');
}

describe('instruction information: memory operands', () => {
  const [rbx, rsp, rbp, r12, r13, r15] = ['rbx', 'rsp', 'rbp', 'r12', 'r13', 'r15'].map((name) =>
    REGISTERS.indexOf(name),
  );
  test.each<[string, Information]>([
    ['rbx', { base: rbx }],
    ['rsp', { base: rsp, segment: Segment.SS }],
    ['rbp + 8', { base: rbp, segment: Segment.SS }],
    ['r12', { base: r12 }],
    ['r13', { base: r13 }],
    ['rbx + r15', { base: rbx, index: r15, scale: 0 }],
    ['rbx + r15*2', { base: rbx, index: r15, scale: 1 }],
    ['r15 + rbx*4 + 0x100', { base: r15, index: rbx, scale: 2 }],
    ['rsp + r12*8', { base: rsp, index: r12, scale: 3, segment: Segment.SS }],
    ['rbx + rbp*8', { base: rbx, index: rbp, scale: 3 }],
    ['0x20000', {}],
    ['rcx*8 + 5', { index: 1, scale: 3 }],
    ['rel $', {}],
    ['fs:rbx', { base: rbx, segment: Segment.FS }],
    ['gs:0x30', { segment: Segment.GS }],
    ['gs:rbp', { base: rbp, segment: Segment.GS }],
    ['ebx + ecx*2', { base: rbx, index: 1, scale: 1, addressSize: ADDRESS_32 }],
    ['r13d', { base: r13, addressSize: ADDRESS_32 }],
    ['esp + 4', { base: rsp, segment: Segment.SS, addressSize: ADDRESS_32 }],
  ])('[%s]', (address, rest) => {
    const expected = {
      addressSize: ADDRESS_64,
      segment: Segment.DS,
      index: NONE,
      base: NONE,
      ...rest,
    };
    for (const name of ['vmclear', 'vmptrld', 'vmptrst', 'vmxon']) {
      const field = information(`${name} [${address}]`);
      expect(partsOf(field, false)).toEqual(expected);
      expect(field & MEMORY_OR_REGISTER).toBe(0);
    }
    for (const [i, register] of REGISTERS.entries()) {
      const sources = [
        `vmread [${address}], ${register}`,
        `vmwrite ${register}, [${address}]`,
        `invept ${register}, [${address}]`,
        `invvpid ${register}, [${address}]`,
      ];
      const field = information(sources[i % sources.length] ?? '');
      expect(partsOf(field, true)).toEqual({ ...expected, second: i });
      expect(field & MEMORY_OR_REGISTER).toBe(0);
    }
  });

  test('whole fields, as they come from the tables', () => {
    // Address size 64 in 9:7, DS in 17:15, no index (22), RBX in 26:23, R9 in 31:28.
    expect(information('vmptrld [rbx]') >>> 0).toBe(0x01c18100);
    expect(information('invept r9, [rbx]') >>> 0).toBe(0x91c18100);
    // Scale 8, SS, R12 in 21:18, RSP.
    expect(information('vmclear [rsp + r12*8]') >>> 0).toBe(0x02310103);
  });
});

describe('instruction information: register operands', () => {
  test('of VMREAD and VMWRITE: Reg1 in 6:3, Reg2 in 31:28, bit 10 set', () => {
    REGISTERS.forEach((first, i) => {
      const j = (i + 5) % 16;
      const field = (place: number, encoding: number) =>
        ((encoding << 28) | (place << 3) | MEMORY_OR_REGISTER) >>> 0;
      // The encoding of the field to access is Reg2, in either direction.
      const defined = 0xf0000478;
      const read = information(`vmread ${first}, ${REGISTERS[j]}`);
      expect((read & defined) >>> 0).toBe(field(i, j));
      const write = information(`vmwrite ${REGISTERS[j]}, ${first}`);
      expect((write & defined) >>> 0).toBe(field(i, j));
    });
  });

  test.each(['vmlaunch', 'vmresume', 'vmxoff'])('%s has none', (source) => {
    expect(information(source)).toBe(0);
  });
});

test('another exit leaves 0 in the field', () => {
  const bench = new VmxBench();
  bench.exitOf('vmptrld [rbx]');
  expect(bench.field('VMX_INSTRUCTION_INFO')).not.toBe(0);
  bench.exitOf('cpuid');
  expect(bench.field('VMX_INSTRUCTION_INFO')).toBe(0);
});
