// What blocks have done that nothing says yet when running: cycles, instructions, and where the
// code came by. On a way that nothing else joins it is known when compiling, so that it is taken
// into account once, where ways meet.

import type { LoggedStretch } from '../block-log.ts';
import type { RegionBlock } from './discovery.ts';
import { COUNT_SHIFT, CYCLES_SHIFT, PATH_WORDS, TrailOffset } from './left-behind.ts';
import { type FunctionBody, Op, Type } from './module.ts';

export interface Account {
  readonly cycles: number;
  readonly instructions: number;
  /** Blocks with the instructions that were done of each. */
  readonly stretch: LoggedStretch;
  /** Number of the first of them; -1 if there is none. */
  readonly first: number;
}

/** A block, or the part of it before a way out. */
type Done = Pick<RegionBlock, 'cycles' | 'instructions'> & Partial<Pick<RegionBlock, 'lastCycles'>>;

export const NOTHING_OWED: Account = { cycles: 0, instructions: 0, stretch: [], first: -1 };

/** And what a block has done, or a part of it. @param number the block's */
export function withBlock(
  owed: Account,
  number: number,
  start: bigint,
  { cycles, instructions, lastCycles = 0 }: Done,
): Account {
  return {
    cycles: owed.cycles + cycles,
    instructions: owed.instructions + instructions,
    stretch: [...owed.stretch, { start, instructions, lastCycles }],
    first: owed.first < 0 ? number : owed.first,
  };
}

/** Keeps the account of a region when running. */
export class Accountant {
  /** By number. */
  readonly stretches: LoggedStretch[] = [];
  /** By number, the block where it begins; -1 if all ways there are noted. */
  private readonly starts: number[] = [];
  /** By the block that it leads to, the stretch that is not noted. */
  private readonly quiet = new Map<number, number>();
  private readonly body: FunctionBody;
  /** The parameter that says where the trail lies. */
  private readonly trail: number;
  private readonly left: number;

  constructor(body: FunctionBody, trail: number) {
    this.body = body;
    this.trail = trail;
    this.left = body.local(Type.I64);
  }

  /** Where the region is entered, with cycles in a parameter. */
  begin(cycles: number): void {
    const { body } = this;
    body.get(cycles);
    body.op(Op.i64ExtendI32S);
    body.i64(BigInt(CYCLES_SHIFT));
    body.op(Op.i64Shl);
    body.set(this.left);
    // Nothing is noted yet: no count is so high.
    for (let word = 0; word < PATH_WORDS; word += 2) {
      body.get(this.trail);
      body.i64(-1n);
      body.memory(Op.i64Store, TrailOffset.PATH_LEFT + 4 * word);
    }
  }

  /** Push whether so many cycles, beside those that are owed, use up what is left. */
  pushSpent(owed: Account, cycles: number): void {
    const { body } = this;
    body.get(this.left);
    body.i64(BigInt(owed.cycles + cycles + 1) << BigInt(CYCLES_SHIFT));
    body.op(Op.i64LtS);
  }

  /** Push whether more cycles than so many are left; nothing may be owed. */
  pushMoreThan(cycles: number): void {
    const { body } = this;
    body.get(this.left);
    body.i64(BigInt(cycles + 1) << BigInt(CYCLES_SHIFT));
    body.op(Op.i64GeS);
  }

  /** By number, the stretch before it if none is noted, or -1. */
  get quietBefore(): readonly number[] {
    return this.starts.map((start) => this.quiet.get(start) ?? -1);
  }

  /**
   * Take what is owed into account, where a block is met that other ways lead to.
   * @param quietTo that block, if the first such way to it need not be noted; else -1
   */
  settle(owed: Account, quietTo: number): void {
    if (owed.stretch.length === 0) return;
    this.pay(owed);
    if (quietTo >= 0 && !this.quiet.has(quietTo)) {
      this.quiet.set(quietTo, this.numberOf(owed));
      return;
    }
    const { body } = this;
    this.pushLeft();
    body.i32((PATH_WORDS - 1) << COUNT_SHIFT);
    body.op(Op.i32And);
    body.get(this.trail);
    body.op(Op.i32Add);
    const place = body.scratch(Type.I32, 0);
    body.tee(place);
    body.i32(this.numberOf(owed));
    body.memory(Op.i32Store, TrailOffset.PATH);
    body.get(place);
    this.pushLeft();
    body.memory(Op.i32Store, TrailOffset.PATH_LEFT);
  }

