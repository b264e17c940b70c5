// Emits the iterations of a delay loop that fit into the cycles left, in closed form, in front of
// the block that does one. The last ones are executed, for the flags, and for the log: it is found
// back from the end by what was executed. A delay that goes on past the end is the interpreter's.

import { type Delay, SHORT_DELAY } from '../delay.ts';
import type { Accountant } from './account.ts';
import { LOGGED_INSTRUCTIONS } from './left-behind.ts';
import { type FunctionBody, Op, Type } from './module.ts';

export interface DelayParts {
  readonly body: FunctionBody;
  readonly accountant: Accountant;
  /** The local of the register that is counted down. */
  readonly counter: number;
}

/** Iterations that are executed before the last one. */
const KEPT = LOGGED_INSTRUCTIONS + 1;

export function emitDelay({ body, accountant, counter }: DelayParts, delay: Delay): void {
  const { width, step, cycles, instructions } = delay;
  const count = body.scratch(Type.I64, 0);
  const rounds = body.scratch(Type.I64, 1);
  const left = body.scratch(Type.I64, 2);
  body.get(counter);
  if (width === 32) {
    body.op(Op.i32WrapI64);
    body.op(Op.i64ExtendI32U);
  }
  body.tee(count);
  body.i64(BigInt(SHORT_DELAY * step));
  body.op(Op.i64GtU);
  body.open(Op.if);
  // Those before the one in which the register becomes 0.
  body.get(count);
  body.i64(1n);
  body.op(Op.i64Sub);
  body.i64(BigInt(step));
  body.op(Op.i64DivU);
  body.tee(rounds);
  accountant.pushCycles();
  body.op(Op.i64ExtendI32S);
  body.tee(left);
  body.i64(BigInt(cycles));
  body.op(Op.i64DivU);
  body.op(Op.i64LeU);
  body.get(left);
  body.i64(0n);
  body.op(Op.i64GtS);
  body.op(Op.i32And);
  body.open(Op.if);
  body.get(rounds);
  body.i64(BigInt(KEPT));
  body.op(Op.i64Sub);
  body.set(rounds);
  body.get(count);
  body.get(rounds);
  body.i64(BigInt(step));
  body.op(Op.i64Mul);
  body.op(Op.i64Sub);
  body.set(counter);
  accountant.skip(rounds, cycles, instructions);
  body.close();
  body.close();
}
