// Emits many iterations of a repeated instruction at once, in front of the block that does one: as
// many as lie in one page at either end and fit into the cycles left, but never the last, which the
// block does and counts. If nothing can be done at once, the block does its one iteration, and
// faults if it has to.

import { Flag, Gpr, type Width } from '../../isa/index.ts';
import { Word } from '../state.ts';
import { Access, type AccessKind } from '../virtualization.ts';
import { type Accountant, NOTHING_OWED, withBlock } from './account.ts';
import type { Bulk } from './bulk.ts';
import type { RegionBlock } from './discovery.ts';
import type { ExpressionEmitter } from './expression.ts';
import { type FunctionBody, Op, Type } from './module.ts';
import {
  add32,
  add64,
  and32,
  choose,
  cut,
  equal,
  extend,
  int,
  long,
  mul32,
  type Node,
  narrow,
  not,
  or32,
  plain,
  result,
  shl32,
  shr32,
  sub32,
  sub64,
  TRUE,
  wrap,
} from './nodes.ts';

/** What the emitter of the region provides. */
export interface BulkParts {
  /** Of the block. */
  readonly number: number;
  readonly body: FunctionBody;
  readonly expressions: ExpressionEmitter;
  /** What the local of a register holds. */
  register(number: number): Node;
  setRegister(number: number, value: Node): void;
  readonly accountant: Accountant;
  /** The processor's state. */
  readonly state: number;
  /** The bytes that say which lines are watched. */
  readonly watchedLines: number;
  /** The hpa of a byte, whose line is not watched if it is to be written; or branch to a label. */
  locate(linear: Node, access: AccessKind, label: number): Node;
}

const PAGE_BYTES = 4096;
const LINE_BYTES = 64;
const LINE_SHIFT = 6;
/** Lines are looked at by eights. */
const LINES_AT_ONCE = 8;
/** Fewer are not worth it. */
const LEAST = 8;

const SHIFTS = { 1: 0, 2: 1, 4: 2, 8: 3 } as const;
const LOADS = { 1: Op.i64Load8U, 2: Op.i64Load16U, 4: Op.i64Load32U, 8: Op.i64Load } as const;
const STORES = { 1: Op.i64Store8, 2: Op.i64Store16, 4: Op.i64Store32, 8: Op.i64Store } as const;

/** @param block of one iteration */
export function emitBulk(parts: BulkParts, bulk: Bulk, block: RegionBlock): void {
  new BulkEmitter(parts, bulk).emit(block);
}

class BulkEmitter {
  private readonly parts: BulkParts;
  private readonly bulk: Bulk;
  private readonly width: Width;
  /** Label behind all of it. */
  private skip = 0;
  /** DF. */
  private down = TRUE;
  /** Iterations. */
  private readonly count: number;

  constructor(parts: BulkParts, bulk: Bulk) {
    this.parts = parts;
    this.bulk = bulk;
    this.width = bulk.addressWidth;
    this.count = parts.body.scratch(Type.I32, 2);
  }

  emit({ cycles, start }: RegionBlock): void {
    const { parts, bulk } = this;
    const { body } = parts;
    this.skip = body.open(Op.block);
    this.chooseCount(cycles);
    const to = this.keep(parts.locate(this.pointer(Gpr.RDI), Access.WRITE, this.skip));
    this.limitToUnwatched(to);
    if (bulk.value === null) {
      const from = this.keep(parts.locate(this.pointer(Gpr.RSI), Access.READ, this.skip));
      this.copy(to, from);
    } else this.fill(to, bulk.value);
    this.advance(cycles, start);
    body.close();
  }

  // Values

  private get iterations(): Node {
    const { body } = this.parts;
    const value = result(Type.I32, 32);
    body.get(this.count);
    this.parts.expressions.keep(value);
    return value;
  }

  private keep(x: Node): Node {
    const { expressions } = this.parts;
    const kept = result(x.type, x.bits);
    expressions.push(x);
    expressions.keep(kept);
    return kept;
  }

