// Delay loops: blocks that count a register down to zero, and nothing else. All their iterations
// but the last ones can pass at once. See docs/decisions/exact-skipping.md.

import Long from 'long';
import type { Instruction, Operand } from '../isa/index.ts';
import { Gpr } from '../isa/index.ts';
import type { SkipRule } from './skipped-work.ts';

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
  const { register, width, step } = counted;
  // One literal: see newBlock.
  return { register, width, step, cycles, instructions: block.length };
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

/** Who executes a delay loop. */
export interface Delayed {
  readonly clock: number;
  readonly state: { readonly words: Int32Array };
  readonly virtualization: { delays(delay: Delay, iterations: number): boolean };
  passIterations(count: number, cycles: number, instructions: number, rule: SkipRule): void;
}

/** A delay loop at RIP goes on past a limit, and the owner passes it. */
export function isTheOwners(processor: Delayed, delay: Delay, limit: number): boolean {
  const untilZero = iterationsUntilZero(delay, processor.state.words);
  const isLong = untilZero > SHORT_DELAY && untilZero * delay.cycles > limit - processor.clock;
  return isLong && processor.virtualization.delays(delay, untilZero);
}

/**
 * All iterations of the delay loop at RIP that end before a limit, but for two: the one in which
 * the register becomes 0, and one before, which leaves the flags as they are then.
 */
export function passDelay(processor: Delayed, delay: Delay, limit: number): void {
  const { words } = processor.state;
  const untilZero = iterationsUntilZero(delay, words);
  const fitting = Math.floor((limit - processor.clock) / delay.cycles);
  const count = Math.min(untilZero, fitting) - 1;
  if (count <= 0) return;
  countDown(delay, words, count);
  processor.passIterations(count, delay.cycles, delay.instructions, 'delays');
}

/** How many iterations come before the one in which the register becomes 0; -1 if it is 0. */
function iterationsUntilZero(delay: Delay, words: Int32Array): number {
  return Math.ceil(counted(delay, words) / delay.step) - 1;
}

/** What the register holds, to 53 bits. */
function counted({ register, width }: Delay, words: Int32Array): number {
  const high = width === 64 ? words[2 * register + 1] >>> 0 : 0;
  return high * 2 ** 32 + (words[2 * register] >>> 0);
}

/** Count so many iterations down, of which there are as many. */
function countDown(delay: Delay, words: Int32Array, count: number): void {
  const { register, step } = delay;
  const value = counted(delay, words);
  if (value <= Number.MAX_SAFE_INTEGER) {
    const left = value - count * step;
    words[2 * register] = left;
    words[2 * register + 1] = left / 2 ** 32;
    return;
  }
  const all = Long.fromBits(words[2 * register], words[2 * register + 1]);
  const left = all.sub(Long.fromNumber(count).mul(step));
  words[2 * register] = left.low;
  words[2 * register + 1] = left.high;
}
