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
  Segment,
  type Width,
} from '../../src/isa/index.ts';
import type { Prng } from '../../src/sim/index.ts';

type OperandSpec = Row['operands'][number];

/**
 * Lists of operands for the row: each operand takes all its forms in turn, while the others are
 * chosen at random. The target of a branch is given as a distance.
 */
export function assemblyForms(row: Row, prng: Prng, codeSize: CodeSize = 64): AssemblyOperand[][] {
  const share = prng.below(SHAPE_SHARES);
  const choices = row.operands.map((spec) => choicesFor(spec, row, share, codeSize));
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

function choicesFor(
  spec: OperandSpec,
  row: Row,
  share: number,
  codeSize: CodeSize,
): AssemblyOperand[] {
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
      if (codeSize !== 64) return [0x1234, 0].map((low) => absolute(spec, Long.fromInt(low), 0));
      return [0x12345678, 0, -1].map((low) => absolute(spec, Long.fromBits(low, 0x1234), 64));
    case 'immediate':
      return immediates(spec, row, codeSize);
    case 'pointer':
      return pointers(row, codeSize);
    case 'relative': {
      const isOther = row.width !== 0 && row.width !== codeSize;
      return distances(spec).map((distance) => ({
        ...number(Long.fromNumber(distance), isOther ? row.width : 0),
        distance: isOther ? 'near' : null,
      }));
    }
  }
}

function register(name: RegisterName): AssemblyRegister {
  return { kind: 'register', register: name };
}

function pointers(row: Row, codeSize: CodeSize): AssemblyPointer[] {
  const width = row.width === codeSize ? 0 : row.width;
  return [0, 1, 0x7fff, row.width === 16 ? 0xffff : 0x12345678].map((offset) => ({
    kind: 'pointer',
    selector: Long.fromInt(offset & 0xffff),
    offset: Long.fromInt(offset),
    width,
    relocatable: false,
  }));
}

function registers(spec: OperandSpec, codeSize: CodeSize): AssemblyRegister[] {
  return [...REGISTERS.values()]
    .filter(
      (name) =>
        name.class === spec.registerClass &&
        name.width === spec.registerWidth &&
        name.number !== spec.excluded &&
        (codeSize === 64 || isLegacy(name)),
    )
    .map(register);
}

/** Nameable without REX. */
function isLegacy({ class: kind, number, width, high }: RegisterName): boolean {
  return number < 8 && (kind !== 'general' || width > 8 || number < 4 || high);
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

/** Distances that only this form reaches, or that it reaches only just. */
function distances(spec: OperandSpec): number[] {
  if (spec.immediateWidth === 8) return [-100, 0, 100];
  return spec.immediateWidth === 16
    ? [-1000, 1000, 0x7000]
    : [-0x7fffff00, -1000, 1000, 0x7fffff00];
}

const DISPLACEMENTS = [0, 1, -1, 0x7f, -0x80, 0x80, -0x81, 0x7fffffff, -0x80000000];

/** Each row meets a part of the shapes of addresses; all rows together meet all, many times. */
const SHAPE_SHARES = 4;

function memories(spec: OperandSpec, share: number, codeSize: CodeSize): AssemblyMemory[] {
  if (spec.memoryWidth === -1) return [];
  const width = spec.memoryWidth;
  return (codeSize === 64 ? SHAPES : LEGACY_SHAPES)
    .filter((_, i) => i % SHAPE_SHARES === share)
    .map((shape) => ({
      ...shape,
      width,
      far: spec.far,
    }));
}

const name = (text: string) => REGISTERS.get(text) as RegisterName;
const none: AssemblyMemory = {
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

const SHAPES = shapes();
const LEGACY_SHAPES = legacyShapes();

/** Addresses of 16 and 32 bits, for code of either size. */
function legacyShapes(): AssemblyMemory[] {
  const found: AssemblyMemory[] = [];
  const wide = ['eax', 'esp', 'ebp', 'edi'].map(name);
  const at = (i: number) => Long.fromNumber(DISPLACEMENTS[i % DISPLACEMENTS.length]);
  wide.forEach((base, i) => {
    for (const displacement of [0, 1, -0x80, 0x80]) {
      found.push({ ...none, base, displacement: Long.fromNumber(displacement) });
    }
    for (const index of wide.filter(({ number }) => number !== 4)) {
      found.push({ ...none, base, index, scale: 4, displacement: at(index.number + i) });
      found.push({ ...none, index, scale: 8, displacement: at(i) });
    }
  });
  for (const [first, second] of ['bx si', 'bx di', 'bp si', 'bp di', 'si', 'di', 'bp', 'bx'].map(
    (names) => names.split(' ').map(name),
  )) {
    for (const displacement of [0, 1, -1, 0x7f, -0x80, 0x80, 0x1234]) {
      const offset = Long.fromNumber(displacement);
      found.push({ ...none, base: first ?? null, index: second ?? null, displacement: offset });
    }
  }
  // An override that says the usual is not printed.
  for (let segment = 0; segment < 6; segment++) {
    if (segment !== Segment.SS) {
      found.push({ ...none, segment, base: name('bp'), index: name('si') });
    }
    if (segment === Segment.DS) continue;
    found.push({ ...none, segment, base: name('ebx'), index: name('ecx'), scale: 4 });
    found.push({ ...none, segment, displacement: Long.fromNumber(0x1234) });
  }
  for (const displacement of [0, 1, 0x7f, 0x80, 0x1234]) {
    found.push({ ...none, displacement: Long.fromNumber(displacement) });
  }
  return found;
}

function shapes(): AssemblyMemory[] {
  const bases = ['rax', 'rsp', 'rbp', 'rdi', 'r8', 'r12', 'r13', 'r15'].map(name);
  const at = (i: number) => Long.fromNumber(DISPLACEMENTS[i % DISPLACEMENTS.length]);
  const found: AssemblyMemory[] = [];
  for (const base of bases) {
    for (const displacement of [0, 1, -0x80, 0x80]) {
      found.push({ ...none, base, displacement: Long.fromNumber(displacement) });
    }
  }
  for (const index of bases.filter(({ number }) => number !== 4)) {
    ([1, 2, 4, 8] as const).forEach((scale, i) => {
      const displacement = at(index.number + i);
      found.push({ ...none, index, scale, displacement });
      const base = bases[(index.number + 3 * i) % bases.length];
      found.push({ ...none, base, index, scale, displacement });
    });
  }
  for (const displacement of DISPLACEMENTS) {
    found.push({ ...none, displacement: Long.fromNumber(displacement) });
    found.push({ ...none, segment: 4, displacement: Long.fromNumber(displacement) });
  }
  found.push({ ...none, ripRelative: true, displacement: Long.fromNumber(0x1234) });
  found.push({ ...none, segment: 5, base: name('rbx'), index: name('rcx'), scale: 4 });
  for (const [base, index] of [
    ['eax', 'ecx'],
    ['r13d', 'r12d'],
    ['esp', 'ebp'],
  ] as const) {
    const displacement = Long.fromInt(-4);
    found.push({ ...none, base: name(base), index: name(index), scale: 2, displacement });
    found.push({ ...none, base: name(base), segment: 5 });
  }
  return found;
}

function absolute(
  spec: OperandSpec,
  displacement: Long,
  displacementWidth: 0 | 64,
): AssemblyMemory {
  return {
    kind: 'memory',
    width: spec.memoryWidth as Width,
    far: false,
    segment: -1,
    base: null,
    index: null,
    scale: 1,
    displacement,
    displacementWidth,
    relocatable: false,
    ripRelative: false,
  };
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
