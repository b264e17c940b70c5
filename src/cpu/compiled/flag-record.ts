// The status flags as they lie between compiled instructions: not computed, but remembered as what
// they follow from. A record has a kind of operation with its width, the operands and the result;
// flags that were set one by one are kept beside it. Between blocks it is known when compiling,
// but for some values (see flag-flow.ts); it goes to the words at {@link COMPILED_WORD} when a
// region is left, or where it is not known.

import { Flag, type Width } from '../../isa/index.ts';
import { Slot, slotType } from './locals.ts';
import { Op, Type, type ValueType } from './module.ts';
import {
  and32,
  and64,
  bit,
  choose,
  either,
  equal,
  extend,
  FALSE,
  int,
  isZero,
  lessOrEqualUnsigned,
  lessUnsigned,
  long,
  Node,
  narrow,
  not,
  or32,
  or64,
  Pseudo,
  plain,
  shl32,
  shr32,
  shr64,
  sub32,
  sub64,
  wrap,
  xor32,
  xor64,
  ZERO,
} from './nodes.ts';

/** Bits of RFLAGS that a record stands for. */
export const STATUS_MASK = 0x8d5;

const KIND_SHIFT = 12;
const WIDTH_SHIFT = 14;

/** Kinds of records, as the word `op` numbers them; 0 is one whose flags are all given. */
export const RecordKind = { GIVEN: 0, ADD: 1, SUB: 2, LOGIC: 3 } as const;

export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

/** `op` of a record whose flags are all in `c`. */
export const ALL_GIVEN = STATUS_MASK;

/** What the parts of `op` say. */
export function recordKind(op: number): RecordKind {
  return ((op >> KIND_SHIFT) & 3) as RecordKind;
}

export function recordWidth(op: number): Width {
  return (8 << ((op >> WIDTH_SHIFT) & 3)) as Width;
}

export function recordWord(kind: RecordKind, width: Width): number {
  return (kind << KIND_SHIFT) | ((28 - Math.clz32(width)) << WIDTH_SHIFT);
}

/** The five parts of a record as nodes; null where the kind has no use for one. */
export interface Packed {
  readonly op: Node;
  readonly c: Node;
  readonly x: Node | null;
  readonly y: Node | null;
  readonly r: Node | null;
}

/** What an operation leaves. */
export interface Operation {
  readonly kind: typeof RecordKind.ADD | typeof RecordKind.SUB | typeof RecordKind.LOGIC;
  readonly width: Width;
  readonly x: Node;
  readonly y: Node;
  readonly r: Node;
  /** No carry or borrow came in. */
  readonly isPlain: boolean;
}

/** What `local` of an INCOMING node says: a flag, or one of these and on. */
const INCOMING_CONDITION = 32;
const INCOMING_PART = 64;

function incoming(local: number, type: ValueType, bits: number): Node {
  const leaf = new Node(Pseudo.INCOMING, type, [], bits);
  leaf.local = local;
  return leaf;
}

const INCOMING_FLAGS = Array.from({ length: 12 }, (_, flag) => incoming(flag, Type.I32, 1));
const INCOMING_CONDITIONS = Array.from({ length: 8 }, (_, pair) =>
  incoming(INCOMING_CONDITION + pair, Type.I32, 1),
);

/** The parts of a record by their slots: those of `from`, made by a function. */
function partsBy(part: (slot: number) => Node): Packed {
  return {
    op: part(Slot.OPERATION),
    c: part(Slot.GIVEN),
    x: part(Slot.X),
    y: part(Slot.Y),
    r: part(Slot.RESULT),
  };
}

const INCOMING_PARTS = partsBy((slot) =>
  incoming(INCOMING_PART + slot, slotType(slot), slotType(slot) === Type.I32 ? 32 : 64),
);

/** What is known when compiling about where the flags come from; immutable. */
export class FlagRecord {
  /** Null if it is the one with which the block begins. */
  readonly operation: Operation | Packed | null;
  /** Flags that were set since. */
  readonly given: ReadonlyMap<Flag, Node>;

  constructor(operation: Operation | Packed | null, given: ReadonlyMap<Flag, Node> = new Map()) {
    this.operation = operation;
    this.given = given;
  }

