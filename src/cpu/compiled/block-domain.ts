// The compiling domain: an instruction's meaning, asked for here, adds to the values and effects of
// a block. Registers and flags are values from its start on; nothing is emitted yet.

import type Long from 'long';
import {
  type Division,
  type Domain,
  Flag,
  type Instruction,
  type Operand,
  type RaisedVector,
  Segment,
  type SystemFunction,
  type Wide,
  type Width,
} from '../../isa/index.ts';
import { SEGMENT_WORDS, Word } from '../state.ts';
import { Access, type AccessKind } from '../virtualization.ts';
import {
  highProduct,
  highProductSigned,
  quotient,
  quotientSigned,
  signExtend,
} from './arithmetic.ts';
import type { Effect, Exit } from './effects.ts';
import { FlagRecord, RecordKind } from './flag-record.ts';
import { LOCALS } from './locals.ts';
import { Op, Type } from './module.ts';
import {
  add64,
  and32,
  and64,
  bit,
  choose,
  cut,
  difference,
  equal,
  extend,
  FALSE,
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
  result,
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

/** Thrown when an instruction cannot be compiled; says why. */
export class Declined {
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

const GENERAL_REGISTERS = 16;
const NO_OPERAND: Operand = { kind: 'relative', displacement: 0 };
const FS_BASE = 4 * SEGMENT_WORDS[Segment.FS].base;
const GS_BASE = 4 * SEGMENT_WORDS[Segment.GS].base;
const RFLAGS = 4 * Word.RFLAGS;

/** Where bytes were found for the instruction, so that what it modifies is looked up once. */
interface Located {
  readonly linear: Node;
  readonly access: AccessKind;
  readonly bytes: number;
  readonly hpa: Node;
}

export class BlockDomain implements Domain<Node, Node> {
  readonly stackWidth: Width = 64;
  instruction!: Instruction;
  registers: Node[] = LOCALS.slice(0, GENERAL_REGISTERS);
  flags: FlagRecord = FlagRecord.INCOMING;
  effects: Effect[] = [];
  /** RIP after the instruction. */
  continuation: Node = ZERO;
  /** The instruction is to be executed again (REP). */
  repeats: Node = FALSE;
  /** The meaning asked where the next instruction is: it is a call. */
  askedNext = false;
  private readonly start: bigint;
  private following = ZERO;
  private at = { offset: 0, cycles: 0, instructions: 0 };
  private initial = { registers: this.registers, flags: this.flags } as Pick<
    Exit,
    'registers' | 'flags'
  >;
  private exit: Exit | null = null;
  private depth = 0;
  private hasStored = false;
  private located: Located[] = [];
  private addresses: { operand: Operand; base: Node; index: Node; address: Node }[] = [];
  private readonly operations = new Map<Node, { kind: number; x: Node; y: Node }>();

  /** @param start linear address of the block */
  constructor(start: bigint) {
    this.start = start;
    this.continuation = long(start);
  }

  /**
   * Add an instruction at an offset from the start of the block, before which the block has taken
   * so many cycles and instructions. Throws {@link Declined}, and then leaves the block as it was.
   */
  append(instruction: Instruction, at: Pick<Exit, 'offset' | 'cycles' | 'instructions'>): void {
    const { registers, flags, effects } = this;
    this.instruction = instruction;
    this.at = at;
    this.registers = [...registers];
    this.effects = [];
    this.exit = null;
    this.initial = { registers, flags };
    this.hasStored = false;
    this.askedNext = false;
    this.repeats = FALSE;
    this.located = [];
    this.addresses = [];
    this.operations.clear();
    this.following = long(this.start + BigInt(at.offset + instruction.lengthBytes));
    this.continuation = this.following;
    const [first = NO_OPERAND, second = NO_OPERAND, third = NO_OPERAND] = instruction.operands;
    try {
      instruction.row.meaning(this, first, second, third);
      const here = long(this.start + BigInt(at.offset));
      this.continuation = choose(this.repeats, here, this.continuation);
      effects.push(...this.effects);
    } catch (thrown) {
      this.registers = registers;
      this.flags = flags;
      this.continuation = long(this.start + BigInt(at.offset));
      throw thrown;
    } finally {
      this.effects = effects;
    }
  }

  /** The instruction that was appended last may go on elsewhere. */
  get hasJumped(): boolean {
    return this.continuation !== this.following;
  }

  /** The state at the start of the instruction. */
  private get wayOut(): Exit {
    this.exit ??= { ...this.initial, ...this.at };
    return this.exit;
  }

  private readonly giveUpIf = (condition: Node): void => {
    if (condition.isConstant && condition.value === 0n) return;
    if (condition.isConstant && this.depth === 0) throw new Declined('always faults');
    // Executing it again from its start would store again what it has modified.
    if (this.hasStored) throw new Declined('may fault after a store');
    this.effects.push({ kind: 'guard', condition, exit: this.wayOut });
  };

  // Values

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
    const word = result(Type.I32, 32);
    this.effects.push({ kind: 'loadState', offset: RFLAGS, result: word });
    return and32(shr32(word, int(name)), TRUE);
  }

  setFlag(name: Flag, value: Node): void {
    if (name !== Flag.DF) {
      this.flags = this.flags.with(name, value);
      return;
    }
    const word = result(Type.I32, 32);
    this.effects.push({ kind: 'loadState', offset: RFLAGS, result: word });
    const others = and32(word, int(~(1 << name)));
    const changed = or32(others, shl32(value, int(name)));
    this.effects.push({ kind: 'storeState', offset: RFLAGS, value: changed });
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

  // Operands and registers

  read(operand: Operand): Node {
    switch (operand.kind) {
      case 'register':
        if (!operand.high) return this.register(operand.width as Width, operand.number);
        return extend(and32(shr32(wrap(this.registers[operand.number]), int(8)), int(255)));
      case 'immediate':
        return cut(operand.width, long(toBigInt(operand.value)));
      case 'memory':
        return this.load(operand.width as Width, operand.segment, this.address(operand));
      case 'relative':
        return add64(this.following, long(BigInt(operand.displacement)));
      case 'pointer':
        throw new TypeError('a pointer is read in parts');
    }
  }

  modify(operand: Operand): Node {
    if (operand.kind !== 'memory') return this.read(operand);
    return this.loadForWrite(operand.width as Width, operand.segment, this.address(operand));
  }

  write(operand: Operand, value: Node): void {
    if (operand.kind === 'memory') {
      this.store(operand.width as Width, operand.segment, this.address(operand), value);
    } else if (operand.kind !== 'register') {
      throw new TypeError(`cannot write to a ${operand.kind} operand`);
    } else if (operand.high) this.setPart(operand.number, 8, 8, value);
    else this.setRegister(operand.width as Width, operand.number, value);
  }

  address(operand: Operand): Node {
    if (operand.kind !== 'memory') throw new TypeError(`a ${operand.kind} operand has no address`);
    const base = operand.base < 0 ? ZERO : this.registers[operand.base];
    const index = operand.index < 0 ? ZERO : this.registers[operand.index];
    const known = this.addresses.find(
      (other) => other.operand === operand && other.base === base && other.index === index,
    );
    if (known !== undefined) return known.address;
    const scaled = shl64(index, long(BigInt(operand.scale)));
    const from = operand.ripRelative ? this.following : base;
    const sum = add64(add64(from, scaled), long(toBigInt(operand.displacement)));
    const address = cut(operand.addressWidth, sum);
    this.addresses.push({ operand, base, index, address });
    return address;
  }

  register(width: Width, number: number): Node {
    return cut(width, this.registers[number]);
  }

  setRegister(width: Width, number: number, value: Node): void {
    if (width < 32) this.setPart(number, 0, width, value);
    else this.registers[number] = cut(width, value);
  }

  /** Replace `width` bits from bit `at` on. */
  private setPart(number: number, at: number, width: Width, value: Node): void {
    const mask = (1n << BigInt(width)) - 1n;
    const kept = and64(this.registers[number], long(~(mask << BigInt(at))));
    this.registers[number] = or64(kept, shl64(cut(width, value), long(BigInt(at))));
  }

  // XMM registers: not compiled

  xmm(): Node {
    throw new Declined('XMM');
  }

  setXmm(): void {
    throw new Declined('XMM');
  }

  lanes(): Node {
    throw new Declined('XMM');
  }

  float(): Node {
    throw new Declined('floating point');
  }

  settleFloats(): void {
    throw new Declined('floating point');
  }

  loadWide(): Wide<Node> {
    throw new Declined('XMM');
  }

  storeWide(): void {
    throw new Declined('XMM');
  }

  // Memory

  load(width: Width, segment: number, offset: Node): Node {
    return this.loadAs(Access.READ, width, segment, offset);
  }

  loadForWrite(width: Width, segment: number, offset: Node): Node {
    return this.loadAs(Access.WRITE, width, segment, offset);
  }

  private loadAs(access: AccessKind, width: Width, segment: number, offset: Node): Node {
    const hpa = this.locate(access, width, segment, offset);
    const loaded = result(Type.I64, width);
    this.effects.push({ kind: 'load', hpa, width, result: loaded });
    return loaded;
  }

  store(width: Width, segment: number, offset: Node, value: Node): void {
    const hpa = this.locate(Access.WRITE, width, segment, offset);
    this.effects.push({ kind: 'store', hpa, width, value });
    this.hasStored = true;
  }

  private locate(access: AccessKind, width: Width, segment: number, offset: Node): Node {
    const bytes = width / 8;
    const linear = this.linear(segment, offset);
    const found = this.located.find(
      (other) => other.linear === linear && other.access === access && other.bytes === bytes,
    );
    if (found !== undefined) return found.hpa;
    if (this.hasStored) throw new Declined('may fault after a store');
    const hpa = result(Type.I32, 32);
    this.effects.push({ kind: 'locate', linear, bytes, access, result: hpa, exit: this.wayOut });
    this.located.push({ linear, access, bytes, hpa });
    return hpa;
  }

  /** In 64-bit mode only FS and GS have a base. */
  private linear(segment: number, offset: Node): Node {
    if (segment < Segment.FS) return offset;
    const known = this.addresses.find(
      ({ operand, base }) => operand === NO_OPERAND && base === offset,
    );
    if (known !== undefined) return known.address;
    const base = result(Type.I64, 64);
    const from = segment === Segment.FS ? FS_BASE : GS_BASE;
    this.effects.push({ kind: 'loadState', offset: from, result: base });
    const address = add64(base, offset);
    this.addresses.push({ operand: NO_OPERAND, base: offset, index: ZERO, address });
    return address;
  }

  align(operand: Operand, bytes: number): void {
    if (operand.kind !== 'memory') throw new TypeError('only memory can be aligned');
    const linear = this.linear(operand.segment, this.address(operand));
    this.giveUpIf(not(isZero(and64(linear, long(BigInt(bytes - 1))))));
  }

  // Control

  /**
   * Both arms are gone through; what they leave differently is chosen by the condition. Only if
   * they do something beside computing is there a branch.
   */
  when(condition: Node, then: () => void, otherwise: () => void = () => {}): void {
    if (condition.isConstant) {
      if (condition.value !== 0n) then();
      else otherwise();
      return;
    }
    const outer = this.effects;
    const { registers, flags, continuation, located, addresses, hasStored } = this;
    if (this.repeats !== FALSE) throw new Declined('goes on after repeating');
    const arm = (work: () => void) => {
      this.effects = [];
      this.registers = [...registers];
      this.flags = flags;
      this.continuation = continuation;
      this.repeats = FALSE;
      this.located = [...located];
      this.addresses = [...addresses];
      this.hasStored = hasStored;
      this.depth++;
      work();
      this.depth--;
      return {
        effects: this.effects,
        registers: this.registers,
        flags: this.flags.packed(),
        record: this.flags,
        continuation: this.continuation,
        repeats: this.repeats,
        hasStored: this.hasStored,
      };
    };
    const a = arm(then);
    const b = arm(otherwise);
    this.effects = outer;
    this.located = located;
    this.addresses = addresses;
    this.hasStored = a.hasStored || b.hasStored;
    const branches = a.effects.length + b.effects.length > 0;
    const join = (x: Node, y: Node): Node => {
      if (x === y || !branches) return choose(condition, x, y);
      const joined = result(x.type, Math.max(x.bits, y.bits));
      a.effects.push({ kind: 'assign', result: joined, value: x });
      b.effects.push({ kind: 'assign', result: joined, value: y });
      return joined;
    };
    if (branches) {
      outer.push({ kind: 'if', condition, whenTrue: a.effects, whenFalse: b.effects });
    }
    this.registers = a.registers.map((x, number) => join(x, b.registers[number]));
    this.continuation = join(a.continuation, b.continuation);
    this.repeats = join(a.repeats, b.repeats);
    if (a.record === b.record) this.flags = a.record;
    else if (!branches) this.flags = FlagRecord.either(condition, a.record, b.record);
    else {
      this.flags = new FlagRecord({
        op: join(a.flags.op, b.flags.op),
        c: join(a.flags.c, b.flags.c),
        x: join(a.flags.x ?? ZERO, b.flags.x ?? ZERO),
        y: join(a.flags.y ?? ZERO, b.flags.y ?? ZERO),
        r: join(a.flags.r ?? ZERO, b.flags.r ?? ZERO),
      });
    }
  }

  next(): Node {
    this.askedNext = true;
    return this.following;
  }

  jump(target: Node): void {
    if (target.isConstant) {
      if (!isCanonical(target.value)) throw new Declined('jumps to a non-canonical address');
    } else {
      const extended = plain(Op.i64ShrS, Type.I64, shl64(target, long(16n)), long(16n));
      this.giveUpIf(narrow(1, Op.i64Ne, Type.I32, extended, target));
    }
    this.continuation = target;
  }

  again(): void {
    this.repeats = TRUE;
  }

  raise(_vector: RaisedVector): void {
    this.giveUpIf(TRUE);
  }

  call(name: SystemFunction): Node {
    throw new Declined(name);
  }
}

/** A shift by a count that is below 2 to the power of its bits; by more than the width it gives 0. */
function bounded(width: number, count: Node, shift: (count: Node) => Node): Node {
  if (count.isConstant) return count.value >= BigInt(width) ? ZERO : shift(count);
  const shifted = shift(count);
  if (2 ** count.bits <= width) return shifted;
  return choose(lessUnsigned(count, long(BigInt(width))), shifted, ZERO);
}

function toBigInt(value: Long): bigint {
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}

function isCanonical(address: bigint): boolean {
  return BigInt.asUintN(64, BigInt.asIntN(48, address)) === address;
}
