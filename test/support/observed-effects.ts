// Declared effects against executions: which bytes an instruction may read and write in a given
// state, and what two runs that differ in some inputs say about that.

import type {
  AddressExpression,
  Effects,
  Instruction,
  MemoryEffect,
  RegisterBytes,
} from '../../src/isa/index.ts';
import {
  type After,
  type Before,
  CODE,
  MXCSR_STATE,
  OTHER_STATE,
  VECTORS_STATE,
  VECTORS_STATE_END,
  WINDOW,
  WINDOW_BYTES,
} from './instruction-bench.ts';

/** Bytes of the window, from and to. */
type Range = readonly [from: number, to: number];

/** A part of the state before an instruction. */
export interface Part {
  readonly registers: readonly RegisterBytes[];
  readonly flags: number;
  readonly window: readonly Range[];
  readonly xmm: readonly RegisterBytes[];
  readonly mxcsr: number;
}

/** RFLAGS bits that are varied; VM, RF, VIF and VIP stay 0, bit 1 stays 1. */
const VARIED_FLAGS = 0x247fd5;
const RF_BIT = 16;

/** The bytes of the window that an access reaches. */
export function rangeOf(effect: MemoryEffect, before: Before, instruction: Instruction): Range {
  const { address, width, segment } = effect;
  if (address === 'unknown' || width === 0) return [0, WINDOW_BYTES];
  const base = segment === 4 ? before.fsBase : segment === 5 ? before.gsBase : 0;
  const linear = evaluate(address, before, instruction.lengthBytes) + BigInt(base);
  const from = Number(BigInt.asUintN(64, linear - BigInt(WINDOW)));
  return from < WINDOW_BYTES ? [from, from + width / 8] : [0, 0];
}

function evaluate(address: AddressExpression, before: Before, lengthBytes: number): bigint {
  const registers = new BigUint64Array(before.registers.buffer);
  let sum = BigInt(address.displacement.toString());
  if (address.ripRelative) sum += BigInt(CODE + lengthBytes);
  for (const { register, factor } of address.terms) {
    sum += registers[register] * BigInt(factor);
  }
  return BigInt.asUintN(address.width, sum);
}

/** Everything that is declared read. */
export function partRead(effects: Effects, before: Before, instruction: Instruction): Part {
  return {
    registers: effects.registersRead,
    flags: effects.flagsRead,
    xmm: effects.xmmRead,
    mxcsr: effects.mxcsrRead,
    window: effects.memory
      .filter(({ kind }) => kind !== 'write')
      .map((effect) => rangeOf(effect, before, instruction)),
  };
}

/** Flips sign and low bit, but not all: the complement of a small number would be small again. */
const FLIP = 0xd5;

/** The state with bits flipped in every byte of the part. */
export function flippedInside(before: Before, part: Part): Before {
  const mask = registerMask(part.registers);
  const window = before.window.slice();
  for (const [from, to] of part.window) {
    for (let i = from; i < to; i++) window[i] = window[i] ^ FLIP;
  }
  return {
    ...before,
    registers: before.registers.map((byte, i) => byte ^ (mask[i] & FLIP)),
    rflags: before.rflags ^ (VARIED_FLAGS & part.flags),
    window,
    vectors: flippedBy(before.vectors, vectorMask(part), FLIP),
  };
}

/** The state with every bit flipped that is not in the part. */
export function flippedOutside(before: Before, part: Part): Before {
  const mask = registerMask(part.registers);
  const window = complement(before.window);
  for (const [from, to] of part.window) window.set(before.window.subarray(from, to), from);
  return {
    ...before,
    registers: before.registers.map((byte, i) => byte ^ ~mask[i]),
    rflags: before.rflags ^ (VARIED_FLAGS & ~part.flags),
    window,
    vectors: flippedBy(
      before.vectors,
      vectorMask(part).map((byte) => ~byte),
      255,
    ),
  };
}

const MXCSR_AT = MXCSR_STATE - VECTORS_STATE;