  /** Push the cycles left, an i32. */
  pushCycles(): void {
    const { body } = this;
    body.get(this.left);
    body.i64(BigInt(CYCLES_SHIFT));
    body.op(Op.i64ShrS);
    body.op(Op.i32WrapI64);
  }

  /**
   * Take many rounds of a loop into account, as often as an i64 local says, and note them as
   * skipped. Nothing may be owed.
   */
  skip(rounds: number, cycles: number, instructions: number): void {
    this.pass(rounds, cycles, instructions, TrailOffset.SKIPPED);
  }

  /** The same of a loop that waits. */
  wait(rounds: number, cycles: number, instructions: number): void {
    this.pass(rounds, cycles, instructions, TrailOffset.WAITED);
  }

  private pass(rounds: number, cycles: number, instructions: number, offset: number): void {
    const { body, trail } = this;
    const done = BigInt(instructions) << BigInt(COUNT_SHIFT);
    const taken = BigInt(cycles) << BigInt(CYCLES_SHIFT);
    const pushRounds = (each: bigint) => {
      body.get(rounds);
      body.i64(each);
      body.op(Op.i64Mul);
    };
    body.get(this.left);
    pushRounds(done - taken);
    body.op(Op.i64Add);
    body.set(this.left);
    body.get(trail);
    body.get(trail);
    body.memory(Op.i64Load, offset);
    pushRounds(done + taken);
    body.op(Op.i64Add);
    body.memory(Op.i64Store, offset);
  }

  /** Take off cycles that are on the stack, an i32. */
  spend(): void {
    const { body } = this;
    const cycles = body.scratch(Type.I32, 0);
    body.set(cycles);
    body.get(this.left);
    body.get(cycles);
    body.op(Op.i64ExtendI32U);
    body.i64(BigInt(CYCLES_SHIFT));
    body.op(Op.i64Shl);
    body.op(Op.i64Sub);
    body.set(this.left);
  }

  /** The same as {@link settle} for an iteration of an instruction that is not done yet. */
  settleIteration(owed: Account): void {
    this.pay(owed);
    const { body } = this;
    body.get(this.trail);
    body.i32(this.numberOf(owed));
    body.memory(Op.i32Store, TrailOffset.REPEATED);
    body.get(this.trail);
    this.pushLeft();
    body.memory(Op.i32Store, TrailOffset.REPEATED_LEFT);
  }

  /**
   * The same where the region is left.
   * @param at the block in which it is, if nothing of it was done; else -1
   */
  settleAtExit(owed: Account, at: number): void {
    this.pay(owed);
    const { body } = this;
    body.get(this.trail);
    body.i32(this.numberOf(owed, at));
    body.memory(Op.i32Store, TrailOffset.STRETCH);
  }

  /** Leave the account behind. */
  end(): void {
    const { body } = this;
    body.get(this.trail);
    body.get(this.left);
    body.memory(Op.i64Store, TrailOffset.LEFT);
  }

  private pay({ cycles, instructions }: Account): void {
    if (cycles === 0 && instructions === 0) return;
    const { body } = this;
    body.get(this.left);
    const paid = BigInt(cycles) << BigInt(CYCLES_SHIFT);
    body.i64((BigInt(instructions) << BigInt(COUNT_SHIFT)) - paid);
    body.op(Op.i64Add);
    body.set(this.left);
  }

  private pushLeft(): void {
    this.body.get(this.left);
    this.body.op(Op.i32WrapI64);
  }

  private numberOf({ stretch, first }: Account, at = -1): number {
    this.starts.push(first < 0 ? at : first);
    return this.stretches.push(stretch) - 1;
  }
}
