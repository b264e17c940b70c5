// The compiling domain, as a spike that is kept: meanings emit WebAssembly. Registers and flags lie
// in locals while the function runs. Flags are computed eagerly, for the engine drops what nobody
// reads. Whatever is rare (faults, #DE, memory outside the window) goes to the interpreter, with
// the state as it was at the start of the instruction.

import {
  type Division,
  type Domain,
  effectsOf,
  Flag,
  Gpr,
  type Instruction,
  type Operand,
  type RaisedVector,
  type SystemFunction,
  type Wide,
  type Width,
} from '../../src/isa/index.ts';
import { FunctionBody, Op, Type } from '../support/wasm-module.ts';
import { WasmFrame, type WasmLayout } from './wasm-frame.ts';
import {
  type Arithmetic,
  type B,
  constant,
  highProduct,
  highProductSigned,
  mask,
  quotient,
  quotientSigned,
  toBigInt,
  type V,
} from './wasm-values.ts';

/** Thrown when an instruction cannot be compiled, for it calls into the processor. */
export class Declined {}

const NO_OPERAND: Operand = { kind: 'relative', displacement: 0 };

/**
 * Compile instructions that follow each other in memory, from `start` on. A jump to `start` loops
 * inside the function, any other leaves it. The function returns the RIP to continue at: where it
 * left, or the start of an instruction that it leaves to the interpreter.
 */
export function compile(
  instructions: readonly Instruction[],
  start: bigint,
  layout: WasmLayout,
): FunctionBody {
  const body = new FunctionBody();
  const frame = new WasmFrame(body, start, layout);
  const domain = new WasmDomain(frame);
  frame.enter();
  for (const instruction of instructions) domain.compile(instruction);
  frame.leave();
  return body;
}

class WasmDomain implements Domain<V, B>, Arithmetic {
  readonly stackWidth: Width = 64;
  instruction!: Instruction;
  private readonly frame: WasmFrame;
  private readonly body: FunctionBody;
  private readonly unfinished: number;
  private readonly values: LocalPool;
  private readonly truths: LocalPool;

  constructor(frame: WasmFrame) {
    const { body } = frame;
    this.frame = frame;
    this.body = body;
    this.unfinished = body.local(Type.I32);
    this.values = new LocalPool(body, Type.I64);
    this.truths = new LocalPool(body, Type.I32);
  }

  compile(instruction: Instruction): void {
    const { body, frame } = this;
    const effects = effectsOf(instruction);
    const jumps = effects.jumps !== 'never';
    const movesRsp = effects.registersWritten.some((register) => register.number === Gpr.RSP);
    this.instruction = instruction;
    this.values.reuse();
    this.truths.reuse();
    frame.begin(instruction.lengthBytes, movesRsp, jumps);
    const again = effects.repeats ? body.open(Op.loop) : null;
    if (again !== null) {
      body.i32(0);
      body.set(this.unfinished);
    }
    const [first = NO_OPERAND, second = NO_OPERAND, third = NO_OPERAND] = instruction.operands;
    instruction.row.meaning(this, first, second, third);
    if (again !== null) {
      body.get(this.unfinished);
      frame.branchIf(again);
      body.close();
    }
    if (jumps) frame.followJump();
  }

  giveUpIf(condition: B): void {
    this.pushTruth(condition);
    this.body.open(Op.if);
    this.frame.giveUp();
    this.body.close();
  }

  // From values to the stack and back

  private push(x: V): void {
    if (x.kind === 'constant') this.body.i64(x.value);
    else this.body.get(x.local);
  }

  private pushTruth(x: B): void {
    if (x.kind === 'constant') this.body.i32(x.value ? 1 : 0);
    else this.body.get(x.local);
  }

  /** The i64 on the stack cut to `width`. */
  private take(width: Width): V {
    if (width !== 64) {
      this.body.i64(mask(width));
      this.body.op(Op.i64And);
    }
    return { kind: 'local', local: this.values.take() };
  }

  private takeTruth(): B {
    return { kind: 'local', local: this.truths.take() };
  }

  private unary(width: Width, op: number, x: V): V {
    this.push(x);
    this.body.op(op);
    return this.take(width);
  }

  binary(width: Width, op: number, x: V, y: V): V {
    this.push(x);
    this.push(y);
    this.body.op(op);
    return this.take(width);
  }

  compared(op: number, x: V, y: V): B {
    this.push(x);
    this.push(y);
    this.body.op(op);
    return this.takeTruth();
  }

  private combined(op: number, x: B, y: B): B {
    this.pushTruth(x);
    this.pushTruth(y);
    this.body.op(op);
    return this.takeTruth();
  }

  // Values

  constant(width: Width, value: number): V {
    return constant(width, BigInt(value));
  }

