// Machine code for a row of the table, put together from the row's opcode pattern alone: a second
// reading of the SDM's notation, independent of the encoder, that also reaches the encodings which
// the encoder never chooses. Choices (registers, address shapes, numbers) come from a seed.

import type { CodeSize, Row } from '../../src/isa/index.ts';
import type { Prng } from '../../src/sim/index.ts';

/** Displacements for operands whose address no register can move. */
export interface FixedAddresses {
  /** For `[disp32]` and moffs. */
  readonly absolute: number;
  /** For `[rip+disp32]`. */
  readonly ripRelative: number;
}

export const ANYWHERE: FixedAddresses = { absolute: 0x12345678, ripRelative: 0x1234 };

/** One encoding of the row in code of this size with its parts chosen at random. */
export function randomEncoding(
  row: Row,
  prng: Prng,
  fixed: FixedAddresses,
  codeSize: CodeSize = 64,
): Uint8Array {
  const parts: Parts = { row, prng, fixed, codeSize, addressWidth: codeSize, rex: 0, tail: [] };
  const { pattern } = row;
  const prefixes = legacyPrefixes(parts);
  if (row.width === 64 && (row.operandSize ?? 'dword') === 'dword') parts.rex |= 0x48;
  let opcodeLow = 0;
  if (pattern.plusRegister) {
    opcodeLow = extended(parts, pickRegister(parts, 'opcode'), 0x41);
  }
  if (pattern.modrm !== 'none') placeModrm(parts);
  for (const bytes of pattern.immediateBytes) parts.tail.push(...immediate(parts, bytes));
  if (pattern.suffix >= 0) parts.tail.push(pattern.suffix);
  // A REX that says nothing else makes SPL to DIL of AH to BH. Branches would reach less far.
  const isBranch = row.operands[0]?.place === 'relative';
  const mayTakeRex = codeSize === 64 && !pattern.vex && !isBranch;
  if (parts.rex === 0 && mayTakeRex && prng.below(4) === 0) parts.rex = 0x40;
  const first = pattern.modrm === 'none' ? undefined : row.operands[0];
  const isMemory = first?.place === 'rm' && parts.tail[0] < 0xc0;
  if (row.lock && isMemory && prng.below(4) === 0) prefixes.push(0xf0);
  if (pattern.vex) {
    return Uint8Array.from([...prefixes, ...vexPrefix(parts), pattern.opcode, ...parts.tail]);
  }
  const escapes = [[], [0x0f], [0x0f, 0x38], [0x0f, 0x3a]][pattern.map];
  return Uint8Array.from([
    ...prefixes,
    ...(pattern.mandatoryPrefix > 0 ? [pattern.mandatoryPrefix] : []),
    ...(parts.rex === 0 ? [] : [parts.rex | 0x40]),
    ...escapes,
    pattern.opcode | opcodeLow,
    ...parts.tail,
  ]);
}

function vexPrefix(parts: Parts): number[] {
  const { map, mandatoryPrefix } = parts.row.pattern;
  const isNamed = parts.row.operands.some(({ place }) => place === 'vvvv');
  const register = isNamed ? pickRegister(parts, 'vvvv') : 0;
  const inverted = ~parts.rex & 7;
  const wide = (parts.rex & 8) << 4;
  const prefix = { 0: 0, 102: 1, 243: 2, 242: 3 }[mandatoryPrefix] ?? 0;
  return [0xc4, (inverted << 5) | map, wide | ((15 - register) << 3) | prefix];
}

interface Parts {
  readonly row: Row;
  readonly prng: Prng;
  readonly fixed: FixedAddresses;
  readonly codeSize: CodeSize;
  addressWidth: CodeSize;
  rex: number;
  /** ModR/M and everything after it. */
  readonly tail: number[];
}

function legacyPrefixes(parts: Parts): number[] {
  const { row, prng, codeSize } = parts;
  const prefixes: number[] = [];
  const reachesMemory = row.operands.some(({ memoryWidth }) => memoryWidth !== -1);
  if (wantsOperandSize(parts)) prefixes.push(0x66);
  const isOther = row.addressWidth !== 0 && row.addressWidth !== codeSize;
  const mayBeOther = row.addressWidth === 0 && (reachesMemory || row.repeat !== undefined);
  if (isOther || (mayBeOther && prng.below(5) === 0)) {
    prefixes.push(0x67);
    parts.addressWidth = codeSize === 32 ? 16 : 32;
  }
  if ((reachesMemory || row.repeat) && prng.below(5) === 0) {
    if (codeSize === 64) prefixes.push(prng.below(2) === 0 ? 0x64 : 0x65);
    else prefixes.push([0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65][prng.below(6)] as number);
  }
  if (row.repeat !== undefined && prng.below(2) === 0) {
    prefixes.push(row.repeat === 'compare' && prng.below(2) === 0 ? 0xf2 : 0xf3);
  }
  return prefixes;
}