/** Reserved bits of MXCSR stay 0. */
function flippedBy(vectors: Uint8Array, mask: Uint8Array, flip: number): Uint8Array {
  return vectors.map((byte, i) => (i < MXCSR_AT + 2 ? byte ^ (mask[i] & flip) : byte));
}

/** Bytes of XMM registers and bits of MXCSR, as they lie in the state. */
function vectorMask({ xmm, mxcsr }: Pick<Part, 'xmm' | 'mxcsr'>): Uint8Array {
  const mask = new Uint8Array(MXCSR_AT + 4);
  for (const { number, bytes } of xmm) {
    for (let i = 0; i < 16; i++) if ((bytes >> i) & 1) mask[16 * number + i] = 255;
  }
  mask.set([mxcsr & 255, (mxcsr >> 8) & 255], MXCSR_AT);
  return mask;
}

function complement(bytes: Uint8Array): Uint8Array {
  const words = new Int32Array(bytes.slice().buffer);
  for (let i = 0; i < words.length; i++) words[i] = ~words[i];
  return new Uint8Array(words.buffer);
}

function registerMask(list: readonly RegisterBytes[]): Uint8Array {
  const mask = new Uint8Array(128);
  for (const { number, bytes } of list) {
    for (let i = 0; i < 8; i++) if ((bytes >> i) & 1) mask[8 * number + i] = 255;
  }
  return mask;
}

/** How a byte or flag that was declared so may differ between two runs. */
type Declared = 'untouched' | 'maybe' | 'written';

/**
 * Whether two runs tell the same of a byte: what is written is the same in both, what is not keeps
 * its value in both.
 */
function agrees(declared: Declared, b1: number, a1: number, b2: number, a2: number): boolean {
  const kept = a1 === b1 && a2 === b2;
  if (declared === 'untouched') return kept;
  return a1 === a2 || (declared === 'maybe' && kept);
}

/** In what two runs contradict the declared writes; the inputs that differ should not matter. */
export function contradictions(
  effects: Effects,
  instruction: Instruction,
  runs: readonly [Before, After, Before, After],
): string[] {
  const [b1, a1, b2, a2] = runs;
  const found: string[] = [];
  if (a1.fault !== a2.fault) found.push(`fault ${a1.fault} or ${a2.fault}`);
  if (a1.rip !== a2.rip) found.push(`rip ${a1.rip} or ${a2.rip}`);
  if (a1.unfinished !== a2.unfinished) found.push('repeats or not');
  if (a1.outside.join() !== a2.outside.join()) found.push(`outside ${a1.outside} or ${a2.outside}`);
  if (found.length > 0) return found;
  const faulted = a1.fault !== null;
  const register = declaredRegisters(effects, faulted);
  for (let i = 0; i < 128; i++) {
    const [x, y] = [b1.registers[i], b2.registers[i]];
    if (!agrees(register(i), x, a1.state[i], y, a2.state[i])) {
      found.push(`register ${i >> 3} byte ${i & 7}`);
    }
  }
  for (let bit = 0; bit < 22; bit++) {
    const of = ({ rflags }: { readonly rflags: number }) => (rflags >> bit) & 1;
    // A fault sets RF of its own accord, so that the next attempt meets no instruction breakpoint.
    if (faulted && bit === RF_BIT) continue;
    const declared = faulted ? 'untouched' : declaredFlag(effects, bit);
    if (!agrees(declared, of(b1), of(a1), of(b2), of(a2))) found.push(`flag ${bit}`);
  }
  found.push(...vectorContradictions(effects, runs));
  if (effects.calls.length === 0 && !isSameOther(a1.initial, a1.state)) found.push('other state');
  if (!isSameOther(a1.state, a2.state)) found.push('other state');
  // What ENTER and PUSHA have pushed before a fault stays there, below the stack pointer.
  const mayLeave = /^(ENTER|PUSHA)/.test(instruction.row.mnemonic)
    ? effects.memory.map(uncertain)
    : [];
  found.push(...windowContradictions(faulted ? mayLeave : effects.memory, instruction, runs));
  return found;
}

