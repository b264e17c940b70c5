// Delay loops: blocks that count a register down to zero, and nothing else. All their iterations
// but the last ones can pass at once. See docs/decisions/exact-skipping.md.

import type { Instruction, Operand } from '../isa/index.ts';
import { Gpr } from '../isa/index.ts';

/** A block that jumps back to its start until a register is 0. */
export interface Delay {
  /** Number of the general register. */
  readonly register: number;
  readonly width: 32 | 64;
  /** What is subtracted in each iteration. */
  readonly step: number;
  /** Of an iteration. */
  readonly cycles: number;
  readonly instructions: number;
}

/** Fewer iterations are executed as quickly as they are left out. */
export const SHORT_DELAY = 64;

interface Timed {
  readonly instruction: Instruction;
  readonly cycles: number;
}

/** What a block is as a delay loop; null if it is none. */
export function delayOf(block: readonly Timed[], lengthBytes: number): Delay | null {
  const branch = block[block.length - 1]?.instruction;
  const target = branch?.operands[0];
  if (branch === undefined || target?.kind !== 'relative') return null;
  if (target.displacement !== -lengthBytes) return null;
  const isLoop = branch.row.mnemonic === 'LOOP';
  if (!isLoop && branch.row.mnemonic !== 'JNE' && branch.row.mnemonic !== 'JNZ') return null;
  const others = block.slice(0, -1).filter(({ instruction }) => instruction.row.mnemonic !== 'NOP');
  if (others.length !== (isLoop ? 0 : 1)) return null;
  const counted = isLoop ? loopCount(branch) : countOf(others[0].instruction);
  if (counted === null) return null;
  const cycles = block.reduce((sum, each) => sum + each.cycles, 0);
  return { ...counted, cycles, instructions: block.length };
}

type Count = Pick<Delay, 'register' | 'width' | 'step'>;

function loopCount({ addressWidth }: Instruction): Count | null {
  return addressWidth === 16 ? null : { register: Gpr.RCX, width: addressWidth, step: 1 };
}

/** DEC or SUB of a register. */
function countOf({ row, operands, lock }: Instruction): Count | null {
  const [counter, amount] = operands;
  if (lock || counter?.kind !== 'register' || counter.class !== 'general') return null;
  const { width, number } = counter;
  if (width !== 32 && width !== 64) return null;
  const step = row.mnemonic === 'DEC' ? 1 : row.mnemonic === 'SUB' ? amountOf(amount) : 0;
  return step > 0 ? { register: number, width, step } : null;
}

/** A constant that is subtracted, if it is a small one. */
function amountOf(operand: Operand | undefined): number {
  return operand?.kind === 'immediate' && operand.value.high === 0 ? operand.value.low : 0;
}

/**
 * How many iterations may pass at once from the start of one: not the one in which the register
 * becomes 0, and one less, which leaves the flags as they are then.
 * @param words the registers
 * @param cyclesLeft at most so much time may pass
 */
export function passableIterations(delay: Delay, words: Int32Array, cyclesLeft: number): number {
  const { register, width, step, cycles } = delay;
  const high = width === 64 ? words[2 * register + 1] >>> 0 : 0;
  const value = high * 2 ** 32 + (words[2 * register] >>> 0);
  const untilZero = Math.ceil(value / step) - 1;
  return Math.min(untilZero, Math.floor(cyclesLeft / cycles)) - 1;
}

/** Count so many iterations down. */
export function countDown(
  { register, width, step }: Delay,
  words: Int32Array,
  count: number,
): void {
  const amount = BigInt(count) * BigInt(step);
  const high = width === 64 ? BigInt(words[2 * register + 1] >>> 0) : 0n;
  const value = ((high << 32n) | BigInt(words[2 * register] >>> 0)) - amount;
  words[2 * register] = Number(BigInt.asIntN(32, value));
  words[2 * register + 1] = width === 64 ? Number(BigInt.asIntN(32, value >> 32n)) : 0;
}
