// The input of a program: bytes that it finds at its label `fuzz_input`, and how many there are at
// `fuzz_length`. What a program does with them is its own affair; whoever tries many inputs
// (fuzzing) needs no other agreement with it.

import type { Vm } from '../kvm/index.ts';
import type { ProgramData } from './program-data.ts';

/** The bytes begin here; the room for them ends at the next label. */
export const INPUT_LABEL = 'fuzz_input';
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

/** The room for input that the labels of a program leave; null if there is none. */
export function inputRoomOf(data: ProgramData): InputRoom | null {
  const place = data.placeOf(INPUT_LABEL);
  if (place === null || place.lengthBytes < 1) return null;
  const length = data.placeOf(LENGTH_LABEL);
  const hasLength = length !== null && length.lengthBytes >= LENGTH_BYTES;
  const lengthBytes = Math.min(place.lengthBytes, MOST_BYTES);
  return { gpa: place.gpa, lengthBytes, lengthGpa: hasLength ? length.gpa : null };
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

/** Why a program cannot be given an input, as a scenario has it; null if it can. */
export function inputProblem(data: ProgramData, text: string): string | null {
  if (text === '') return null;
  const room = inputRoomOf(data);
  if (room === null) return `the program has no label '${INPUT_LABEL}' with room behind it`;
  const lengthBytes = text.length / 2;
  if (lengthBytes <= room.lengthBytes) return null;
  return `${lengthBytes} bytes, but there is room for ${room.lengthBytes} at '${INPUT_LABEL}'`;
}

/** Give a program the input that its scenario has, if any. Throws RangeError if it expects none. */
export function giveInput(vm: Vm, data: ProgramData, text: string): void {
  const bytes = inputBytes(text);
  if (bytes === null || bytes.length === 0) return;
  const problem = inputProblem(data, text);
  if (problem !== null) throw new RangeError(`${vm.name}: input: ${problem}`);
  writeInput(vm, inputRoomOf(data) as InputRoom, bytes);
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