/** Bit by bit. A floating-point exception that is not masked faults, and sets its flag. */
function vectorContradictions(
  effects: Effects,
  [b1, a1, b2, a2]: readonly [Before, After, Before, After],
): string[] {
  const isFault = a1.fault !== null;
  const none = { xmm: [], mxcsr: 0 };
  const written = { xmm: effects.xmmWritten, mxcsr: effects.mxcsrWritten };
  const maybe = { xmm: effects.xmmMaybeWritten, mxcsr: effects.mxcsrMaybeWritten };
  const [surely, possibly] = [
    vectorMask(isFault ? none : written),
    vectorMask(isFault ? { xmm: [], mxcsr: maybe.mxcsr } : maybe),
  ];
  const found: string[] = [];
  for (let i = 0; i < MXCSR_AT + 2; i++) {
    for (let bit = 0; bit < 8; bit++) {
      const of = (bytes: Uint8Array, at: number) => (bytes[at] >> bit) & 1;
      const in1 = of(b1.vectors, i);
      const in2 = of(b2.vectors, i);
      const declared = of(surely, i) ? 'written' : of(possibly, i) ? 'maybe' : 'untouched';
      const [out1, out2] = [of(a1.state, VECTORS_STATE + i), of(a2.state, VECTORS_STATE + i)];
      if (agrees(declared, in1, out1, in2, out2)) continue;
      found.push(i < MXCSR_AT ? `xmm${i >> 4} byte ${i & 15}` : 'mxcsr');
      break;
    }
  }
  return found;
}

/** Whether all is the same that is neither general, RFLAGS, XMM nor MXCSR. */
function isSameOther(a: Uint8Array, b: Uint8Array): boolean {
  const part = (state: Uint8Array) => state.subarray(OTHER_STATE, VECTORS_STATE);
  return isSameFrom(0, part(a), part(b)) && isSameFrom(VECTORS_STATE_END, a, b);
}

function uncertain(effect: MemoryEffect): MemoryEffect {
  return { ...effect, certain: false };
}

function declaredRegisters(effects: Effects, faulted: boolean): (byte: number) => Declared {
  if (faulted) return () => 'untouched';
  const written = registerMask(effects.registersWritten);
  const maybe = registerMask(effects.registersMaybeWritten);
  return (byte) => (written[byte] ? 'written' : maybe[byte] ? 'maybe' : 'untouched');
}

function declaredFlag(effects: Effects, bit: number): Declared {
  if ((effects.flagsWritten >> bit) & 1) return 'written';
  return (effects.flagsMaybeWritten >> bit) & 1 ? 'maybe' : 'untouched';
}

function windowContradictions(
  memory: readonly MemoryEffect[],
  instruction: Instruction,
  [b1, a1, b2, a2]: readonly [Before, After, Before, After],
): string[] {
  const found: string[] = [];
  const rest1 = [b1.window.slice(), a1.window.slice()] as const;
  const rest2 = [b2.window.slice(), a2.window.slice()] as const;
  for (const effect of memory) {
    if (effect.kind === 'read') continue;
    const [from, to] = rangeOf(effect, b1, instruction);
    const declared = effect.certain ? 'written' : 'maybe';
    const at = ({ window }: { readonly window: Uint8Array }, i: number) => window[i];
    for (let i = from; i < to; i++) {
      if (!agrees(declared, at(b1, i), at(a1, i), at(b2, i), at(a2, i))) {
        found.push(`memory at ${i}`);
      }
    }
    for (const bytes of [...rest1, ...rest2]) bytes.fill(0, from, to);
  }
  if (!isSameFrom(0, ...rest1) || !isSameFrom(0, ...rest2)) found.push('memory elsewhere');
  return found;
}

function isSameFrom(start: number, a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a.subarray(start), b.subarray(start)) === 0;
}