  /** The flags with which a block begins, whatever they follow from. */
  static readonly INCOMING = new FlagRecord(null);

  /** The record in memory. */
  static readonly SAVED = new FlagRecord(
    partsBy((slot) => {
      const leaf = new Node(
        Pseudo.SAVED,
        slotType(slot),
        [],
        slotType(slot) === Type.I32 ? 32 : 64,
      );
      leaf.local = slot;
      return leaf;
    }),
  );

  /** What an INCOMING node is if the block begins with these flags. */
  resolve({ local }: Node): Node {
    if (local < INCOMING_CONDITION) return this.flag(local as Flag);
    if (local < INCOMING_PART) return this.positive(local - INCOMING_CONDITION);
    const { op, c, x, y, r } = this.packed();
    return [op, c, x, y, r][local - INCOMING_PART - Slot.OPERATION] ?? ZERO;
  }

  with(flag: Flag, value: Node): FlagRecord {
    return new FlagRecord(this.operation, new Map([...this.given, [flag, value]]));
  }

  /** The flags after either of two ways through an instruction. */
  static either(condition: Node, a: FlagRecord, b: FlagRecord): FlagRecord {
    if (a === b) return a;
    if (a.operation === b.operation) {
      let merged = a;
      for (const flag of new Set([...a.given.keys(), ...b.given.keys()])) {
        merged = merged.with(flag, choose(condition, a.flag(flag), b.flag(flag)));
      }
      return merged;
    }
    const [p, q] = [a.packed(), b.packed()];
    return new FlagRecord({
      op: choose(condition, p.op, q.op),
      c: choose(condition, p.c, q.c),
      x: choose(condition, p.x ?? ZERO, q.x ?? ZERO),
      y: choose(condition, p.y ?? ZERO, q.y ?? ZERO),
      r: choose(condition, p.r ?? ZERO, q.r ?? ZERO),
    });
  }

  packed(): Packed {
    const { operation } = this;
    let mask = 0;
    let given: Node = FALSE;
    for (const [flag, value] of this.given) {
      mask |= 1 << flag;
      given = or32(given, shl32(value, int(flag)));
    }
    if (operation === null || 'op' in operation) {
      const parts = operation ?? INCOMING_PARTS;
      if (mask === 0) return parts;
      const kept = and32(parts.c, int(~mask));
      return { ...parts, op: or32(parts.op, int(mask)), c: or32(kept, given) };
    }
    const { kind, width, x, y, r } = operation;
    if (mask === STATUS_MASK) return { op: int(ALL_GIVEN), c: given, x: null, y: null, r: null };
    const op = int(mask | recordWord(kind, width));
    const isLogic = kind === RecordKind.LOGIC;
    return { op, c: given, x: isLogic ? null : x, y: isLogic ? null : y, r };
  }

  flag(name: Flag): Node {
    const given = this.given.get(name);
    if (given !== undefined) return given;
    const { operation } = this;
    if (operation === null) return INCOMING_FLAGS[name];
    if ('op' in operation) {
      const { op, c } = operation;
      const [x, y, r] = [operation.x ?? ZERO, operation.y ?? ZERO, operation.r ?? ZERO];
      if (name === Flag.CF) {
        return either(and32(op, int(1)), and32(c, int(1)), carryOfAny(op, x, y, r));
      }
      return bit32(plain(Pseudo.STATUS, Type.I32, op, x, y, r, c), name);
    }
    switch (name) {
      case Flag.ZF:
        return isZeroResult(operation, this.given.has(Flag.CF));
      case Flag.SF:
        return bit(operation.r, operation.width - 1);
      case Flag.PF: {
        const ones = narrow(6, Op.i32Popcnt, Type.I32, and32(wrap(operation.r), int(255)));
        return not(and32(ones, int(1)));
      }
      case Flag.CF:
        return carry(operation);
      case Flag.AF:
        return auxiliary(operation);
      default:
        return overflow(operation);
    }
  }

  /** A condition code as the low four bits of Jcc number it. */
  condition(code: number): Node {
    const holds = this.positive(code >> 1);
    return (code & 1) === 0 ? holds : not(holds);
  }

