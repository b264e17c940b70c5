// The recording domain behind {@link effectsOf}. Both branches of `when` are taken, unless the
// encoding fixes the condition (a shift by an immediate). Reading is noted when a value is put to
// use, not when it is asked for: INC looks at CF only to leave it alone.

import Long from 'long';
import type { Division, Domain, RaisedVector, SystemFunction, Wide } from './domain.ts';
import { Flag } from './domain.ts';
import type { Effects, MemoryEffect, RegisterBytes } from './effects.ts';
import type { Instruction, Operand } from './instruction.ts';
import type { MemoryWidth, Width } from './registers.ts';
import {
  addScaled,
  bytesOf,
  constant,
  constantOf,
  constantTruth,
  FLAGS,
  fork,
  type Inputs,
  incoming,
  incomingLane,
  isSame,
  join,
  MXCSR,
  NEXT,
  NO_INPUTS,
  opaque,
  type SymbolicPath,
  type SymbolicTruth,
  type SymbolicValue,
  truncated,
  truth,
  UNTOUCHED,
  union,
  XMM,
} from './symbolic.ts';
import { SYSTEM_EFFECTS } from './system-effects.ts';
import type { FloatFunction, LaneFunction } from './vector-functions.ts';

const STATUS =
  (1 << Flag.CF) |
  (1 << Flag.PF) |
  (1 << Flag.AF) |
  (1 << Flag.ZF) |
  (1 << Flag.SF) |
  (1 << Flag.OF);

/** Flags that the condition codes look at, by code / 2. */
const CONDITION_FLAGS: readonly (readonly Flag[])[] = [
  [Flag.OF],
  [Flag.CF],
  [Flag.ZF],
  [Flag.CF, Flag.ZF],
  [Flag.SF],
  [Flag.PF],
  [Flag.SF, Flag.OF],
  [Flag.SF, Flag.OF, Flag.ZF],
];

/** Bits of MXCSR: masks, rounding and the treatment of denormals; and what exceptions set. */
const MXCSR_CONTROL = 0xffc0;
const MXCSR_FLAGS = 0x3f;

/** An access, with its address as a value to compare others with. */
interface Access {
  readonly effect: MemoryEffect;
  readonly offset: SymbolicValue;
}

type V = SymbolicValue;
type B = SymbolicTruth;

export class Recorder implements Domain<V, B> {
  readonly instruction: Instruction;
  readonly stackWidth: Width;
  private path: SymbolicPath = fork(UNTOUCHED);
  private reads: Inputs = NO_INPUTS;
  private readonly accesses: Access[] = [];
  private readonly calls = new Set<SystemFunction>();
  private readonly raises = new Set<RaisedVector>();
  private mayJump = false;
  private repeats = false;
  private depth = 0;
  private readonly xmmValues = new Map<string, V>();
  /** What decides about the exceptions that are not settled yet. */
  private signals: Inputs = NO_INPUTS;

  constructor(instruction: Instruction, stackWidth: Width) {
    this.instruction = instruction;
    this.stackWidth = stackWidth;
  }

  effects(): Effects {
    const { written, touched, jumped } = this.path;
    const maybe = touched.map((mask, i) => mask & ~written[i]);
    return {
      registersRead: registerList(this.reads),
      registersWritten: registerList(written),
      registersMaybeWritten: registerList(maybe),
      flagsRead: this.reads[FLAGS],
      flagsWritten: written[FLAGS],
      flagsMaybeWritten: maybe[FLAGS],
      xmmRead: xmmList(this.reads),
      xmmWritten: xmmList(written),
      xmmMaybeWritten: xmmList(maybe),
      mxcsrRead: this.reads[MXCSR],
      mxcsrWritten: written[MXCSR],
      mxcsrMaybeWritten: maybe[MXCSR],
      memory: this.accesses.map(({ effect }) => effect),
      jumps: jumped ? 'always' : this.mayJump ? 'sometimes' : 'never',
      repeats: this.repeats,
      raises: [...this.raises],
      calls: [...this.calls],
    };
  }

  /** Inputs that make a difference to something. */
  private use(...inputs: readonly Inputs[]): void {
    for (const some of inputs) this.reads = union(this.reads, some);
  }

  private noteWritten(place: number, mask: number): void {
    this.path.written[place] = this.path.written[place] | mask;
    this.path.touched[place] = this.path.touched[place] | mask;
  }

  // Values

  constant(width: Width, value: number): V {
    return constant(width, Long.fromNumber(value));
  }

  add(width: Width, x: V, y: V): V {
    return addScaled(width, x, y, 1);
  }

