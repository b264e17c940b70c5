// Values, truth values and flags of the compiling domain: nodes of a graph, and records that flags
// follow from.

import { type Division, Flag, type Width } from '../../isa/index.ts';
import { Word } from '../state.ts';
import {
  highProduct,
  highProductSigned,
  quotient,
  quotientSigned,
  signExtend,
} from './arithmetic.ts';
import { BlockState } from './block-state.ts';
import { FlagRecord, RecordKind } from './flag-record.ts';
import { Op, Type } from './module.ts';
import {
  and32,
  and64,
  bit,
  choose,
  cut,
  difference,
  equal,
  extend,
  int,
  isZero,
  lessUnsigned,
  long,
  mul32,
  mul64,
  type Node,
  narrow,
  not,
  or32,
  or64,
  plain,
  shl32,
  shl64,
  shr32,
  shr64,
  sub64,
  sum,
  TRUE,
  wrap,
  xor32,
  xor64,
  ZERO,
} from './nodes.ts';

export class BlockValues extends BlockState {
  constant(width: Width, value: number): Node {
    return long(BigInt.asUintN(width, BigInt(value)));
  }

  add(width: Width, x: Node, y: Node): Node {
    const result = sum(width, x, y);
    this.operations.set(result, { kind: RecordKind.ADD, x, y });
    return result;
  }

  sub(width: Width, x: Node, y: Node): Node {
    const result = difference(width, x, y);
    this.operations.set(result, { kind: RecordKind.SUB, x, y });
    return result;
  }

  multiply(width: Width, x: Node, y: Node): Node {
    if (width === 64) return mul64(x, y);
    return cut(width, extend(mul32(wrap(x), wrap(y))));
  }

  multiplyHigh(width: Width, x: Node, y: Node): Node {
    return highProduct(width, x, y);
  }

  multiplyHighSigned(width: Width, x: Node, y: Node): Node {
    return highProductSigned(width, x, y);
  }

  divide(width: Width, high: Node, low: Node, divisor: Node): Division<Node> {
    return quotient(width, [high, low, divisor], this.giveUpIf);
  }

  divideSigned(width: Width, high: Node, low: Node, divisor: Node): Division<Node> {
    return quotientSigned(width, [high, low, divisor], this.giveUpIf);
  }

  and = and64;
  or = or64;
  xor = xor64;

  not(width: Width, x: Node): Node {
    return cut(width, xor64(x, this.constant(width, -1)));
  }

  shiftLeft(width: Width, x: Node, count: Node): Node {
    if (width === 64) return bounded(64, count, (n) => shl64(x, n));
    return bounded(32, count, (n) => cut(width, extend(shl32(wrap(x), wrap(n)))));
  }

  shiftRight(x: Node, count: Node): Node {
    if (x.bits > 32) return bounded(64, count, (n) => shr64(x, n));
    return bounded(32, count, (n) => extend(shr32(wrap(x), wrap(n))));
  }

  shiftRightSigned(width: Width, x: Node, count: Node): Node {
    const most = long(width === 64 ? 63n : 31n);
    const isSmall = 2n ** BigInt(count.bits) <= most.value + 1n;
    const least = isSmall ? count : choose(lessUnsigned(count, most), count, most);
    if (width === 64) return plain(Op.i64ShrS, Type.I64, x, least);
    const shifted = plain(Op.i32ShrS, Type.I32, wrap(signExtend(width, 32, x)), wrap(least));
    return cut(width, extend(shifted));
  }

  signExtend = signExtend;

  truncate = cut;

  lowestBit(x: Node): Node {
    return narrow(7, Op.i64Ctz, Type.I64, x);
  }

  highestBit(x: Node): Node {
    return sub64(long(63n), narrow(7, Op.i64Clz, Type.I64, x));
  }

  countOnes(x: Node): Node {
    return narrow(7, Op.i64Popcnt, Type.I64, x);
  }

  select = choose;

  fromCondition = extend;

  // Truth values

  isZero = isZero;
  equal = equal;
  lessUnsigned = lessUnsigned;
  bit = bit;
  negate = not;
  both = and32;
  either = or32;
  differ = xor32;

  // Flags

  flag(name: Flag): Node {
    if (name !== Flag.DF) return this.flags.flag(name);
    return and32(shr32(this.stateWord(Word.RFLAGS), int(name)), TRUE);
  }

  setFlag(name: Flag, value: Node): void {
    if (name !== Flag.DF) {
      this.flags = this.flags.with(name, value);
      return;
    }
    const others = and32(this.stateWord(Word.RFLAGS), int(~(1 << name)));
    const changed = or32(others, shl32(value, int(name)));
    this.effects.push({ kind: 'storeState', offset: 4 * Word.RFLAGS, value: changed });
  }

  flagsOfAdd(width: Width, x: Node, y: Node, sum: Node): void {
    const isPlain = this.isFrom(sum, RecordKind.ADD, x, y);
    this.flags = new FlagRecord({ kind: RecordKind.ADD, width, x, y, r: sum, isPlain });
  }

  flagsOfSub(width: Width, x: Node, y: Node, difference: Node): void {
    const isPlain = this.isFrom(difference, RecordKind.SUB, x, y);
    this.flags = new FlagRecord({ kind: RecordKind.SUB, width, x, y, r: difference, isPlain });
  }

  private isFrom(value: Node, kind: number, x: Node, y: Node): boolean {
    const operation = this.operations.get(value);
    return operation?.kind === kind && operation.x === x && operation.y === y;
  }

  flagsOfLogic(width: Width, r: Node): void {
    const kind = RecordKind.LOGIC;
    this.flags = new FlagRecord({ kind, width, x: ZERO, y: ZERO, r, isPlain: true });
  }

  condition(code: number): Node {
    return this.flags.condition(code);
  }
}

/** A shift by a count that is below 2 to the power of its bits; by more than the width it gives 0. */
function bounded(width: number, count: Node, shift: (count: Node) => Node): Node {
  if (count.isConstant) return count.value >= BigInt(width) ? ZERO : shift(count);
  const shifted = shift(count);
  if (2 ** count.bits <= width) return shifted;
  return choose(lessUnsigned(count, long(BigInt(width))), shifted, ZERO);
}
