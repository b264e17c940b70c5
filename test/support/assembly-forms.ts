// Operands for every operand form of a row, as an assembler states them: all registers, all shapes
// of addresses, numbers at the edges of their fields.

import Long from 'long';
import {
  type AssemblyMemory,
  type AssemblyNumber,
  type AssemblyOperand,
  type AssemblyPointer,
  type AssemblyRegister,
  type CodeSize,
  REGISTERS,
  type RegisterName,
  type Row,
  type Width,
} from '../../src/isa/index.ts';
import type { Prng } from '../../src/sim/index.ts';

type OperandSpec = Row['operands'][number];

/**
 * Lists of operands for the row: each operand takes all its forms in turn, while the others are
 * chosen at random. The target of a branch is given as a distance.
 */
export function assemblyForms(
  row: Row,
  prng: Prng,
  codeSize: CodeSize = 64,
  share = prng.below(SHAPE_SHARES),
): AssemblyOperand[][] {
  const asked: Asked = { row, codeSize, share };
  const choices = row.operands.map((spec) => choicesFor(spec, asked));
  if (choices.some((list) => list.length === 0)) return [];
  if (choices.length === 0) return [[]];
  const pick = <T>(list: readonly T[]) => list[prng.below(list.length)] as T;
  return choices
    .flatMap((list, at) =>
      list.map((operand) => choices.map((others, i) => (i === at ? operand : pick(others)))),
    )
    .filter((operands) => row.width !== 64 || !operands.some(isHigh))
    .filter(isEncodable);
}

interface Asked {
  readonly row: Row;
  readonly codeSize: CodeSize;
  readonly share: number;
}

function choicesFor(spec: OperandSpec, asked: Asked): AssemblyOperand[] {
  const { row, codeSize, share } = asked;
  switch (spec.place) {
    case 'implied':
      if (spec.fixed !== null) return [register(spec.fixed)];
      return [number(Long.fromInt(spec.fixedNumber ?? 0))];
    case 'reg':
    case 'vvvv':
    case 'opcode':
      return registers(spec, codeSize);
    case 'rm':
      return [...registers(spec, codeSize), ...memories(spec, share, codeSize)];
    case 'moffs':
      return [0x12345678, 0, -1].map((low) => absolute(spec, low, codeSize));
    case 'immediate':
      return immediates(spec, row, codeSize);
    case 'relative':
      return distances(spec, asked);
    case 'pointer':
      return [0, 1, 0x7fff, 0x12345678, 0xffffffff].map((low) => pointer(spec, row, codeSize, low));
  }
}

function pointer(spec: OperandSpec, row: Row, codeSize: CodeSize, low: number): AssemblyPointer {
  const offset = Long.fromNumber(spec.immediateWidth === 16 ? low % 0x10000 : low);
  const selector = Long.fromNumber((low * 3) % 0x10000);
  const width = row.width === codeSize ? 0 : row.width;
  return { kind: 'pointer', selector, offset, width, relocatable: false };
}

function register(name: RegisterName): AssemblyRegister {
  return { kind: 'register', register: name };
}

function registers(spec: OperandSpec, codeSize: CodeSize): AssemblyRegister[] {
  return [...REGISTERS.values()]
    .filter(
      (name) =>
        (codeSize === 64 || !needsLongMode(name)) &&
        name.class === spec.registerClass &&
        name.width === spec.registerWidth &&
        name.number !== spec.excluded,
    )
    .map(register);
}

function number(value: Long, width: Width | 0 = 0): AssemblyNumber {
  return { kind: 'number', value, width, strict: false, relocatable: false, distance: null };
}

/** Numbers that need the field of the row, as far as that can be: the edges of its range. */
function immediates(spec: OperandSpec, row: Row, codeSize: CodeSize): AssemblyNumber[] {
  const field = spec.immediateWidth || 8;
  const top = Long.ONE.shl(field - 1);
  const edges = spec.unsigned
    ? [Long.ZERO, Long.ONE, top.sub(1), top, top.mul(2).sub(1)]
    : [Long.ZERO, Long.ONE, top.sub(1), top.neg(), top.neg().add(1), Long.NEG_ONE];
  if (field === 64) edges.push(Long.fromBits(0x89abcdef, 0x01234567), Long.fromBits(0, -1));
  // `push word 5` has to say so; nothing else does.
  const isOther = row.mnemonic === 'PUSH' && row.width !== codeSize;
  return edges.map((edge) => number(edge, isOther ? row.width : 0));
}