  sub(width: Width, x: V, y: V): V {
    if (x === y) return constant(width, Long.ZERO);
    return addScaled(width, x, y, -1);
  }

  multiply = mix;
  multiplyHigh = mix;
  multiplyHighSigned = mix;

  divide(width: Width, high: V, low: V, divisor: V): Division<V> {
    const by = constantOf(divisor);
    if (by === null || by.isZero() || constantOf(high)?.isZero() !== true) {
      return this.divideSigned(width, high, low, divisor);
    }
    const dividend = constantOf(low);
    if (dividend === null) return { quotient: low, remainder: opaque(width, low.inputs) };
    return {
      quotient: constant(width, dividend.toUnsigned().div(by.toUnsigned())),
      remainder: constant(width, dividend.toUnsigned().mod(by.toUnsigned())),
    };
  }

  divideSigned(width: Width, high: V, low: V, divisor: V): Division<V> {
    this.raises.add('DE');
    this.use(high.inputs, low.inputs, divisor.inputs);
    const some = opaque(width, union(union(high.inputs, low.inputs), divisor.inputs));
    return { quotient: some, remainder: some };
  }

  and(x: V, y: V): V {
    const [a, b] = [constantOf(x), constantOf(y)];
    return a === null || b === null ? mix(64, x, y) : constant(64, a.and(b));
  }

  or(x: V, y: V): V {
    return mix(64, x, y);
  }

  xor(x: V, y: V): V {
    return isSame(x, y) ? constant(64, Long.ZERO) : mix(64, x, y);
  }

  not(width: Width, x: V): V {
    return opaque(width, x.inputs);
  }

  shiftLeft = mix;
  shiftRightSigned = mix;

  shiftRight(x: V, count: V): V {
    return mix(64, x, count);
  }

  signExtend(_from: Width, to: Width, x: V): V {
    return opaque(to, x.inputs);
  }

  truncate(width: Width, x: V): V {
    return truncated(width, x);
  }

  lowestBit(x: V): V {
    return opaque(8, x.inputs);
  }

  highestBit(x: V): V {
    return opaque(8, x.inputs);
  }

  countOnes(x: V): V {
    return opaque(8, x.inputs);
  }

  select(condition: B, whenTrue: V, whenFalse: V): V {
    if (condition.constant !== null) return condition.constant ? whenTrue : whenFalse;
    return opaque(64, union(condition.inputs, union(whenTrue.inputs, whenFalse.inputs)));
  }

  fromCondition(condition: B): V {
    return opaque(8, condition.inputs);
  }

  // Truth values

  isZero(x: V): B {
    const value = constantOf(x);
    return value === null ? truth(x.inputs) : constantTruth(value.isZero());
  }

  equal(x: V, y: V): B {
    return truth(union(x.inputs, y.inputs));
  }

  lessUnsigned(x: V, y: V): B {
    return truth(union(x.inputs, y.inputs));
  }

  bit(x: V, _index: number): B {
    return truth(x.inputs);
  }

  negate(x: B): B {
    return x.constant === null ? truth(x.inputs) : constantTruth(!x.constant);
  }

  both = mixTruth;
  either = mixTruth;
  differ = mixTruth;

  // Flags

  flag(name: Flag): B {
    return this.path.flags[name] ?? { ...truth(NO_INPUTS.with(FLAGS, 1 << name)), copyOf: name };
  }

  setFlag(name: Flag, value: B): void {
    const { flags, written, touched } = this.path;
    if (value.copyOf === name) {
      // As INC and DEC leave CF alone: it gets the incoming value back.
      delete flags[name];
      written[FLAGS] = written[FLAGS] & ~(1 << name);
      touched[FLAGS] = touched[FLAGS] & ~(1 << name);
      return;
    }
    this.use(value.inputs);
    flags[name] = value;
    this.noteWritten(FLAGS, 1 << name);
  }

  flagsOfAdd(_width: Width, x: V, y: V, sum: V): void {
    this.setStatus(union(x.inputs, union(y.inputs, sum.inputs)));
  }

  flagsOfSub(_width: Width, x: V, y: V, difference: V): void {
    // Equal operands cancel out, and a borrow with them decides alone.
    const operands = isSame(x, y) ? NO_INPUTS : union(x.inputs, y.inputs);
    this.setStatus(union(operands, difference.inputs));
  }

  flagsOfLogic(_width: Width, result: V): void {
    this.setStatus(result.inputs);
  }

  private setStatus(inputs: Inputs): void {
    this.use(inputs);
    this.setFlags(STATUS, inputs);
  }

