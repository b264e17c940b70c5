// Emits the values of a block. A value that is used more than once is computed at its first use and
// kept in a local; one that only ways out need is computed there.

import { type FunctionBody, Op, Type, type ValueType } from './module.ts';
import { type Node, Pseudo } from './nodes.ts';

/** Locals that hold a value for as long as a block or a way out; handed out anew for each. */
class LocalPool {
  private readonly body: FunctionBody;
  private readonly locals: Readonly<Record<ValueType, number[]>> = {
    [Type.I32]: [],
    [Type.I64]: [],
    [Type.F32]: [],
    [Type.F64]: [],
    [Type.V128]: [],
  };
  private readonly used = new Map<ValueType, number>();

  constructor(body: FunctionBody) {
    this.body = body;
  }

  take(type: ValueType): number {
    const locals = this.locals[type];
    const number = this.used.get(type) ?? 0;
    this.used.set(type, number + 1);
    locals[number] ??= this.body.local(type);
    return locals[number];
  }

  reuse(): void {
    this.used.clear();
  }
}

/** A local that holds a value, since a point in the code of the block. */
interface Held {
  readonly local: number;
  readonly since: number;
}

/** A point in the code of a block, with what is held there or will be later. */
export interface Point {
  readonly held: Map<Node, Held>;
  readonly size: number;
}

export class ExpressionEmitter {
  private readonly body: FunctionBody;
  /** Locals of the region by slot. */
  private readonly slots: readonly number[];
  private readonly statusFunction: number;
  private readonly pool: LocalPool;
  private readonly coldPool: LocalPool;
  private uses = new Map<Node, number>();
  private held: Map<Node, Held> = new Map();
  private cold: Map<Node, number> | null = null;
  private coldSince = 0;

  constructor(body: FunctionBody, slots: readonly number[], statusFunction: number) {
    this.body = body;
    this.slots = slots;
    this.statusFunction = statusFunction;
    this.pool = new LocalPool(body);
    this.coldPool = new LocalPool(body);
  }

  /** Begin a block. */
  begin(): void {
    this.pool.reuse();
    this.uses = new Map();
    this.held = new Map();
  }

  /** A value is going to be used once more on the main path. */
  count(x: Node): void {
    if (x.isConstant || x.op === Pseudo.LOCAL) return;
    const uses = this.uses.get(x) ?? 0;
    this.uses.set(x, uses + 1);
    if (uses === 0) for (const operand of x.operands) this.count(operand);
  }

  /** The point in the code of the block that has been reached. */
  get here(): Point {
    return { held: this.held, size: this.body.size };
  }

  /** Emit code in which values are computed for it alone. */
  within(work: () => void): void {
    const { held, cold } = this;
    this.held = new Map(held);
    this.cold = cold === null ? null : new Map(cold);
    work();
    this.held = held;
    this.cold = cold;
  }

  /** Emit code that is reached from a point before: what was held there still is. */
  outOfLine(from: Point, work: () => void): void {
    const { held } = this;
    this.held = from.held;
    this.cold = new Map();
    this.coldSince = from.size;
    this.coldPool.reuse();
    work();
    this.cold = null;
    this.held = held;
  }

  /** Set a result to what is on the stack. */
  keep(x: Node): void {
    const known = this.held.get(x);
    const local = known?.local ?? this.pool.take(x.type);
    this.body.set(local);
    this.held.set(x, { local, since: this.body.size });
  }

  /** Give a result a local before its value is known. */
  reserve(x: Node): void {
    this.held.set(x, { local: this.pool.take(x.type), since: this.body.size });
  }

  /** Push a value. */
  push(x: Node): void {
    const { body } = this;
    if (x.isConstant) {
      if (x.type === Type.I64) body.i64(x.value);
      else body.i32(Number(x.value) | 0);
      return;
    }
    if (x.op === Pseudo.LOCAL) {
      body.get(this.slots[x.local]);
      return;
    }
    const held = this.localOf(x);
    if (held !== undefined) {
      body.get(held);
      return;
    }
    if (x.op === Pseudo.RESULT) throw new Error('a result is used before it is there');
    this.compute(x);
    this.hold(x);
  }

  private localOf(x: Node): number | undefined {
    const held = this.held.get(x);
    if (this.cold === null) return held?.local;
    if (held !== undefined && held.since <= this.coldSince) return held.local;
    return this.cold.get(x);
  }

  /** Keep what was just computed, if it will be needed again. */
  private hold(x: Node): void {
    if (this.cold !== null) {
      const local = this.coldPool.take(x.type);
      this.body.tee(local);
      this.cold.set(x, local);
    } else if ((this.uses.get(x) ?? 0) > 1) {
      const local = this.pool.take(x.type);
      this.body.tee(local);
      this.held.set(x, { local, since: this.body.size });
    }
  }

  private compute(x: Node): void {
    if (x.op === Pseudo.CARRY) {
      this.carry(x.operands);
      return;
    }
    for (const operand of x.operands) this.push(operand);
    if (x.op === Pseudo.STATUS) this.body.call(this.statusFunction);
    else this.body.op(x.op);
  }

  /** CF of a record whose kind is not known; loops that count by DEC pass it on and on in `c`. */
  private carry([op, c, other]: readonly Node[]): void {
    const { body } = this;
    this.push(op);
    body.i32(1);
    body.op(Op.i32And);
    body.openWith(Type.I32);
    this.within(() => {
      this.push(c);
      body.i32(1);
      body.op(Op.i32And);
    });
    body.op(Op.else);
    this.within(() => this.push(other));
    body.close();
  }
}
