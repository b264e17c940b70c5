// What an event says, one property at a time, and the columns of the binary record that hold it,
// under the kernel's names and types. Tracepoints are made of these; layout.ts gives columns their
// places.

import Long from 'long';
import type { SymbolTable } from './symbols.ts';

/** A column's value: Long if it has 8 bytes, text if it holds characters. */
export type Raw = number | Long | string;

/** A field of the binary record, as the kernel's format files declare it. */
export interface Column {
  readonly name: string;
  readonly type: string;
  readonly sizeBytes: 1 | 2 | 4 | 8 | 16;
  readonly signed: boolean;
}

/** A part of a column that holds a property, or half of one. */
export interface Part<T> {
  readonly column: Column;
  /** Bits that it is shifted by. */
  readonly shift: number;
  toRaw(value: T): Raw;
}

/** How a property is shown if nothing else is asked for. */
type Shown = 'number' | 'text' | 'boolean';

export interface Property<T> {
  readonly parts: readonly Part<T>[];
  readonly shown: Shown;
  /** Names for its numbers, if it has some. */
  readonly symbols: SymbolTable | null;
  /** The value that it always has, whatever the event. */
  readonly constant?: T;
  /** What is shown for a value, if it is not the value itself. */
  shownAs?(value: T): string;
  /** The value as an expression over the record, as a print format has it. */
  readonly expression: string;
  /** The value that the columns hold. */
  fromRaw(raws: readonly Raw[]): T;
  /** The value that a text shows in the given base; null if it is none. */
  fromText(text: string, base: number): T | null;
}

type ColumnType = readonly [type: string, sizeBytes: 1 | 2 | 4 | 8];

const BYTE: ColumnType = ['u8', 1];
const SIGNED_BYTE: ColumnType = ['s8', 1];
const WORD: ColumnType = ['unsigned int', 4];
const INT: ColumnType = ['int', 4];

const SIGNED: readonly string[] = ['s8', 'int', 'long', 's64'];

function columnOf([type, sizeBytes]: ColumnType, name: string): Column {
  return { name, type, sizeBytes, signed: SIGNED.includes(type) };
}

export function rawToNumber(raw: Raw): number {
  return typeof raw === 'number' ? raw : typeof raw === 'string' ? 0 : raw.toNumber();
}

function rawToLong(raw: Raw): Long {
  return Long.isLong(raw) ? raw : Long.fromNumber(rawToNumber(raw));
}

/** A number of 32 bits, or of as many bits at a place in a column that several share. */
export function u32(name: string, shift = 0, bits = 32): Property<number> {
  const mask = bits === 32 ? 0xffffffff : 2 ** bits - 1;
  return {
    parts: [{ column: columnOf(WORD, name), shift, toRaw: (value) => value >>> 0 }],
    shown: 'number',
    symbols: null,
    expression: bitsOf(name, shift, bits),
    fromRaw: ([raw]) => ((rawToNumber(raw) >>> shift) & mask) >>> 0,
    fromText: numberOf,
  };
}

function bitsOf(name: string, shift: number, bits: number): string {
  if (bits === 32) return `REC->${name}`;
  const shifted = shift === 0 ? `REC->${name}` : `(REC->${name} >> ${shift})`;
  return `(${shifted} & 0x${(2 ** bits - 1).toString(16)})`;
}

/** A signed number of 32 bits. */
export function s32(name: string): Property<number> {
  return {
    ...u32(name),
    parts: [{ column: columnOf(INT, name), shift: 0, toRaw: (value) => value | 0 }],
    fromRaw: ([raw]) => rawToNumber(raw) | 0,
  };
}

/** A column of 32 bits that tells nothing: it always holds the same. */
export function always(name: string, constant: number): Property<number> {
  return { ...s32(name), constant };
}

/** A number of 8 bits. */
export function u8(name: string): Property<number> {
  return {
    ...u32(name),
    parts: [{ column: columnOf(BYTE, name), shift: 0, toRaw: (value) => value & 0xff }],
    fromRaw: ([raw]) => rawToNumber(raw) & 0xff,
  };
}

/** A signed number of 8 bits. */
export function s8(name: string): Property<number> {
  return {
    ...u32(name),
    parts: [{ column: columnOf(SIGNED_BYTE, name), shift: 0, toRaw: (value) => value & 0xff }],
    fromRaw: ([raw]) => (rawToNumber(raw) << 24) >> 24,
  };
}

/** A whole number below 2^53 in 64 bits. */
export function u53(name: string, type = 'u64'): Property<number> {
  const toRaw = (value: number) => Long.fromNumber(value, true);
  const parts = inColumn([type, 8], name, toRaw);
  return { ...u32(name), ...parts, fromRaw: ([raw]) => rawToNumber(raw) };
}

/** 64 bits. */
export function u64(name: string, type = 'u64'): Property<Long> {
  return {
    ...inColumn([type, 8], name, (value: Long) => value),
    shown: 'number',
    symbols: null,
    expression: `REC->${name}`,
    fromRaw: ([raw]) => rawToLong(raw),
    fromText: (text, base) => (isNumber(text, base) ? Long.fromString(text, true, base) : null),
  };
}

