// Operands of SSE instructions: XMM registers and memory of up to 128 bits, as a pair of halves or
// as lanes. Memory of 128 bits has to be aligned, but for the instructions that say otherwise.

import type { Domain, Meaning, Wide } from '../domain.ts';
import type { Operand } from '../instruction.ts';
import { type Form, instruction } from '../notation.ts';
import type { Attributes, Row } from '../row.ts';

const BYTES = 16;

/** The number of an XMM register; for operands that can be nothing else. */
export function xmmNumber(operand: Operand): number {
  if (operand.kind !== 'register') throw new TypeError('row admits more than a register');
  return operand.number;
}

/** The byte behind an instruction that says how. */
export function immediateByte(operand: Operand): number {
  if (operand.kind !== 'immediate') throw new TypeError('row admits more than a number');
  return operand.value.low & 0xff;
}

/** All of an XMM register or of memory at any address. */
export function readUnaligned<V, B>(d: Domain<V, B>, operand: Operand): Wide<V> {
  if (operand.kind === 'memory') {
    return d.loadWide(operand.segment, d.address(operand));
  }
  const number = xmmNumber(operand);
  return { low: d.xmm(64, number, 0), high: d.xmm(64, number, 1) };
}

/** All of an XMM register or of aligned memory. */
export function readWide<V, B>(d: Domain<V, B>, operand: Operand): Wide<V> {
  if (operand.kind === 'memory') d.align(operand, BYTES);
  return readUnaligned(d, operand);
}

export function writeUnaligned<V, B>(d: Domain<V, B>, operand: Operand, value: Wide<V>): void {
  if (operand.kind === 'memory') {
    d.storeWide(operand.segment, d.address(operand), value.low, value.high);
    return;
  }
  const number = xmmNumber(operand);
  d.setXmm(64, number, 0, value.low);
  d.setXmm(64, number, 1, value.high);
}

export function writeWide<V, B>(d: Domain<V, B>, operand: Operand, value: Wide<V>): void {
  if (operand.kind === 'memory') d.align(operand, BYTES);
  writeUnaligned(d, operand, value);
}

/** The lowest lane of an XMM register, or memory of that width; general registers likewise. */
export function readLow<V, B>(d: Domain<V, B>, width: 32 | 64, operand: Operand): V {
  const isXmm = operand.kind === 'register' && operand.class === 'xmm';
  return isXmm ? d.xmm(width, operand.number, 0) : d.read(operand);
}

/** As {@link readLow}; what is above the lane in a register stays. */
export function writeLow<V, B>(d: Domain<V, B>, width: 32 | 64, operand: Operand, value: V): void {
  const isXmm = operand.kind === 'register' && operand.class === 'xmm';
  if (isXmm) d.setXmm(width, operand.number, 0, value);
  else d.write(operand, value);
}

/** All lanes of an XMM register or of aligned memory, the lowest first. */
export function readLanes<V, B>(d: Domain<V, B>, width: 32 | 64, operand: Operand): V[] {
  if (operand.kind === 'memory') {
    const { low, high } = readWide(d, operand);
    return width === 64 ? [low, high] : [...words(d, low), ...words(d, high)];
  }
  const n = xmmNumber(operand);
  // Written out, for this is what vectorized loops spend their time with.
  if (width === 64) return [d.xmm(64, n, 0), d.xmm(64, n, 1)];
  return [d.xmm(32, n, 0), d.xmm(32, n, 1), d.xmm(32, n, 2), d.xmm(32, n, 3)];
}

export function writeLanes<V, B>(
  d: Domain<V, B>,
  width: 32 | 64,
  operand: Operand,
  lanes: readonly V[],
): void {
  const number = xmmNumber(operand);
  for (let lane = 0; lane < lanes.length; lane++) d.setXmm(width, number, lane, lanes[lane]);
}

/** Both words of a value. */
export function words<V, B>(d: Domain<V, B>, value: V): [V, V] {
  return [d.truncate(32, value), d.shiftRight(value, d.constant(8, 32))];
}

/** A value of two words. */
export function fromWords<V, B>(d: Domain<V, B>, low: V, high: V): V {
  return d.or(low, d.shiftLeft(64, high, d.constant(8, 32)));
}

/** The rows of an instruction of SSE. */
export function sse(
  mnemonic: string,
  summary: string,
  meaning: Meaning,
  forms: readonly Form[],
  attributes: Attributes = {},
): Row[] {
  return instruction(mnemonic, summary, { unit: 'sse', ...attributes }, meaning, forms);
}
