// Registers of FPU and SSE to execute an instruction in, and what it finds in memory.

import type { Instruction } from '../../src/isa/index.ts';
import type { Prng } from '../../src/sim/index.ts';
import { DOUBLE, type FloatFormat, floatValue, partner, SINGLE } from './float-values.ts';
import { MXCSR_AT, XMM_AT } from './fxsave-image.ts';
import { VECTOR_BYTES } from './protocol.ts';

/** All exceptions masked, to nearest. */
const USUAL_MXCSR = 0x1f80;
const FLAGS = 0x3f;
const MASKS = 0x1f80;
const DAZ = 0x40;
const FTZ_AND_ROUNDING = 0xe000;
const USUAL_FCW = 0x37f;
const FCW_ALWAYS = 0x40;
const FCW_BITS = 0x1f3f;

/** Mostly as programs have it, then with other rounding, treatment of denormals, or masks. */
function mxcsr(prng: Prng): number {
  const bits = prng.next();
  const flags = prng.below(2) === 0 ? 0 : bits & FLAGS;
  switch (prng.below(8)) {
    case 0:
      return USUAL_MXCSR | flags | (bits & FTZ_AND_ROUNDING);
    case 1:
      return USUAL_MXCSR | flags | (bits & (FTZ_AND_ROUNDING | DAZ));
    case 2:
      return flags | (bits & MASKS);
    case 3:
      return bits & 0xffff;
    default:
      return USUAL_MXCSR | flags;
  }
}

/** What the lanes of an instruction are, as its name tells; null if they are integers. */
function formatOf({ row }: Instruction): FloatFormat | null {
  if (/^(P|MOV|MASK|LD|ST|F)/.test(row.mnemonic)) return null;
  const source = row.mnemonic.replace(/^CVTT?/, '').replace(/2.*/, '');
  if (/(SS|PS)$/.test(source)) return SINGLE;
  return /(SD|PD)$/.test(source) ? DOUBLE : null;
}

/** 128 bits of the format, as two quadwords. */
function lanes(format: FloatFormat, make: () => bigint): bigint[] {
  if (format === DOUBLE) return [make(), make()];
  const pair = () => make() | (make() << 32n);
  return [pair(), pair()];
}

function partners(format: FloatFormat, values: readonly bigint[], prng: Prng): bigint[] {
  return values.map((value) => {
    if (format === DOUBLE) return partner(format, value, prng);
    const low = partner(format, value & 0xffffffffn, prng);
    return low | (partner(format, value >> 32n, prng) << 32n);
  });
}

/** What is needed of the memory operand: where it is, a way to change it, other values. */
export interface Surroundings {
  readonly edge: () => bigint;
  /** Write a quadword at an offset from the memory operand, if it lies in data. */
  readonly place: (offset: number, value: bigint) => void;
}

/** An image for FXRSTOR64, and a suitable operand in memory. */
export function vectorsFor(
  instruction: Instruction,
  prng: Prng,
  { edge, place }: Surroundings,
): Uint8Array {
  const image = new Uint8Array(VECTOR_BYTES);
  const view = new DataView(image.buffer);
  const format = formatOf(instruction);
  const other = [SINGLE, DOUBLE][prng.below(2)];
  const value = () => {
    if (format !== null && prng.below(8) !== 0)
      return lanes(format, () => floatValue(format, prng));
    if (prng.below(3) === 0) return lanes(other, () => floatValue(other, prng));
    return [edge(), edge()];
  };
  const registers = Array.from({ length: 16 }, value);
  const [first, second] = instruction.operands;
  const destination = first?.kind === 'register' ? first.number : 0;
  const isRelated = format !== null && prng.below(2) === 0;
  const related = isRelated ? partners(format, registers[destination], prng) : value();
  if (second?.kind === 'register' && second.class === 'xmm' && isRelated) {
    registers[second.number] = related;
  }
  if (prng.below(8) !== 0) {
    for (const [i, quadword] of related.entries()) place(8 * i, quadword);
  }
  registers.flat().forEach((quadword, i) => {
    view.setBigUint64(XMM_AT + 8 * i, quadword, true);
  });
  view.setUint32(MXCSR_AT, mxcsr(prng), true);
  view.setUint16(0, USUAL_FCW, true);
  const { mnemonic, unit } = instruction.row;
  if (unit === 'fpu' || unit === 'wait') setFpu(view, prng);
  if (/^FXRSTOR|^LDMXCSR/.test(mnemonic) && prng.below(8) !== 0) {
    const at = mnemonic === 'LDMXCSR' ? 0 : MXCSR_AT;
    place(at, BigInt(mxcsr(prng)) | (edge() << 32n));
  }
  // How many bytes a shift, or which lane an insertion is about, is in a small number.
  if (/^PS[LR]/.test(mnemonic) && second?.kind !== 'immediate' && prng.below(2) === 0) {
    const count = BigInt(prng.below(72));
    place(0, count);
    if (second?.kind === 'register') view.setBigUint64(XMM_AT + 16 * second.number, count, true);
  }
  return image;
}

/** Control and status, exceptions pending among them, and contents of the data registers. */
function setFpu(view: DataView, prng: Prng): void {
  const control = prng.below(2) === 0 ? USUAL_FCW : (prng.next() & FCW_BITS) | FCW_ALWAYS;
  const status = prng.below(2) === 0 ? 0 : prng.next() & 0x7f7f;
  const isPending = (status & ~control & FLAGS) !== 0;
  view.setUint16(0, control, true);
  view.setUint16(2, isPending ? status | 0x8080 : status, true);
  view.setUint8(4, prng.next());
  view.setUint16(6, prng.next() & 0x7ff, true);
  view.setUint32(8, prng.next(), true);
  view.setUint32(16, prng.next(), true);
  for (let i = 0; i < 8; i++) {
    view.setUint32(32 + 16 * i, prng.next(), true);
    view.setUint32(36 + 16 * i, prng.next() | 0x80000000, true);
    view.setUint16(40 + 16 * i, prng.next(), true);
  }
}