/** 64 bits with a sign. */
export function s64(name: string): Property<Long> {
  return {
    ...u64(name),
    ...inColumn(['s64', 8], name, (value: Long) => value.toSigned()),
    fromRaw: ([raw]) => rawToLong(raw).toSigned(),
    fromText: (text, base) => (isNumber(text, base) ? Long.fromString(text, false, base) : null),
  };
}

function inColumn<T>(type: ColumnType, name: string, toRaw: (value: T) => Raw) {
  return { parts: [{ column: columnOf(type, name), shift: 0, toRaw }] };
}

/** True or false, in a byte or as a bit of a column that several share. */
export function flag(name: string, shift: number | null = null): Property<boolean> {
  const toRaw = (value: boolean) => (value ? 1 : 0);
  const column = columnOf(shift === null ? BYTE : WORD, name);
  const mask = 2 ** (shift ?? 0);
  return {
    parts: [{ column, shift: shift ?? 0, toRaw }],
    shown: 'boolean',
    symbols: null,
    expression: shift === null ? `REC->${name}` : `REC->${name} & 0x${mask.toString(16)}`,
    fromRaw: ([raw]) => (shift === null ? rawToNumber(raw) !== 0 : bit(raw, mask)),
    fromText: (text) => text === 'true',
  };
}

function bit(raw: Raw, mask: number): boolean {
  return (rawToNumber(raw) & mask) !== 0;
}

/** A number of a few bits at a place in a column of 64 that several share. */
export function bits64(name: string, shift: number, bits: number): Property<number> {
  const mask = 2 ** bits - 1;
  return {
    ...u32(name),
    parts: [{ column: columnOf(['u64', 8], name), shift, toRaw: (value) => value & mask }],
    expression: `((REC->${name} >> ${shift}) & 0x${mask.toString(16)})`,
    fromRaw: ([raw]) => rawToLong(raw).shru(shift).low & mask,
  };
}

/** A bit of a column of 64 that several share. */
export function flag64(name: string, shift: number): Property<boolean> {
  const { parts, expression } = bits64(name, shift, 1);
  return {
    ...flag(name),
    parts: [{ column: parts[0].column, shift, toRaw: (value) => (value ? 1 : 0) }],
    expression,
    fromRaw: ([raw]) => (rawToLong(raw).shru(shift).low & 1) !== 0,
  };
}

/**
 * A name for a number; numbers without one are shown as 0x1f.
 * @param oldNames what an earlier kernel shows for some of them
 */
export function symbol(
  property: Property<number>,
  symbols: SymbolTable,
  oldNames: Readonly<Record<string, string>> = {},
): Property<string> {
  const shownAs = (name: string) => (Object.hasOwn(oldNames, name) ? oldNames[name] : name);
  const names = new Map(Object.entries(symbols).map(([name, number]) => [number, name]));
  const [{ column, shift }] = property.parts;
  const numberFor = (name: string) =>
    Object.hasOwn(symbols, name) ? symbols[name] : Number(name) >>> 0;
  const pairs = [...names].map(
    ([number, name]) => `{ 0x${number.toString(16)}, "${shownAs(name)}" }`,
  );
  const meant = new Map([...names.values()].map((name) => [shownAs(name), name]));
  return {
    parts: [{ column, shift, toRaw: numberFor }],
    shown: 'text',
    shownAs,
    symbols,
    expression: `__print_symbolic(${property.expression}, ${pairs.join(', ')})`,
    fromRaw: (raws) => {
      const number = property.fromRaw(raws);
      return names.get(number) ?? `0x${number.toString(16)}`;
    },
    fromText: (text) => {
      return meant.get(text) ?? (/^0x[\da-f]{1,8}$/.test(text) ? text : null);
    },
  };
}

/** An error code that is not always there: two columns. */
export function errorCode(hasName: string, name: string): Property<number | null> {
  const number = u32(name);
  return {
    ...number,
    parts: [
      { column: columnOf(BYTE, hasName), shift: 0, toRaw: (value) => (value === null ? 0 : 1) },
      { column: columnOf(WORD, name), shift: 0, toRaw: (value) => (value ?? 0) >>> 0 },
    ],
    expression: `REC->${hasName}`,
    fromRaw: ([has, raw]) => (rawToNumber(has) === 0 ? null : rawToNumber(raw) >>> 0),
  };
}

/** Bytes of a task's name, the final NUL included: TASK_COMM_LEN. */
export const COMM_BYTES = 16;

/** A task's name. */
export function comm(name: string): Property<string> {
  return {
    parts: [
      {
        column: { name, type: 'char', sizeBytes: COMM_BYTES, signed: false },
        shift: 0,
        toRaw: (value) => value,
      },
    ],
    shown: 'text',
    symbols: null,
    expression: `REC->${name}`,
    fromRaw: ([raw]) => String(raw),
    fromText: (text) => text,
  };
}

function isNumber(text: string, base: number): boolean {
  return (base === 16 ? /^[\da-f]{1,16}$/ : /^-?\d{1,20}$/).test(text);
}

function numberOf(text: string, base: number): number | null {
  return isNumber(text, base) ? Number.parseInt(text, base) : null;
}