  add(width: Width, x: V, y: V): V {
    return this.binary(width, Op.i64Add, x, y);
  }

  sub(width: Width, x: V, y: V): V {
    if (x.kind === 'constant' && y.kind === 'constant') return constant(width, x.value - y.value);
    return this.binary(width, Op.i64Sub, x, y);
  }

  multiply(width: Width, x: V, y: V): V {
    return this.binary(width, Op.i64Mul, x, y);
  }

  multiplyHigh(width: Width, x: V, y: V): V {
    return highProduct(this, width, x, y);
  }

  multiplyHighSigned(width: Width, x: V, y: V): V {
    return highProductSigned(this, width, x, y);
  }

  divide(width: Width, high: V, low: V, divisor: V): Division<V> {
    return quotient(this, width, high, low, divisor);
  }

  divideSigned(width: Width, high: V, low: V, divisor: V): Division<V> {
    return quotientSigned(this, width, high, low, divisor);
  }

  and(x: V, y: V): V {
    if (x.kind === 'constant' && y.kind === 'constant') return constant(64, x.value & y.value);
    return this.binary(64, Op.i64And, x, y);
  }

  or(x: V, y: V): V {
    return this.binary(64, Op.i64Or, x, y);
  }

  xor(x: V, y: V): V {
    return this.binary(64, Op.i64Xor, x, y);
  }

  not(width: Width, x: V): V {
    return this.binary(width, Op.i64Xor, x, constant(64, -1n));
  }

  shiftLeft(width: Width, x: V, count: V): V {
    return this.shifted(width, Op.i64Shl, x, count, width);
  }

  shiftRight(x: V, count: V): V {
    return this.shifted(64, Op.i64ShrU, x, count, 64);
  }

  /** WebAssembly takes counts modulo 64; here one of `limit` or more gives 0. */
  private shifted(width: Width, op: number, x: V, count: V, limit: number): V {
    const zero = constant(64, 0n);
    if (count.kind === 'constant' && count.value >= limit) return zero;
    const result = this.binary(width, op, x, count);
    if (count.kind === 'constant') return result;
    return this.select(this.lessUnsigned(count, this.constant(8, limit)), result, zero);
  }

  shiftRightSigned(width: Width, x: V, count: V): V {
    const most = this.constant(8, 63);
    const least = this.select(this.lessUnsigned(count, most), count, most);
    return this.binary(width, Op.i64ShrS, this.signExtend(width, 64, x), least);
  }

  signExtend(from: Width, to: Width, x: V): V {
    if (from === 64) return this.truncate(to, x);
    const extend = { 8: Op.i64Extend8S, 16: Op.i64Extend16S, 32: Op.i64Extend32S };
    return this.unary(to, extend[from], x);
  }

  truncate(width: Width, x: V): V {
    if (x.kind === 'constant') return constant(width, x.value);
    return width === 64 ? x : this.binary(64, Op.i64And, x, constant(64, mask(width)));
  }

  lowestBit(x: V): V {
    return this.unary(64, Op.i64Ctz, x);
  }

  highestBit(x: V): V {
    return this.binary(64, Op.i64Sub, this.constant(8, 63), this.unary(64, Op.i64Clz, x));
  }

  countOnes(x: V): V {
    return this.unary(64, Op.i64Popcnt, x);
  }

  select(condition: B, whenTrue: V, whenFalse: V): V {
    if (condition.kind === 'constant') return condition.value ? whenTrue : whenFalse;
    this.push(whenTrue);
    this.push(whenFalse);
    this.pushTruth(condition);
    this.body.op(Op.select);
    return this.take(64);
  }

  fromCondition(condition: B): V {
    this.pushTruth(condition);
    this.body.op(Op.i64ExtendI32U);
    return this.take(64);
  }

  // Truth values

  isZero(x: V): B {
    if (x.kind === 'constant') return { kind: 'constant', value: x.value === 0n };
    this.push(x);
    this.body.op(Op.i64Eqz);
    return this.takeTruth();
  }

  equal(x: V, y: V): B {
    return this.compared(Op.i64Eq, x, y);
  }

  lessUnsigned(x: V, y: V): B {
    if (x.kind !== 'constant' || y.kind !== 'constant') return this.compared(Op.i64LtU, x, y);
    return { kind: 'constant', value: x.value < y.value };
  }

  bit(x: V, index: number): B {
    this.push(x);
    this.body.i64(BigInt(index));
    this.body.op(Op.i64ShrU, Op.i32WrapI64);
    this.body.i32(1);
    this.body.op(Op.i32And);
    return this.takeTruth();
  }

  negate(x: B): B {
    if (x.kind === 'constant') return { kind: 'constant', value: !x.value };
    this.pushTruth(x);
    this.body.op(Op.i32Eqz);
    return this.takeTruth();
  }