  private setFlags(mask: number, inputs: Inputs): void {
    for (const name of Object.values(Flag)) {
      if ((mask & (1 << name)) !== 0) this.path.flags[name] = truth(inputs);
    }
    this.noteWritten(FLAGS, mask);
  }

  condition(code: number): B {
    const names = CONDITION_FLAGS[code >> 1];
    return truth(names.map((name) => this.flag(name).inputs).reduce(union));
  }

  // Operands and registers

  read(operand: Operand): V {
    switch (operand.kind) {
      case 'register':
        if (operand.high) return this.highByte(operand.number);
        return this.register(operand.width as Width, operand.number);
      case 'immediate':
        return constant(operand.width, operand.value);
      case 'memory':
        return this.load(operand.width as Width, operand.segment, this.address(operand));
      case 'relative':
        return this.next();
      case 'pointer':
        throw new TypeError('a pointer is read in parts');
    }
  }

  private highByte(number: number): V {
    const present = this.path.registers[number];
    return opaque(8, present === undefined ? NO_INPUTS.with(number, 2) : present.inputs);
  }

  modify(operand: Operand): V {
    if (operand.kind !== 'memory') return this.read(operand);
    return this.loadForWrite(operand.width as Width, operand.segment, this.address(operand));
  }

  write(operand: Operand, value: V): void {
    if (operand.kind === 'memory') {
      this.store(operand.width as Width, operand.segment, this.address(operand), value);
    } else if (operand.kind !== 'register') {
      throw new TypeError(`cannot write to a ${operand.kind} operand`);
    } else if (operand.high) this.setPart(operand.number, 2, value);
    else this.setRegister(operand.width as Width, operand.number, value);
  }

  address(operand: Operand): V {
    if (operand.kind !== 'memory') throw new TypeError(`a ${operand.kind} operand has no address`);
    let sum = constant(64, operand.displacement);
    if (operand.ripRelative) sum = addScaled(64, sum, this.next(), 1);
    if (operand.base >= 0) sum = addScaled(64, sum, this.register(64, operand.base), 1);
    if (operand.index >= 0) {
      sum = addScaled(64, sum, this.register(64, operand.index), 1 << operand.scale);
    }
    return truncated(operand.addressWidth as Width, sum);
  }

  align(operand: Operand, _bytes: number): void {
    this.use(this.address(operand).inputs);
    this.raises.add('GP');
  }

  register(width: Width, number: number): V {
    return truncated(width, this.path.registers[number] ?? incoming(number));
  }

  setRegister(width: Width, number: number, value: V): void {
    if (width < 32) {
      this.setPart(number, bytesOf(width), value);
      return;
    }
    const kept = truncated(width, value);
    this.use(kept.inputs);
    this.path.registers[number] = kept;
    this.noteWritten(number, bytesOf(64));
  }

  private setPart(number: number, bytes: number, value: V): void {
    this.use(value.inputs);
    this.path.registers[number] = opaque(64, union(this.register(64, number).inputs, value.inputs));
    this.noteWritten(number, bytes);
  }

  // XMM registers

  xmm(width: 32 | 64, number: number, lane: number): V {
    const places = this.lanesOf(width, number, lane);
    const inputs = places.map((at) => this.path.lanes[at] ?? incomingLane(at)).reduce(union);
    // One object for one value, so that XORPS of a register with itself depends on nothing.
    const key = `${width} ${inputs}`;
    const known = this.xmmValues.get(key) ?? opaque(width, inputs);
    if (places.every((at) => this.path.lanes[at] === undefined)) this.xmmValues.set(key, known);
    return known;
  }

  setXmm(width: 32 | 64, number: number, lane: number, value: V): void {
    this.use(value.inputs);
    for (const at of this.lanesOf(width, number, lane)) {
      this.path.lanes[at] = value.inputs;
      this.noteWritten(XMM + number, 15 << (4 * (at & 3)));
    }
  }

  private lanesOf(width: 32 | 64, number: number, lane: number): number[] {
    return width === 32 ? [4 * number + lane] : [4 * number + 2 * lane, 4 * number + 2 * lane + 1];
  }

  lanes(name: LaneFunction, x: V, y: V): V {
    if (x === y && name.startsWith('subtract')) return constant(64, Long.ZERO);
    return mix(64, x, y);
  }

  float(name: FloatFunction, x: V, y: V): V {
    if (name === 'int32ToDouble') return opaque(64, x.inputs);
    const inputs = union(NO_INPUTS.with(MXCSR, MXCSR_CONTROL), union(x.inputs, y.inputs));
    this.signals = union(this.signals, inputs);
    return opaque(64, inputs);
  }

