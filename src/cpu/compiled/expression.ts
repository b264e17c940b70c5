// Emits the values of a block. A value that is used more than once is computed at its first use and
// kept in a local; one that only ways out need is computed there.

import { slotOffset } from './left-behind.ts';
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
  readonly resolve: Resolve;
}

/** What an INCOMING node is where the block begins. */
type Resolve = (x: Node) => Node;

/** Where the values of a function come from. */
export interface Places {
  /** The local of a slot. */
  local(slot: number): number;
  /** The parameter that says where the state lies. */
  readonly state: number;
  /** Index of the function that computes the status flags of a record. */
  readonly statusFunction: number;
}

export class ExpressionEmitter {
  private readonly body: FunctionBody;
  private readonly places: Places;
  private readonly pool: LocalPool;
  private readonly coldPool: LocalPool;
  private uses = new Map<Node, number>();
  private held: Map<Node, Held> = new Map();
  private cold: Map<Node, number> | null = null;
  private coldSince = 0;
  private resolve: Resolve = (x) => x;

  constructor(body: FunctionBody, places: Places) {
    this.body = body;
    this.places = places;
    this.pool = new LocalPool(body);
    this.coldPool = new LocalPool(body);
  }

  /** Begin a block. */
  begin(resolve: Resolve = (x) => x): void {
    this.resolve = resolve;
    this.pool.reuse();
    this.uses = new Map();
    this.held = new Map();
  }

  /** A value is going to be used once more on the main path. */
  count(x: Node): void {
    if (x.op === Pseudo.INCOMING) {
      this.count(this.resolve(x));
      return;
    }
    if (x.isConstant || x.op === Pseudo.LOCAL) return;
    const uses = this.uses.get(x) ?? 0;
    this.uses.set(x, uses + 1);
    if (uses === 0) for (const operand of x.operands) this.count(operand);
  }

  /** The point in the code of the block that has been reached. */
  get here(): Point {
    return { held: this.held, size: this.body.size, resolve: this.resolve };
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
    const { held, resolve } = this;
    this.held = from.held;
    this.resolve = from.resolve;
    this.cold = new Map();
    this.coldSince = from.size;
    this.coldPool.reuse();
    work();
    this.cold = null;
    this.held = held;
    this.resolve = resolve;
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
      body.get(this.places.local(x.local));
      return;
    }
    if (x.op === Pseudo.INCOMING) {
      this.push(this.resolve(x));
      return;
    }
    if (x.op === Pseudo.SAVED) {
      body.get(this.places.state);
      body.memory(x.type === Type.I32 ? Op.i32Load : Op.i64Load, slotOffset(x.local));
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
    if (x.op === Pseudo.EITHER) {
      this.either(x.type, x.operands);
      return;
    }
    for (const operand of x.operands) this.push(operand);
    if (x.op === Pseudo.STATUS) this.body.call(this.places.statusFunction);
    else this.body.op(x.op);
  }

  private either(type: ValueType, [condition, whenTrue, whenFalse]: readonly Node[]): void {
    const { body } = this;
    this.push(condition);
    body.openWith(type);
    this.within(() => this.push(whenTrue));
    body.op(Op.else);
    this.within(() => this.push(whenFalse));
    body.close();
  }
}
