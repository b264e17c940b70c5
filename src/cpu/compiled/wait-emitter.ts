// Emits the rounds of a wait that fit into the cycles left, in closed form, where one has come
// round. The last ones are executed, for the log, and before PLE's window closes.

import type { Accountant } from './account.ts';
import { CompiledOffset, LOGGED_INSTRUCTIONS } from './left-behind.ts';
import { type FunctionBody, Op, Type } from './module.ts';
import type { Wait } from './waits.ts';

export interface WaitParts {
  readonly body: FunctionBody;
  readonly accountant: Accountant;
  /** The parameter that says where the state lies. */
  readonly state: number;
}

/** Fewer rounds are executed: to find out how many there are takes about as long. */
const WORTH_IT = 3;

/** More rounds than there are cycles. */
const MANY = 2 ** 30;

export function emitWait({ body, accountant, state }: WaitParts, wait: Wait): void {
  const { cycles, instructions, hasPause } = wait;
  const kept = Math.ceil((LOGGED_INSTRUCTIONS + 1) / instructions);
  const rounds = body.scratch(Type.I64, 0);
  const pauses = hasPause ? new PauseEmitter(body, state, cycles) : null;
  accountant.pushMoreThan((kept + WORTH_IT) * cycles);
  body.open(Op.if);
  accountant.pushCycles();
  body.i32(cycles);
  body.op(Op.i32DivU);
  body.i32(kept);
  body.op(Op.i32Sub);
  body.op(Op.i64ExtendI32S);
  body.set(rounds);
  pauses?.limit(rounds);
  body.get(rounds);
  body.i64(0n);
  body.op(Op.i64GtS);
  body.open(Op.if);
  pauses?.pass(rounds);
  accountant.wait(rounds, cycles, instructions);
  body.close();
  body.close();
}

/** What the PAUSE of each round does to the times by which PAUSE is watched. */
class PauseEmitter {
  private readonly body: FunctionBody;
  private readonly state: number;
  /** Of a round. */
  private readonly cycles: number;

  constructor(body: FunctionBody, state: number, cycles: number) {
    this.body = body;
    this.state = state;
    this.cycles = cycles;
  }

  /** No more rounds than end before the window closes. */
  limit(rounds: number): void {
    const { body } = this;
    // A PAUSE that comes later than the gap begins a loop, which lasts for no time.
    this.load(CompiledOffset.GAP);
    this.pushRound();
    body.op(Op.f64Lt);
    body.op(Op.i32Eqz);
    body.open(Op.if);
    const most = body.scratch(Type.I64, 1);
    this.load(CompiledOffset.WINDOW);
    this.load(CompiledOffset.LAST);
    this.load(CompiledOffset.FIRST);
    body.op(Op.f64Sub);
    body.op(Op.f64Sub);
    this.pushRound();
    body.op(Op.f64Div);
    body.i32(MANY);
    body.op(Op.f64ConvertI32S);
    body.op(Op.f64Min);
    body.op(Op.i64TruncF64S);
    body.tee(most);
    body.get(rounds);
    body.get(most);
    body.get(rounds);
    body.op(Op.i64LtS);
    body.op(Op.select);
    body.set(rounds);
    body.close();
  }

  /** The first PAUSE of the loop is what it was, or the next round says so itself. */
  pass(rounds: number): void {
    const { body } = this;
    body.get(this.state);
    this.load(CompiledOffset.LAST);
    body.get(rounds);
    body.i64(BigInt(this.cycles));
    body.op(Op.i64Mul);
    body.op(Op.f64ConvertI64S);
    body.op(Op.f64Add);
    body.memory(Op.f64Store, CompiledOffset.LAST);
  }

  private load(offset: number): void {
    this.body.get(this.state);
    this.body.memory(Op.f64Load, offset);
  }

  private pushRound(): void {
    this.body.i32(this.cycles);
    this.body.op(Op.f64ConvertI32S);
  }
}