  settleFloats(): void {
    this.use(this.signals);
    this.raises.add('XM');
    this.path.touched[MXCSR] = this.path.touched[MXCSR] | MXCSR_FLAGS;
  }

  // Memory

  load(width: Width, segment: number, offset: V): V {
    this.access('read', width, segment, offset);
    return opaque(width, NO_INPUTS);
  }

  loadForWrite(width: Width, segment: number, offset: V): V {
    this.access('modify', width, segment, offset);
    return opaque(width, NO_INPUTS);
  }

  store(width: Width, segment: number, offset: V, value: V): void {
    this.use(value.inputs);
    const isModified = this.accesses.some(
      ({ effect, offset: other }) =>
        effect.kind === 'modify' && effect.width === width && isSame(offset, other),
    );
    if (!isModified) this.access('write', width, segment, offset);
  }

  loadWide(segment: number, offset: V): Wide<V> {
    this.access('read', 128, segment, offset);
    return { low: opaque(64, NO_INPUTS), high: opaque(64, NO_INPUTS) };
  }

  storeWide(segment: number, offset: V, low: V, high: V): void {
    this.use(low.inputs, high.inputs);
    this.access('write', 128, segment, offset);
  }

  private access(kind: MemoryEffect['kind'], width: MemoryWidth, segment: number, offset: V): void {
    this.use(offset.inputs);
    const address = expression(offset);
    const effect = { kind, width, segment, address, certain: this.depth === 0 };
    this.accesses.push({ effect, offset });
  }

  // Control

  when(condition: B, then: () => void, otherwise: () => void = () => {}): void {
    if (condition.constant !== null) {
      if (condition.constant) then();
      else otherwise();
      return;
    }
    this.use(condition.inputs);
    const before = this.path;
    this.depth++;
    this.path = fork(before);
    then();
    const afterThen = this.path;
    this.path = fork(before);
    otherwise();
    this.depth--;
    this.path = join(afterThen, this.path);
  }

  next(): V {
    return incoming(NEXT);
  }

  jump(target: V): void {
    this.use(target.inputs);
    this.mayJump = true;
    this.path.jumped = true;
  }

  again(): void {
    this.repeats = true;
  }

  raise(vector: RaisedVector): void {
    this.raises.add(vector);
  }

  call(name: SystemFunction, ...args: V[]): V {
    const own = SYSTEM_EFFECTS[name];
    this.calls.add(name);
    this.use(...args.map(({ inputs }) => inputs), NO_INPUTS.with(FLAGS, own.flagsRead ?? 0));
    for (const { number, bytes } of own.registersRead ?? []) {
      const isIncoming = this.path.registers[number] === undefined;
      this.use(isIncoming ? NO_INPUTS.with(number, bytes) : this.register(64, number).inputs);
    }
    for (const { number } of own.registersWritten ?? []) {
      this.setRegister(64, number, opaque(64, NO_INPUTS));
    }
    this.setFlags(own.flagsWritten ?? 0, NO_INPUTS);
    this.use(NO_INPUTS.with(MXCSR, own.mxcsrRead ?? 0));
    this.noteWritten(MXCSR, own.mxcsrWritten ?? 0);
    this.path.touched[FLAGS] = this.path.touched[FLAGS] | (own.flagsMaybeWritten ?? 0);
    if (own.memory !== undefined) {
      const effect = { kind: own.memory, width: 0, segment: -1, address: 'unknown' } as const;
      this.accesses.push({ effect: { ...effect, certain: false }, offset: this.next() });
    }
    if (own.jumps === true) this.jump(this.next());
    return opaque(64, NO_INPUTS);
  }
}

function mix(width: Width, x: V, y: V): V {
  return opaque(width, union(x.inputs, y.inputs));
}

function mixTruth(x: B, y: B): B {
  return truth(union(x.inputs, y.inputs));
}

function registerList(masks: readonly number[]): RegisterBytes[] {
  return masks
    .slice(0, FLAGS)
    .map((bytes, number) => ({ number, bytes }))
    .filter(({ bytes }) => bytes !== 0);
}

function xmmList(masks: readonly number[]): RegisterBytes[] {
  return masks
    .slice(XMM, MXCSR)
    .map((bytes, number) => ({ number, bytes }))
    .filter(({ bytes }) => bytes !== 0);
}

function expression({ width, linear }: V): MemoryEffect['address'] {
  if (linear === null) return 'unknown';
  const terms = linear.factors
    .map((factor, register) => ({ register, factor }))
    .filter(({ register, factor }) => factor !== 0 && register !== NEXT);
  const ripRelative = linear.factors[NEXT] !== 0;
  return { width, terms, displacement: linear.constant, ripRelative };
}
