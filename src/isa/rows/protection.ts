// SDM 2: segmentation and protection: descriptor tables, selectors and their rights, segment bases,
// and the fast ways between privilege levels.

import {
  asMemory,
  type Domain,
  Flag,
  type Meaning,
  SEGMENT_LOOKS,
  type SegmentLook,
  type SystemFunction,
} from '../domain.ts';
import type { Operand } from '../instruction.ts';
import { type Form, instruction } from '../notation.ts';
import { Segment, type Width } from '../registers.ts';
import { callOf } from './system.ts';

/** Limit of 16 bits at the operand's address, then a base of 64, outside 64-bit mode of 32. */
function tableOperand<V, B>(d: Domain<V, B>, operand: Operand) {
  const baseWidth: Width = d.instruction.codeSize === 64 ? 64 : 32;
  const { segment, addressWidth } = asMemory(operand);
  const limitAt = d.address(operand);
  const baseAt = d.add(addressWidth, limitAt, d.constant(addressWidth, 2));
  return { segment, limitAt, baseAt, baseWidth };
}

function loadTable(name: 'loadGdtr' | 'loadIdtr'): Meaning {
  return (d, operand) => {
    const { segment, limitAt, baseAt, baseWidth } = tableOperand(d, operand);
    const limit = d.load(16, segment, limitAt);
    const base = d.load(baseWidth, segment, baseAt);
    // With a 16-bit operand size the base has 24 bits, as on the 286.
    const isShort = baseWidth === 32 && d.instruction.width === 16;
    d.call(name, limit, isShort ? d.and(base, d.constant(32, 0xffffff)) : base);
  };
}

function storeTable(table: 'Gdtr' | 'Idtr'): Meaning {
  return (d, operand) => {
    const { segment, limitAt, baseAt, baseWidth } = tableOperand(d, operand);
    const limit = d.truncate(16, d.call(`read${table}Limit`));
    const base = d.truncate(baseWidth, d.call(`read${table}Base`));
    d.loadForWrite(16, segment, limitAt);
    d.loadForWrite(baseWidth, segment, baseAt);
    d.store(16, segment, limitAt, limit);
    d.store(baseWidth, segment, baseAt, base);
  };
}

/** SLDT and STR. */
function storeSelector(number: number): Meaning {
  return (d, dst) => d.write(dst, d.call('readSegment', d.constant(8, number)));
}

const LDTR = 6;
const TR = 7;

function loadSelector(name: SystemFunction): Meaning {
  return (d, selector) => void d.call(name, d.truncate(16, d.read(selector)));
}

/** LAR and LSL: ZF says whether the selector may be looked at; if not, nothing is written. */
function describe(rightsOf: 'accessRights' | 'segmentLimit'): Meaning {
  return (d, dst, src) => {
    const w = d.instruction.width;
    const selector = d.truncate(16, d.read(src));
    const visible = mayLook(d, selector, rightsOf);
    d.when(visible, () => d.write(dst, d.truncate(w, d.call(rightsOf, selector))));
    d.setFlag(Flag.ZF, visible);
  };
}

function mayLook<V, B>(d: Domain<V, B>, selector: V, look: SegmentLook): B {
  const which = d.constant(8, SEGMENT_LOOKS.indexOf(look));
  return d.bit(d.call('verifySegment', selector, which), 0);
}

function verify(kind: 'read' | 'write'): Meaning {
  return (d, src) => {
    const selector = d.truncate(16, d.read(src));
    d.setFlag(Flag.ZF, mayLook(d, selector, kind));
  };
}

/** LES, LDS, LSS, LFS, LGS: an offset, and behind it a selector. */
function loadFar(number: number): Meaning {
  return (d, dst, src) => {
    const w = d.instruction.width;
    const { segment, addressWidth } = asMemory(src);
    const at = d.address(src);
    const offset = d.load(w, segment, at);
    const behind = d.add(addressWidth, at, d.constant(addressWidth, w / 8));
    d.call('loadSegment', d.constant(8, number), d.load(16, segment, behind));
    d.write(dst, offset);
  };
}

/**
 * The requested privilege level of the first is raised to that of the second. What is high enough
 * is not written, so that it may lie in a page that cannot be.
 */
const arpl: Meaning = (d, dst, src) => {
  const x = d.read(dst);
  const wanted = d.and(d.read(src), d.constant(16, 3));
  const isLower = d.lessUnsigned(d.and(x, d.constant(16, 3)), wanted);
  const raised = d.or(d.and(x, d.constant(16, 0xfffc)), wanted);
  d.when(isLower, () => d.write(dst, raised));
  d.setFlag(Flag.ZF, isLower);
};

function readBase(number: number): Meaning {
  return (d, dst) => {
    const w = d.instruction.width;
    d.write(dst, d.truncate(w, d.call('readSegmentBase', d.constant(8, number))));
  };
}

function writeBase(number: number): Meaning {
  return (d, src) => void d.call('writeSegmentBase', d.constant(8, number), d.read(src));
}

const supervisor = { cost: 'system', privilege: 'supervisor' } as const;
const table = { ...supervisor, intercept: 'DESCRIPTOR_TABLE' } as const;
const system = { cost: 'system' } as const;
const look = { ...system, protectedOnly: true } as const;
const unprivilegedTable = {
  cost: 'system',
  privilege: 'umip',
  intercept: 'DESCRIPTOR_TABLE',
} as const;

