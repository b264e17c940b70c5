// Values that are known by where they come from: sums of registers and a constant where that is
// all they are (addresses mostly), and otherwise the set of inputs that went into them. The effects
// domain computes with these.

import Long from 'long';
import { zeroExtend } from './decoder.ts';
import type { Width } from './registers.ts';

/** Number of the pseudo-register that stands for the address of the following instruction. */
export const NEXT = 16;

/**
 * What a value depends on, of the state before the instruction: a mask of bytes for each of the 16
 * general registers, then at {@link FLAGS} a mask of RFLAGS bits, from {@link XMM} on one of bytes
 * for each XMM register, and at {@link MXCSR} one of its bits.
 */
export type Inputs = readonly number[];

/** Places in {@link Inputs}. */
export const FLAGS = 16;
export const XMM = 17;
export const MXCSR = XMM + 16;

export const NO_INPUTS: Inputs = new Array<number>(MXCSR + 1).fill(0);

/** A sum of registers times factors, plus a constant, modulo 2 to the value's width. */
export interface Linear {
  /** By register number, {@link NEXT} included. */
  readonly factors: readonly number[];
  readonly constant: Long;
}

const NO_FACTORS: readonly number[] = new Array<number>(NEXT + 1).fill(0);

export interface SymbolicValue {
  readonly width: Width;
  /** Null if the value is not such a sum. */
  readonly linear: Linear | null;
  readonly inputs: Inputs;
}

export interface SymbolicTruth {
  /** The truth value, if it is the same in every case. */
  readonly constant: boolean | null;
  /** The flag that this is a copy of, by bit number, or -1. */
  readonly copyOf: number;
  readonly inputs: Inputs;
}

export function union(a: Inputs, b: Inputs): Inputs {
  if (a === NO_INPUTS) return b;
  return b === NO_INPUTS ? a : a.map((mask, i) => mask | b[i]);
}

/** Bytes of a register that an access of some width touches. */
export function bytesOf(width: Width): number {
  return (1 << (width / 8)) - 1;
}

/** Some value that depends on the inputs. */
export function opaque(width: Width, inputs: Inputs): SymbolicValue {
  return { width, linear: null, inputs };
}

export function truth(inputs: Inputs): SymbolicTruth {
  return { constant: null, copyOf: -1, inputs };
}

export function constantTruth(constant: boolean): SymbolicTruth {
  return { constant, copyOf: -1, inputs: NO_INPUTS };
}

export function constant(width: Width, value: Long): SymbolicValue {
  return linearValue(width, { factors: NO_FACTORS, constant: value });
}

/** The incoming value of a register, or of {@link NEXT}. */
export function incoming(number: number): SymbolicValue {
  return linearValue(64, { factors: NO_FACTORS.with(number, 1), constant: Long.ZERO });
}

function linearValue(width: Width, linear: Linear): SymbolicValue {
  const isConstant = linear.factors.every((factor) => factor === 0);
  if (isConstant) {
    const kept = zeroExtend(width, linear.constant);
    return { width, linear: { factors: NO_FACTORS, constant: kept }, inputs: NO_INPUTS };
  }
  // The address of the following instruction is fixed by where the instruction stands.
  const inputs = NO_INPUTS.map((_, i) =>
    i < NEXT && linear.factors[i] !== 0 ? bytesOf(width) : 0,
  );
  return { width, linear, inputs };
}

/** The number that a value is in every case, or null. */
export function constantOf(x: SymbolicValue): Long | null {
  if (x.linear === null || x.linear.factors.some((factor) => factor !== 0)) return null;
  return x.linear.constant;
}

/** x + scale * y, truncated to `width`. */
export function addScaled(
  width: Width,
  x: SymbolicValue,
  y: SymbolicValue,
  scale: number,
): SymbolicValue {
  if (!isSumAt(width, x) || !isSumAt(width, y)) return opaque(width, union(x.inputs, y.inputs));
  const other = y.linear;
  return linearValue(width, {
    factors: x.linear.factors.map((factor, i) => factor + scale * other.factors[i]),
    constant: x.linear.constant.add(other.constant.mul(scale)),
  });
}

/** Whether the value can be part of a sum modulo 2 to the power of `width`. */
function isSumAt(width: Width, x: SymbolicValue): x is SymbolicValue & { linear: Linear } {
  return x.linear !== null && (x.width >= width || constantOf(x) !== null);
}

export function truncated(width: Width, x: SymbolicValue): SymbolicValue {
  if (x.width <= width) return x;
  return x.linear === null ? opaque(width, x.inputs) : linearValue(width, x.linear);
}

/** True if two values are surely equal. */
export function isSame(x: SymbolicValue, y: SymbolicValue): boolean {
  if (x === y) return true;
  const [a, b] = [x.linear, y.linear];
  if (a === null || b === null || x.width !== y.width) return false;
  return a.constant.eq(b.constant) && a.factors.every((factor, i) => factor === b.factors[i]);
}

/** What has been written on one path through the meaning; a `when` forks and joins it. */
export interface SymbolicPath {
  /** Present values by register number, and of flags by bit number; absent if still incoming. */
  readonly registers: (SymbolicValue | undefined)[];
  readonly flags: (SymbolicTruth | undefined)[];
  /** Of XMM registers, four 32-bit lanes each. */
  readonly lanes: (Inputs | undefined)[];
  /** Masks as in {@link Inputs}: written for sure, and at all. */
  readonly written: number[];
  readonly touched: number[];
  jumped: boolean;
}

/** Nothing written yet. */
export const UNTOUCHED: SymbolicPath = {
  registers: [],
  flags: [],
  lanes: [],
  written: [...NO_INPUTS],
  touched: [...NO_INPUTS],
  jumped: false,
};

/** Bit numbers of the flags that values are kept of: CF to OF. */
const FLAG_BITS = 12;

export function fork(path: SymbolicPath): SymbolicPath {
  return {
    registers: [...path.registers],
    flags: [...path.flags],
    lanes: [...path.lanes],
    written: [...path.written],
    touched: [...path.touched],
    jumped: path.jumped,
  };
}

/** The state after either of two paths. */
export function join(a: SymbolicPath, b: SymbolicPath): SymbolicPath {
  const registers = Array.from({ length: FLAGS }, (_, number) => {
    const [x, y] = [a.registers[number], b.registers[number]];
    return x === y ? x : mixed(x ?? incoming(number), y ?? incoming(number));
  });
  const flags = Array.from({ length: FLAG_BITS }, (_, name) => {
    const [x, y] = [a.flags[name], b.flags[name]];
    if (x === y) return x;
    const mask = NO_INPUTS.with(FLAGS, 1 << name);
    return truth(union(x?.inputs ?? mask, y?.inputs ?? mask));
  });
  const lanes = Array.from({ length: LANES }, (_, lane) => {
    const [x, y] = [a.lanes[lane], b.lanes[lane]];
    return x === y ? x : union(x ?? incomingLane(lane), y ?? incomingLane(lane));
  });
  return {
    registers,
    flags,
    lanes,
    written: a.written.map((mask, i) => mask & b.written[i]),
    touched: a.touched.map((mask, i) => mask | b.touched[i]),
    jumped: a.jumped && b.jumped,
  };
}

/** Lanes of 32 bits in all XMM registers. */
const LANES = 64;

/** The inputs that the incoming value of a lane is. */
export function incomingLane(lane: number): Inputs {
  return NO_INPUTS.with(XMM + (lane >> 2), 15 << (4 * (lane & 3)));
}

function mixed(x: SymbolicValue, y: SymbolicValue): SymbolicValue {
  return opaque(64, union(x.inputs, y.inputs));
}
