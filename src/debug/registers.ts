// Registers by name: every item of the processor's state under the name it is declared with, and
// the parts of the general registers under the manual's. Segment registers by their own names are
// the selectors; `eflags` is the low half of `rflags`.

import Long from 'long';
import { STATE_ITEMS } from '../cpu/index.ts';
import type { Vcpu } from '../kvm/index.ts';
import { DebugError } from './debug-error.ts';

/** A register, or a part of one. */
export interface RegisterName {
  readonly name: string;
  /** The item of the processor's state in which it lies. */
  readonly item: string;
  readonly shift: number;
  /** Bits. */
  readonly width: number;
}

/** A register with its value, unsigned. */
export interface RegisterValue {
  readonly name: string;
  readonly width: number;
  readonly value: Long;
}

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'];

/** The whole items: what a list of all registers shows. */
export const REGISTERS: readonly RegisterName[] = STATE_ITEMS.map(({ name, width }) => ({
  name,
  item: name,
  shift: 0,
  width,
}));

function partsOf(name: string): RegisterName[] {
  const part = (alias: string, width: number, shift = 0) => ({
    name: alias,
    item: name,
    shift,
    width,
  });
  const letter = name.slice(1);
  if (/^r\d+$/.test(name)) return [part(`${name}d`, 32), part(`${name}w`, 16), part(`${name}b`, 8)];
  const low = /^[abcd]x$/.test(letter) ? `${letter[0]}l` : `${letter}l`;
  const parts = [part(`e${letter}`, 32), part(letter, 16), part(low, 8)];
  return /^[abcd]x$/.test(letter) ? [...parts, part(`${letter[0]}h`, 8, 8)] : parts;
}

const BY_NAME: ReadonlyMap<string, RegisterName> = new Map(
  [
    ...REGISTERS,
    ...STATE_ITEMS.slice(0, 16).flatMap(({ name }) => partsOf(name)),
    // As gdb has them; see wordOf for its $sp.
    { name: 'pc', item: 'rip', shift: 0, width: 64 },
    { name: 'fp', item: 'rbp', shift: 0, width: 64 },
    { name: 'eip', item: 'rip', shift: 0, width: 32 },
    { name: 'eflags', item: 'rflags', shift: 0, width: 32 },
    ...SEGMENTS.map((name) => ({ name, item: `${name}Selector`, shift: 0, width: 16 })),
  ].map((register) => [register.name.toLowerCase(), register]),
);

/** Names that {@link readRegister} knows, for completion. */
export const REGISTER_NAMES: readonly string[] = [...BY_NAME.values()].map(({ name }) => name);

/** What a word of an expression or command names: `$rax` and `rax` are one; `$sp` is gdb's RSP. */
export function wordOf(text: string): string {
  return text === '$sp' ? 'rsp' : text.replace(/^\$/, '');
}

/** The register with a name, in capitals or not; undefined if there is none. */
export function registerNamed(name: string): RegisterName | undefined {
  return BY_NAME.get(name.toLowerCase());
}

function register(name: string): RegisterName {
  const found = registerNamed(name);
  if (found === undefined) throw new DebugError(`no register named '${name}'`);
  return found;
}

/** Unsigned. Throws {@link DebugError} on an unknown name. */
export function readRegister(vcpu: Vcpu, name: string): Long {
  return registerReader(vcpu, name)();
}

/** What reads a register whose name was looked up. Throws {@link DebugError} on an unknown name. */
export function registerReader(vcpu: Vcpu, name: string): () => Long {
  const { item, shift, width } = register(name);
  const { processor } = vcpu.virtual;
  if (width === 64) return () => processor.state.get(item).toUnsigned();
  const mask = maskOf(width);
  return () => processor.state.get(item).toUnsigned().shru(shift).and(mask);
}

/**
 * Change a register, between two instructions. Writing 32 bits of a general register clears its
 * upper half, as instructions do. Throws {@link DebugError} on an unknown name.
 */
export function writeRegister(vcpu: Vcpu, name: string, value: Long): void {
  const { item, shift, width } = register(name);
  const { virtual } = vcpu;
  const { state } = virtual.processor;
  const mask = maskOf(width);
  const bits = value.toUnsigned().and(mask);
  const isWhole = width === 32 || width === 64;
  const kept = isWhole ? Long.UZERO : state.get(item).toUnsigned().and(mask.shl(shift).not());
  state.set(item, kept.or(bits.shl(shift)));
  virtual.stateChanged();
}

/** All items of the state. */
export function readRegisters(vcpu: Vcpu): readonly RegisterValue[] {
  return REGISTERS.map(({ name, width }) => ({ name, width, value: readRegister(vcpu, name) }));
}

function maskOf(width: number): Long {
  return width === 64 ? Long.MAX_UNSIGNED_VALUE : Long.UONE.shl(width).sub(1);
}