/** A selector into memory has 16 bits, into a register the operand size. */
function selectorForms(opcode: string): Form[] {
  return [
    ['m16', opcode],
    ['r16|32|64', opcode],
  ];
}

/** LAR and LSL look at 16 bits of the source, whatever its size. */
function describeForms(opcode: string): Form[] {
  return [
    ['r16, r/m16', `o16 0F ${opcode} /r`],
    ['r32, r32/m16', `o32 0F ${opcode} /r`],
    ['r64, r64/m16', `o64 0F ${opcode} /r`],
    ...[16, 32, 64].flatMap((to) =>
      [16, 32, 64]
        .filter((from) => from !== to)
        .map(
          (from): Form => [`r${to}, r${from}/m16`, `o${to} 0F ${opcode} /r`, { encodeOnly: true }],
        ),
    ),
  ];
}

const only64 = { ...system, only64: true } as const;
const fastReturn = { ...supervisor, operandSize: 'dword' } as const;
const fastReturn64 = { ...only64, operandSize: 'dword' } as const;
const base64 = { ...only64, operandSize: 'dword' } as const;

const SIZES: readonly Width[] = [32, 64];

export const protection = [
  ...instruction('SGDT', 'Store GDTR', unprivilegedTable, storeTable('Gdtr'), [['m', '0F 01 /0']]),
  ...instruction('SIDT', 'Store IDTR', unprivilegedTable, storeTable('Idtr'), [['m', '0F 01 /1']]),
  ...instruction('LGDT', 'Load GDTR', table, loadTable('loadGdtr'), [['m', '0F 01 /2']]),
  ...instruction('LIDT', 'Load IDTR', table, loadTable('loadIdtr'), [['m', '0F 01 /3']]),
  ...instruction(
    'SLDT',
    'Store LDTR',
    { ...unprivilegedTable, protectedOnly: true },
    storeSelector(LDTR),
    // NASM leaves out REX.W, which would change nothing.
    [['r64', '0F 00 /0', { encodeOnly: true }], ...selectorForms('0F 00 /0')],
  ),
  ...instruction(
    'STR',
    'Store task register',
    { ...unprivilegedTable, protectedOnly: true },
    storeSelector(TR),
    selectorForms('0F 00 /1'),
  ),
  ...instruction(
    'LLDT',
    'Load LDTR',
    { ...table, protectedOnly: true },
    loadSelector('loadLocalTable'),
    [['r/m16', '0F 00 /2']],
  ),
  ...instruction(
    'LTR',
    'Load task register',
    { ...table, protectedOnly: true },
    loadSelector('loadTaskRegister'),
    [['r/m16', '0F 00 /3']],
  ),
  ...instruction('VERR', 'Verify a segment for reading', look, verify('read'), [
    ['r/m16', '0F 00 /4'],
  ]),
  ...instruction('VERW', 'Verify a segment for writing', look, verify('write'), [
    ['r/m16', '0F 00 /5'],
  ]),
  ...instruction('LAR', 'Load access rights', look, describe('accessRights'), describeForms('02')),
  ...instruction('LSL', 'Load segment limit', look, describe('segmentLimit'), describeForms('03')),
  ...(
    [
      ['LSS', Segment.SS, '0F B2'],
      ['LFS', Segment.FS, '0F B4'],
      ['LGS', Segment.GS, '0F B5'],
    ] as const
  ).flatMap(([name, number, opcode]) =>
    instruction(name, 'Load a far pointer', system, loadFar(number), [
      ['r16|32|64, m', `${opcode} /r`],
    ]),
  ),
  ...(
    [
      ['LES', Segment.ES, 'C4'],
      ['LDS', Segment.DS, 'C5'],
    ] as const
  ).flatMap(([name, number, opcode]) =>
    instruction(name, 'Load a far pointer', { ...system, not64: true }, loadFar(number), [
      ['r16|32, m', `${opcode} /r`],
    ]),
  ),
  ...instruction('ARPL', 'Adjust the RPL of a selector', { ...look, not64: true }, arpl, [
    ['r/m16, r16', '63 /r'],
  ]),
  ...(
    [
      ['FS', Segment.FS],
      ['GS', Segment.GS],
    ] as const
  ).flatMap(([name, number], i) => [
    ...instruction(`RD${name}BASE`, `Read the base of ${name}`, base64, readBase(number), [
      ['r32|64', `F3 0F AE /${i}`],
    ]),
    ...instruction(`WR${name}BASE`, `Write the base of ${name}`, base64, writeBase(number), [
      ['r32|64', `F3 0F AE /${i + 2}`],
    ]),
  ]),
  ...instruction(
    'SWAPGS',
    'Swap the base of GS',
    { ...supervisor, only64: true },
    callOf('swapGs'),
    [['', '0F 01 F8']],
  ),
  ...instruction('SYSCALL', 'Fast system call', only64, callOf('systemCall'), [['', '0F 05']]),
  ...SIZES.flatMap((w) =>
    instruction('SYSRET', 'Return from a fast system call', fastReturn64, callOf('systemReturn'), [
      ['', `o${w} 0F 07`],
    ]),
  ),
  ...instruction('SYSENTER', 'Fast system call', system, callOf('systemEnter'), [['', '0F 34']]),
  ...SIZES.flatMap((w) =>
    instruction('SYSEXIT', 'Return from a fast system call', fastReturn, callOf('systemExit'), [
      ['', `o${w} 0F 35`],
    ]),
  ),
];