  both(x: B, y: B): B {
    return this.combined(Op.i32And, x, y);
  }

  either(x: B, y: B): B {
    return this.combined(Op.i32Or, x, y);
  }

  differ(x: B, y: B): B {
    return this.combined(Op.i32Xor, x, y);
  }

  // Flags

  /** A copy, for the flag may be written while the value is still in use. */
  flag(name: Flag): B {
    this.body.get(this.frame.flag(name));
    return this.takeTruth();
  }

  setFlag(name: Flag, value: B): void {
    this.pushTruth(value);
    this.body.set(this.frame.flag(name));
  }

  flagsOfAdd(width: Width, x: V, y: V, sum: V): void {
    const carries = this.or(this.and(x, y), this.and(this.or(x, y), this.not(64, sum)));
    const overflows = this.and(this.xor(x, sum), this.xor(y, sum));
    this.setStatus(width, x, y, sum, carries, overflows);
  }

  flagsOfSub(width: Width, x: V, y: V, difference: V): void {
    const notX = this.not(64, x);
    const borrows = this.or(this.and(notX, y), this.and(this.or(notX, y), difference));
    const overflows = this.and(this.xor(x, y), this.xor(x, difference));
    this.setStatus(width, x, y, difference, borrows, overflows);
  }

  /** CF and OF are the top bits of `carries` and `overflows`. */
  private setStatus(width: Width, x: V, y: V, result: V, carries: V, overflows: V): void {
    this.setFlag(Flag.CF, this.bit(carries, width - 1));
    this.setFlag(Flag.OF, this.bit(overflows, width - 1));
    this.setFlag(Flag.AF, this.bit(this.xor(this.xor(x, y), result), 4));
    this.setResultFlags(width, result);
  }

  flagsOfLogic(width: Width, result: V): void {
    const clear: B = { kind: 'constant', value: false };
    for (const flag of [Flag.CF, Flag.OF, Flag.AF]) this.setFlag(flag, clear);
    this.setResultFlags(width, result);
  }

  private setResultFlags(width: Width, result: V): void {
    this.setFlag(Flag.ZF, this.isZero(result));
    this.setFlag(Flag.SF, this.bit(result, width - 1));
    const ones = this.countOnes(this.truncate(8, result));
    this.setFlag(Flag.PF, this.negate(this.bit(ones, 0)));
  }

  condition(code: number): B {
    const less = () => this.differ(this.flag(Flag.SF), this.flag(Flag.OF));
    const positive = [
      () => this.flag(Flag.OF),
      () => this.flag(Flag.CF),
      () => this.flag(Flag.ZF),
      () => this.either(this.flag(Flag.CF), this.flag(Flag.ZF)),
      () => this.flag(Flag.SF),
      () => this.flag(Flag.PF),
      less,
      () => this.either(less(), this.flag(Flag.ZF)),
    ];
    const holds = (positive[code >> 1] as () => B)();
    return (code & 1) === 0 ? holds : this.negate(holds);
  }

  // Operands and registers

  read(operand: Operand): V {
    switch (operand.kind) {
      case 'register':
        if (!operand.high) return this.register(operand.width as Width, operand.number);
        return this.truncate(8, this.shiftRight(this.register(16, operand.number), EIGHT));
      case 'immediate':
        return constant(operand.width, toBigInt(operand.value));
      case 'memory':
        return this.load(operand.width as Width, operand.segment, this.address(operand));
      case 'relative':
        return constant(64, this.frame.next + BigInt(operand.displacement));
      case 'pointer':
        throw new TypeError('a pointer is read in parts');
    }
  }

  modify(operand: Operand): V {
    return this.read(operand);
  }

  write(operand: Operand, value: V): void {
    if (operand.kind === 'memory') {
      this.store(operand.width as Width, operand.segment, this.address(operand), value);
    } else if (operand.kind !== 'register') {
      throw new TypeError(`cannot write to a ${operand.kind} operand`);
    } else if (operand.high) this.setPart(operand.number, 8, 8, value);
    else this.setRegister(operand.width as Width, operand.number, value);
  }

  address(operand: Operand): V {
    if (operand.kind !== 'memory') throw new TypeError(`a ${operand.kind} operand has no address`);
    const from = operand.ripRelative ? this.frame.next : 0n;
    let sum = constant(64, from + toBigInt(operand.displacement));
    if (operand.base >= 0) sum = this.add(64, this.register(64, operand.base), sum);
    if (operand.index >= 0) {
      const scale = this.constant(8, operand.scale);
      sum = this.add(64, sum, this.shiftLeft(64, this.register(64, operand.index), scale));
    }
    return this.truncate(operand.addressWidth as Width, sum);
  }

  register(width: Width, of: number): V {
    this.body.get(this.frame.register(of));
    return this.take(width);
  }