  private positive(pair: number): Node {
    const { operation, given } = this;
    if (operation === null && given.size === 0) return INCOMING_CONDITIONS[pair];
    // The operands say it all, unless a rotation has set some flags behind them.
    const isWhole = [...given.keys()].every((flag) => flag === Flag.CF);
    const direct =
      isWhole &&
      operation !== null &&
      !('op' in operation) &&
      operation.kind === RecordKind.SUB &&
      operation.isPlain;
    switch (pair) {
      case 0:
        return this.flag(Flag.OF);
      case 1:
        return this.flag(Flag.CF);
      case 2:
        return this.flag(Flag.ZF);
      case 3:
        if (direct && !given.has(Flag.CF)) return lessOrEqualUnsigned(operation.x, operation.y);
        return or32(this.flag(Flag.CF), this.flag(Flag.ZF));
      case 4:
        return this.flag(Flag.SF);
      case 5:
        return this.flag(Flag.PF);
      case 6:
        if (direct) return signed(Op.i64LtS, Op.i32LtS, operation);
        return xor32(this.flag(Flag.SF), this.flag(Flag.OF));
      default: {
        if (direct) return signed(Op.i64LeS, Op.i32LeS, operation);
        const less = xor32(this.flag(Flag.SF), this.flag(Flag.OF));
        return or32(less, this.flag(Flag.ZF));
      }
    }
  }
}

function bit32(x: Node, index: number): Node {
  return and32(plain(Op.i32ShrU, Type.I32, x, int(index)), int(1));
}

/** Where nobody else wants the difference, comparing the operands is shorter. */
function isZeroResult({ kind, x, y, r, isPlain }: Operation, isCount: boolean): Node {
  return kind === RecordKind.SUB && isPlain && !isCount ? equal(x, y) : isZero(r);
}

function inverse(x: Node): Node {
  return xor64(x, long(-1n));
}

function carry({ kind, width, x, y, r, isPlain }: Operation): Node {
  if (kind === RecordKind.LOGIC) return FALSE;
  if (kind === RecordKind.ADD) {
    // The second operand is more likely to outlive the instruction than the first.
    if (isPlain) return lessUnsigned(r, y);
    return bit(or64(and64(x, y), and64(or64(x, y), inverse(r))), width - 1);
  }
  if (isPlain) return lessUnsigned(x, y);
  return bit(or64(and64(inverse(x), y), and64(or64(inverse(x), y), r)), width - 1);
}

/** CF where only `op` says, when running, what the record is of. */
function carryOfAny(op: Node, x: Node, y: Node, r: Node): Node {
  const isSub = and32(shr32(op, int(KIND_SHIFT + 1)), int(1));
  const isLogic = and32(isSub, shr32(op, int(KIND_SHIFT)));
  const inverted = sub64(ZERO, extend(isSub));
  const a = xor64(x, inverted);
  const b = xor64(r, inverse(inverted));
  const carries = or64(and64(a, y), and64(or64(a, y), b));
  const width = shl32(int(8), and32(shr32(op, int(WIDTH_SHIFT)), int(3)));
  const top = extend(sub32(width, int(1)));
  return and32(wrap(shr64(carries, top)), xor32(isLogic, int(1)));
}

/** All bits of RFLAGS that a record stands for. */
export function statusOf(record: FlagRecord): Node {
  const flags = [Flag.CF, Flag.PF, Flag.AF, Flag.ZF, Flag.SF, Flag.OF];
  return flags.map((flag) => shl32(record.flag(flag), int(flag))).reduce(or32);
}

function overflow({ kind, width, x, y, r }: Operation): Node {
  if (kind === RecordKind.LOGIC) return FALSE;
  if (kind === RecordKind.ADD) return bit(and64(xor64(x, r), xor64(y, r)), width - 1);
  return bit(and64(xor64(x, y), xor64(x, r)), width - 1);
}

function auxiliary({ kind, x, y, r }: Operation): Node {
  return kind === RecordKind.LOGIC ? FALSE : bit(xor64(xor64(x, y), r), 4);
}

/** A signed comparison of the operands. */
function signed(op64: number, op32: number, { width, x, y }: Operation): Node {
  if (width === 64) return narrow(1, op64, Type.I32, x, y);
  const top = int(32 - width);
  return narrow(1, op32, Type.I32, shl32(wrap(x), top), shl32(wrap(y), top));
}