  private pointer(number: number): Node {
    return cut(this.width, this.parts.register(number));
  }

  private skipIf(condition: Node): void {
    this.parts.expressions.push(condition);
    this.parts.body.branch(this.skip, Op.brIf);
  }

  private setCount(value: Node): void {
    this.parts.expressions.push(value);
    this.parts.body.set(this.count);
  }

  // How many

  private chooseCount(cycles: number): void {
    const { body, state, accountant } = this.parts;
    this.skipIf(less(Op.i64LeU, this.pointer(Gpr.RCX), long(BigInt(LEAST))));
    const remaining = this.keep(sub64(this.pointer(Gpr.RCX), long(1n)));
    const most = long(BigInt(PAGE_BYTES));
    this.setCount(wrap(choose(less(Op.i64LtU, remaining, most), remaining, most)));
    accountant.pushCycles();
    const cyclesLeft = result(Type.I32, 32);
    this.parts.expressions.keep(cyclesLeft);
    this.skipIf(less(Op.i32LeS, cyclesLeft, int(LEAST * cycles)));
    const fitting = narrow(
      32,
      Op.i32DivU,
      Type.I32,
      add32(cyclesLeft, int(cycles - 1)),
      int(cycles),
    );
    this.limit(fitting);
    body.get(state);
    body.memory(Op.i32Load, 4 * Word.RFLAGS);
    const flags = result(Type.I32, 32);
    this.parts.expressions.keep(flags);
    this.down = this.keep(and32(shr32(flags, int(Flag.DF)), TRUE));
    this.limitToBlock(wrap(this.pointer(Gpr.RDI)), PAGE_BYTES);
    if (this.bulk.value === null) this.limitToBlock(wrap(this.pointer(Gpr.RSI)), PAGE_BYTES);
    this.skipIf(less(Op.i32LtU, this.iterations, int(LEAST)));
  }

  private limit(most: Node): void {
    const limit = this.keep(most);
    const { iterations } = this;
    this.setCount(choose(less(Op.i32LtU, limit, iterations), limit, iterations));
  }

  /** To elements that lie as a whole in the same page or line as the first. */
  private limitToBlock(address: Node, blockBytes: number): void {
    const { bytes } = this.bulk;
    const offset = this.keep(and32(address, int(blockBytes - 1)));
    const shift = int(SHIFTS[bytes]);
    const up = shr32(sub32(int(blockBytes), offset), shift);
    const isWhole = less(Op.i32LeU, offset, int(blockBytes - bytes));
    const below = choose(isWhole, add32(shr32(offset, shift), TRUE), int(0));
    this.limit(choose(this.down, below, up));
  }

  /** To the line of the first element, if another one up to the last might be watched. */
  private limitToUnwatched(to: Node): void {
    const { body, expressions, watchedLines } = this.parts;
    const lowest = this.keep(this.lowest(to));
    const end = this.keep(shr32(add32(lowest, sub32(this.length, TRUE)), int(LINE_SHIFT)));
    const line = body.scratch(Type.I32, 3);
    const watched = body.scratch(Type.I64, 3);
    expressions.push(and32(shr32(lowest, int(LINE_SHIFT)), int(-LINES_AT_ONCE)));
    body.set(line);
    body.i64(0n);
    body.set(watched);
    const loop = body.open(Op.loop);
    body.get(line);
    body.memory(Op.i64Load, watchedLines);
    body.get(watched);
    body.op(Op.i64Or);
    body.set(watched);
    body.get(line);
    body.i32(LINES_AT_ONCE);
    body.op(Op.i32Add);
    body.tee(line);
    expressions.push(end);
    body.op(Op.i32LeU);
    body.branch(loop, Op.brIf);
    body.close();
    body.get(watched);
    body.op(Op.i64Eqz);
    body.op(Op.i32Eqz);
    body.open(Op.if);
    expressions.within(() => {
      this.limitToBlock(to, LINE_BYTES);
      this.skipIf(less(Op.i32LtU, this.iterations, int(LEAST)));
    });
    body.close();
  }