/** Whether 66 selects the row; where the size is open it may stand there too. */
function wantsOperandSize({ row, prng, codeSize }: Parts): boolean {
  if (codeSize === 64) return row.width === 16;
  const { operandSize, pattern, width } = row;
  if (operandSize === 'native' || operandSize === 'dword' || pattern.vex) return false;
  if (pattern.mandatoryPrefix === 0x66) return false;
  if (width !== 0) return width !== codeSize;
  return operandSize !== undefined && prng.below(4) === 0;
}

/** A register for the operand in `place`, as a number in the encoding. */
function pickRegister(
  { row, prng, codeSize }: Parts,
  place: 'reg' | 'rm' | 'opcode' | 'vvvv',
): number {
  const spec = row.operands.find((operand) => operand.place === place);
  for (;;) {
    const number = prng.below(codeSize === 64 ? 16 : 8);
    if (spec?.registerClass === 'segment' && (number >= 6 || number === spec.excluded)) continue;
    if (spec?.registerClass === 'control' && ![0, 2, 3, 4, 8].includes(number)) continue;
    if (spec?.registerClass === 'debug' && number >= 8) continue;
    if (spec?.excluded === number) continue;
    // 90 exchanges RAX with itself, which is NOP; 41 90 is not.
    if (place === 'opcode' && row.mnemonic === 'XCHG' && number === 0) continue;
    return number;
  }
}

/** The low three bits of a register number; the fourth goes into REX. */
function extended(parts: Parts, number: number, rex: number): number {
  if (number >= 8) parts.rex |= rex;
  return number & 7;
}

function placeModrm(parts: Parts): void {
  const { row, prng } = parts;
  const { pattern } = row;
  if (pattern.modrm === 'fixed') {
    const span = pattern.modrmLast - pattern.modrmValue + 1;
    parts.tail.push(pattern.modrmValue + prng.below(span));
    return;
  }
  const isDigit = pattern.modrm === 'digit';
  const reg = isDigit ? pattern.modrmValue : extended(parts, pickRegister(parts, 'reg'), 0x44);
  const rm = row.operands.find(({ place }) => place === 'rm');
  const mayBeRegister = rm === undefined || rm.registerWidth !== 0;
  const mayBeMemory = rm !== undefined && rm.memoryWidth !== -1;
  if (mayBeRegister && (!mayBeMemory || prng.below(2) === 0)) {
    parts.tail.push(0xc0 | (reg << 3) | extended(parts, pickRegister(parts, 'rm'), 0x41));
  } else placeMemory(parts, reg);
}

function placeMemory(parts: Parts, reg: number): void {
  const { prng, fixed, tail } = parts;
  const mod = prng.below(3);
  if (parts.addressWidth === 16) {
    const rm = prng.below(8);
    tail.push((mod << 6) | (reg << 3) | rm);
    if (mod === 0 && rm === 6) tail.push(...littleEndian(fixed.absolute, 2));
    else tail.push(...littleEndian(prng.next() & ~7, mod));
    return;
  }
  const base = prng.below(parts.codeSize === 64 ? 16 : 8);
  const needsSib = (base & 7) === 4 || prng.below(2) === 0;
  const head = (mod << 6) | (reg << 3);
  if (mod === 0 && !needsSib && (base & 7) === 5) {
    const isRelative = parts.codeSize === 64;
    tail.push(head | 5, ...littleEndian(isRelative ? fixed.ripRelative : fixed.absolute, 4));
    return;
  }
  if (!needsSib) tail.push(head | extended(parts, base, 0x41));
  else {
    const index = prng.below(parts.codeSize === 64 ? 16 : 8);
    const scale = prng.below(4);
    tail.push(head | 4);
    const low = extended(parts, base, 0x41);
    tail.push((scale << 6) | (extended(parts, index, 0x42) << 3) | low);
    if (mod === 0 && low === 5) {
      const isAbsolute = index === 4;
      tail.push(...littleEndian(isAbsolute ? fixed.absolute : prng.next() & ~7, 4));
      return;
    }
  }
  if (mod === 1) tail.push(prng.below(256));
  else if (mod === 2) tail.push(...littleEndian(prng.next() & ~7, 4));
}

/** Values at which widths and signs turn over. */
const EDGES = [0, 1, 7, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0x7fffffff, 0x80000000, -1, -2];

function immediate({ row, prng, fixed, addressWidth }: Parts, bytes: number): number[] {
  if (row.operands.some(({ place }) => place === 'moffs')) {
    if (addressWidth === 16) return littleEndian(fixed.absolute, 2);
    return [...littleEndian(fixed.absolute, 4), ...(addressWidth === 32 ? [] : [0, 0, 0, 0])];
  }
  const value = prng.below(2) === 0 ? prng.next() : EDGES[prng.below(EDGES.length)];
  const low = littleEndian(value, Math.min(bytes, 4));
  return bytes > 4 ? [...low, ...littleEndian(prng.next(), bytes - 4)] : low;
}

function littleEndian(value: number, bytes: number): number[] {
  return Array.from({ length: bytes }, (_, i) => (value >> (8 * i)) & 255);
}
