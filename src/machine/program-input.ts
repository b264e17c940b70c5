// The input of a program: bytes that it finds at its label `fuzz_input`, and how many there are at
// `fuzz_length`. What a program does with them is its own affair; whoever tries many inputs
// (fuzzing) needs no other agreement with it.

import type Long from 'long';
import type { Vm } from '../kvm/index.ts';
import type { SymbolMap } from './symbol-map.ts';

/** The bytes begin here. */
export const INPUT_LABEL = 'fuzz_input';
/** The room for them ends before this; without it, at the next label. */
const END_LABEL = 'fuzz_input_end';
/** Four bytes that receive how many there are; may be left out. */
const LENGTH_LABEL = 'fuzz_length';

const LENGTH_BYTES = 4;

/** More is not written, however far away the next label is. */
const MOST_BYTES = 1 << 20;

/** Where a program expects its input: guest-physical addresses and bytes. */
export interface InputRoom {
  readonly gpa: number;
  readonly lengthBytes: number;
  /** Where the length goes, or null. */
  readonly lengthGpa: number | null;
}

/** The room for input in a program that lies in memory where its labels say; null if it has none. */
export function inputRoomOf(symbols: SymbolMap, ramBytes: number): InputRoom | null {
  const start = symbols.addressOf(INPUT_LABEL);
  const gpa = gpaOf(start, ramBytes);
  if (start === null || gpa === null) return null;
  const end = symbols.addressOf(END_LABEL);
  const named = symbols.names.find(({ name }) => name === INPUT_LABEL);
  const toEnd = named === undefined ? 0 : named.end.sub(start).toNumber();
  const toNext = end === null ? symbols.bytesToNext(start) : end.sub(start).toNumber();
  const lengthBytes = Math.min(toNext, end === null && toEnd > 0 ? toEnd : MOST_BYTES, MOST_BYTES);
  if (lengthBytes < 1 || gpa + lengthBytes > ramBytes) return null;
  return {
    gpa,
    lengthBytes,
    lengthGpa: gpaOf(symbols.addressOf(LENGTH_LABEL), ramBytes - LENGTH_BYTES),
  };
}

function gpaOf(address: Long | null, ramBytes: number): number | null {
  return address?.toUnsigned().lt(ramBytes) ? address.toNumber() : null;
}

/** Bytes as a scenario writes them: hexadecimal digits, two for each. */
export function inputText(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What {@link inputText} made text of; null for other text. */
export function inputBytes(text: string): Uint8Array | null {
  if (!/^(?:[\da-f]{2})*$/i.test(text)) return null;
  const pairs = text.match(/../g) ?? [];
  return Uint8Array.from(pairs, (pair) => Number.parseInt(pair, 16));
}

/** Why a program cannot be given an input; null if it can. */
export function inputProblem(
  bytes: Uint8Array,
  symbols: SymbolMap,
  ramBytes: number,
): string | null {
  const room = inputRoomOf(symbols, ramBytes);
  if (room === null) return `the program has no label '${INPUT_LABEL}' with room behind it`;
  if (bytes.length <= room.lengthBytes) return null;
  return `${bytes.length} bytes, but there is room for ${room.lengthBytes} at '${INPUT_LABEL}'`;
}

/** Write an input into a machine's memory, before it starts; the rest of the room is zero. */
export function writeInput({ memory, ramHpa }: Vm, room: InputRoom, bytes: Uint8Array): void {
  const whole = new Uint8Array(room.lengthBytes);
  whole.set(bytes);
  memory.write(ramHpa + room.gpa, whole);
  if (room.lengthGpa === null) return;
  const length = new DataView(new ArrayBuffer(LENGTH_BYTES));
  length.setUint32(0, bytes.length, true);
  memory.write(ramHpa + room.lengthGpa, new Uint8Array(length.buffer));
}