  /** Bytes that all iterations take. */
  private get length(): Node {
    return shl32(this.iterations, int(SHIFTS[this.bulk.bytes]));
  }

  /** The first byte of the lowest element, given that of the first one. */
  private lowest(at: Node): Node {
    const back = sub32(this.length, int(this.bulk.bytes));
    return choose(this.down, sub32(at, back), at);
  }

  // What

  /** Elements that an earlier iteration has stored are copied one by one, as iterations do. */
  private copy(to: Node, from: Node): void {
    const { body, expressions } = this.parts;
    const length = this.keep(this.length);
    const ahead = this.keep(choose(this.down, sub32(from, to), sub32(to, from)));
    expressions.push(or32(not(ahead), less(Op.i32LeU, length, ahead)));
    body.open(Op.if);
    expressions.within(() => {
      expressions.push(this.lowest(to));
      expressions.push(this.lowest(from));
      expressions.push(length);
      body.copy();
    });
    body.op(Op.else);
    expressions.within(() => this.oneByOne(to, from));
    body.close();
  }

  private fill(to: Node, value: Node): void {
    const { body, expressions } = this.parts;
    const { bytes } = this.bulk;
    const element = this.keep(value);
    const byte = this.keep(and32(wrap(element), int(255)));
    const repeated = cut(8 * bytes, plain(Op.i64Mul, Type.I64, extend(byte), EACH_BYTE));
    expressions.push(equal(repeated, element));
    body.open(Op.if);
    expressions.within(() => {
      expressions.push(this.lowest(to));
      expressions.push(byte);
      expressions.push(this.length);
      body.fill();
    });
    body.op(Op.else);
    expressions.within(() => this.oneByOne(to, element));
    body.close();
  }

  /** @param from where elements come from, or the element, which is an i64 */
  private oneByOne(to: Node, from: Node): void {
    const { body, expressions } = this.parts;
    const { bytes } = this.bulk;
    const [target, source, left] = [4, 5, 6].map((number) => body.scratch(Type.I32, number));
    const step = this.keep(choose(this.down, int(-bytes), int(bytes)));
    const isCopy = from.type === Type.I32;
    const move = (local: number) => {
      body.get(local);
      expressions.push(step);
      body.op(Op.i32Add);
      body.set(local);
    };
    expressions.push(to);
    body.set(target);
    if (isCopy) {
      expressions.push(from);
      body.set(source);
    }
    body.get(this.count);
    body.set(left);
    const loop = body.open(Op.loop);
    body.get(target);
    if (isCopy) {
      body.get(source);
      body.memory(LOADS[bytes], 0);
      move(source);
    } else expressions.push(from);
    body.memory(STORES[bytes], 0);
    move(target);
    body.get(left);
    body.i32(1);
    body.op(Op.i32Sub);
    body.tee(left);
    body.branch(loop, Op.brIf);
    body.close();
  }

  // And then

  private advance(cycles: number, start: bigint): void {
    const { parts, width } = this;
    const length = this.keep(extend(this.length));
    const moved = (number: number) => {
      const at = this.pointer(number);
      return cut(width, choose(this.down, sub64(at, length), add64(at, length)));
    };
    if (this.bulk.value === null) parts.setRegister(Gpr.RSI, moved(Gpr.RSI));
    parts.setRegister(Gpr.RDI, moved(Gpr.RDI));
    const { iterations } = this;
    parts.setRegister(Gpr.RCX, sub64(this.pointer(Gpr.RCX), extend(iterations)));
    parts.expressions.push(mul32(iterations, int(cycles)));
    parts.accountant.spend();
    const begun = { cycles: 0, instructions: 0, lastCycles: cycles };
    parts.accountant.settleIteration(withBlock(NOTHING_OWED, parts.number, start, begun));
  }
}

const EACH_BYTE = long(0x0101010101010101n);

function less(op: number, x: Node, y: Node): Node {
  return narrow(1, op, Type.I32, x, y);
}