/**
 * Distances that only this form reaches, or that it reaches only just. Outside 64-bit mode targets
 * stay within the first 64 KiB, where nothing wraps.
 */
function distances(spec: OperandSpec, { row, codeSize }: Asked): AssemblyNumber[] {
  const field = spec.immediateWidth;
  const far = codeSize === 64 ? [-0x7fffff00, -1000, 1000, 0x7fffff00] : [-450, 450, 20_000];
  const list = field === 8 ? [-100, 0, 100] : far;
  const isOther = field > 8 && row.width !== codeSize;
  return list.map((distance) => ({
    ...number(Long.fromNumber(distance), isOther ? row.width : 0),
    distance: isOther ? 'near' : null,
  }));
}

const DISPLACEMENTS = [0, 1, -1, 0x7f, -0x80, 0x80, -0x81, 0x7fffffff, -0x80000000];

/** Each row meets a part of the shapes of addresses; all rows together meet all, many times. */
export const SHAPE_SHARES = 4;

function memories(spec: OperandSpec, share: number, codeSize: CodeSize): AssemblyMemory[] {
  if (spec.memoryWidth === -1) return [];
  const width = spec.memoryWidth;
  return SHAPES[codeSize]
    .filter((_, i) => i % SHAPE_SHARES === share)
    .map((shape) => ({ ...shape, width, far: spec.far }));
}

const NONE: AssemblyMemory = {
  kind: 'memory',
  width: 0,
  far: false,
  segment: -1,
  base: null,
  index: null,
  scale: 1,
  displacement: Long.ZERO,
  displacementWidth: 0,
  relocatable: false,
  ripRelative: false,
};

const SUMS_16 = ['bx si', 'bx di', 'bp si', 'bp di', 'si', 'di', 'bp', 'bx'];

const SHAPES = { 16: shapes16(16), 32: shapes32(), 64: shapes64() };

function name(text: string): RegisterName {
  return REGISTERS.get(text) as RegisterName;
}

/** Base and index in all kinds of combination, at the edges of displacements. */
function sums(bases: readonly RegisterName[]): AssemblyMemory[] {
  const at = (i: number) => Long.fromNumber(DISPLACEMENTS[i % DISPLACEMENTS.length]);
  const found: AssemblyMemory[] = [];
  for (const base of bases) {
    for (const displacement of [0, 1, -0x80, 0x80]) {
      found.push({ ...NONE, base, displacement: Long.fromNumber(displacement) });
    }
  }
  for (const index of bases.filter(({ number }) => number !== 4)) {
    ([1, 2, 4, 8] as const).forEach((scale, i) => {
      const displacement = at(index.number + i);
      found.push({ ...NONE, index, scale, displacement });
      const base = bases[(index.number + 3 * i) % bases.length];
      found.push({ ...NONE, base, index, scale, displacement });
    });
  }
  return found;
}

function shapes64(): AssemblyMemory[] {
  const found = sums(['rax', 'rsp', 'rbp', 'rdi', 'r8', 'r12', 'r13', 'r15'].map(name));
  for (const displacement of DISPLACEMENTS) {
    found.push({ ...NONE, displacement: Long.fromNumber(displacement) });
    found.push({ ...NONE, segment: 4, displacement: Long.fromNumber(displacement) });
  }
  found.push({ ...NONE, ripRelative: true, displacement: Long.fromNumber(0x1234) });
  found.push({ ...NONE, segment: 5, base: name('rbx'), index: name('rcx'), scale: 4 });
  for (const [base, index] of [
    ['eax', 'ecx'],
    ['r13d', 'r12d'],
    ['esp', 'ebp'],
  ] as const) {
    const displacement = Long.fromInt(-4);
    found.push({ ...NONE, base: name(base), index: name(index), scale: 2, displacement });
    found.push({ ...NONE, base: name(base), segment: 5 });
  }
  return found;
}