  setRegister(width: Width, of: number, value: V): void {
    if (width < 32) {
      this.setPart(of, 0, width, value);
      return;
    }
    this.push(this.truncate(width, value));
    this.body.set(this.frame.register(of));
  }

  /** Replace `width` bits from bit `at` on. */
  private setPart(of: number, at: number, width: Width, value: V): void {
    const kept = this.and(this.register(64, of), constant(64, ~(mask(width) << BigInt(at))));
    const part = this.shiftLeft(64, this.truncate(width, value), this.constant(8, at));
    this.push(this.or(kept, part));
    this.body.set(this.frame.register(of));
  }

  // SSE is left to the interpreter

  xmm(): V {
    throw new Declined();
  }

  setXmm(): void {
    throw new Declined();
  }

  lanes(): V {
    throw new Declined();
  }

  float(): V {
    throw new Declined();
  }

  settleFloats(): void {
    throw new Declined();
  }

  loadWide(): Wide<V> {
    throw new Declined();
  }

  storeWide(): void {
    throw new Declined();
  }

  // Memory

  load(width: Width, segment: number, offset: V): V {
    this.pushLocation(width, segment, offset);
    this.body.memory(LOADS[width], this.frame.layout.windowHpa);
    return this.take(64);
  }

  loadForWrite(width: Width, segment: number, offset: V): V {
    return this.load(width, segment, offset);
  }

  store(width: Width, segment: number, offset: V, value: V): void {
    this.pushLocation(width, segment, offset);
    this.push(value);
    this.body.memory(STORES[width], this.frame.layout.windowHpa);
  }

  /** Offset in the window; addresses outside go to the interpreter. */
  private pushLocation(width: Width, segment: number, offset: V): void {
    const { body } = this;
    const { layout } = this.frame;
    const linear = this.linear(segment, offset);
    const within = this.sub(64, linear, constant(64, layout.windowLinear));
    const last = constant(64, BigInt(layout.windowBytes - width / 8));
    this.giveUpIf(this.compared(Op.i64GtU, within, last));
    this.push(within);
    body.op(Op.i32WrapI64);
  }

  private linear(segment: number, offset: V): V {
    const { layout } = this.frame;
    const baseOffset = layout.baseOffsets.get(segment);
    if (baseOffset === undefined) return offset;
    this.body.i32(layout.stateHpa);
    this.body.memory(Op.i64Load, baseOffset);
    return this.add(64, this.take(64), offset);
  }

  align(operand: Operand, bytes: number): void {
    if (operand.kind !== 'memory') throw new TypeError('only memory can be aligned');
    const linear = this.linear(operand.segment, this.address(operand));
    const rest = this.and(linear, constant(64, BigInt(bytes - 1)));
    this.giveUpIf(this.negate(this.isZero(rest)));
  }

  // Control

  when(condition: B, then: () => void, otherwise?: () => void): void {
    const { body } = this;
    if (condition.kind === 'constant') {
      if (condition.value) then();
      else otherwise?.();
      return;
    }
    this.pushTruth(condition);
    body.open(Op.if);
    then();
    if (otherwise !== undefined) {
      body.op(Op.else);
      otherwise();
    }
    body.close();
  }

  next(): V {
    return constant(64, this.frame.next);
  }

  jump(target: V): void {
    if (target.kind === 'local') {
      const canonical = this.binary(64, Op.i64Shl, target, SIXTEEN);
      const same = this.compared(Op.i64Ne, this.shiftRightSigned(64, canonical, SIXTEEN), target);
      this.giveUpIf(same);
    }
    this.push(target);
    this.frame.setTarget();
  }

  again(): void {
    this.body.i32(1);
    this.body.set(this.unfinished);
  }

  raise(_vector: RaisedVector): void {
    this.frame.giveUp();
  }

  call(_name: SystemFunction): V {
    throw new Declined();
  }
}

/** Locals of one type, handed out anew for each instruction. */
class LocalPool {
  private readonly body: FunctionBody;
  private readonly type: number;
  private readonly locals: number[] = [];
  private used = 0;

  constructor(body: FunctionBody, type: number) {
    this.body = body;
    this.type = type;
  }

  reuse(): void {
    this.used = 0;
  }

  /** Set the next local to what is on the stack. */
  take(): number {
    this.locals[this.used] ??= this.body.local(this.type);
    const local = this.locals[this.used++];
    this.body.set(local);
    return local;
  }
}

const EIGHT = constant(8, 8n);
const SIXTEEN = constant(8, 16n);

const LOADS = { 8: Op.i64Load8U, 16: Op.i64Load16U, 32: Op.i64Load32U, 64: Op.i64Load } as const;
const STORES = { 8: Op.i64Store8, 16: Op.i64Store16, 32: Op.i64Store32, 64: Op.i64Store } as const;