function shapes32(): AssemblyMemory[] {
  const found = sums(['eax', 'ecx', 'edx', 'ebx', 'esp', 'ebp', 'esi', 'edi'].map(name));
  for (const displacement of DISPLACEMENTS) {
    found.push({ ...NONE, displacement: Long.fromNumber(displacement) });
    found.push({ ...NONE, segment: 4, displacement: Long.fromNumber(displacement) });
  }
  // SS before EBP and DS before others would say nothing, and get lost on the way.
  for (const segment of [0, 1, 3, 5]) {
    found.push({ ...NONE, segment, base: name('ebp'), index: name('edi'), scale: 4 });
  }
  for (const segment of [0, 1, 2, 5]) found.push({ ...NONE, segment, base: name('eax') });
  return [...found, ...shapes16(32).filter((_, i) => i % 3 === 0)];
}

/** 16-bit addresses, and in 16-bit code some of 32 bits. */
function shapes16(codeSize: 16 | 32): AssemblyMemory[] {
  const found: AssemblyMemory[] = [];
  for (const [i, sum] of SUMS_16.entries()) {
    const [base, index = null] = sum.split(' ').map(name);
    for (const displacement of [0, 1, -1, 0x7f, -0x80, 0x80, -0x81, 0x7fff, -0x8000]) {
      const usual = base?.number === 5 ? 2 : 3;
      const segment = displacement === 1 && i % 6 !== usual ? i % 6 : -1;
      const given = { ...NONE, base: base as RegisterName, index, segment };
      found.push({ ...given, displacement: Long.fromNumber(displacement) });
    }
  }
  for (const displacement of [0, 1, 0x7f, 0x7fff, 0xffff]) {
    const given = { ...NONE, displacementWidth: codeSize === 16 ? 0 : 16 } as const;
    found.push({ ...given, displacement: Long.fromNumber(displacement) });
    found.push({ ...given, segment: 0, displacement: Long.fromNumber(displacement) });
  }
  if (codeSize === 32) return found;
  const wide = sums(['eax', 'esp', 'ebp', 'edi'].map(name));
  wide.push({ ...NONE, displacementWidth: 32, displacement: Long.fromNumber(0x12345678) });
  wide.push({ ...NONE, segment: 5, displacementWidth: 32, displacement: Long.ZERO });
  return [...found, ...wide];
}

/** For MOV with an accumulator: in 64-bit code only an address of 64 bits needs that form. */
function absolute(spec: OperandSpec, low: number, codeSize: CodeSize): AssemblyMemory {
  const width = spec.memoryWidth as Width;
  if (codeSize === 64) {
    const displacement = Long.fromBits(low, 0x1234);
    return { ...NONE, width, displacement, displacementWidth: 64 };
  }
  const displacement = Long.fromNumber(codeSize === 16 ? low & 0xffff : low);
  return { ...NONE, width, displacement, segment: low === 0 ? 5 : -1 };
}

function needsLongMode({ class: kind, number, width, high }: RegisterName): boolean {
  return (
    number >= 8 || (kind === 'general' && (width === 64 || (width === 8 && number > 3 && !high)))
  );
}

function isHigh(operand: AssemblyOperand): boolean {
  return operand.kind === 'register' && operand.register.high;
}

/** AH to BH exclude everything that needs a REX prefix. */
function isEncodable(operands: readonly AssemblyOperand[]): boolean {
  const names = operands.flatMap((operand) => {
    if (operand.kind === 'register') return [operand.register];
    if (operand.kind !== 'memory') return [];
    return [operand.base, operand.index].filter((name) => name !== null);
  });
  const needsRex = ({ number, width, high }: RegisterName) =>
    number >= 8 || (width === 8 && number >= 4 && !high);
  return !names.some(({ high }) => high) || !names.some(needsRex);
}
