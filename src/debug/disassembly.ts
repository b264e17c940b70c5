// Instructions in a guest's memory as text: forwards from an address, and backwards, where nobody
// knows for sure how the bytes before an instruction divide.

import type Long from 'long';
import {
  type CodeSize,
  decode,
  format,
  type Instruction,
  MAX_INSTRUCTION_BYTES,
} from '../isa/index.ts';

/** Bytes at a linear address: as many as are mapped in a row. */
export type ReadBytes = (address: Long, lengthBytes: number) => Uint8Array;

export interface DisassembledLine {
  readonly address: Long;
  /** None if the address is not mapped. */
  readonly bytes: Uint8Array;
  readonly text: string;
  /** Null for what is no instruction. */
  readonly instruction: Instruction | null;
}

/** The line at an address. What is no instruction is a line of one byte. */
export function disassembleOne(
  address: Long,
  codeSize: CodeSize,
  read: ReadBytes,
): DisassembledLine {
  const bytes = read(address, MAX_INSTRUCTION_BYTES);
  if (bytes.length === 0) return { address, bytes, text: '(not mapped)', instruction: null };
  const decoded = decode(bytes, 0, bytes.length, codeSize);
  if (decoded.kind === 'instruction') {
    const { instruction } = decoded;
    const own = bytes.slice(0, instruction.lengthBytes);
    return { address, bytes: own, text: format(instruction, address), instruction };
  }
  const text = `db 0x${bytes[0].toString(16).padStart(2, '0')}`;
  return { address, bytes: bytes.slice(0, 1), text, instruction: null };
}

/** So many lines from an address on. */
export function disassemble(
  start: Long,
  count: number,
  codeSize: CodeSize,
  read: ReadBytes,
): DisassembledLine[] {
  const lines: DisassembledLine[] = [];
  let address = start;
  while (lines.length < count) {
    const line = disassembleOne(address, codeSize, read);
    lines.push(line);
    address = address.add(Math.max(line.bytes.length, 1));
  }
  return lines;
}

/**
 * So many lines that end where an address begins. Of the places at which the first may begin, that
 * one is taken from which decoding arrives at the address; a place with a name goes first.
 */
export function disassembleBefore(
  end: Long,
  count: number,
  codeSize: CodeSize,
  read: ReadBytes,
  namedBelow: (address: Long) => Long | null,
): DisassembledLine[] {
  const first = end.sub(count * MAX_INSTRUCTION_BYTES);
  const named = namedBelow(end.sub(1));
  const starts = Array.from({ length: MAX_INSTRUCTION_BYTES }, (_, i) => first.add(i));
  if (named?.gte(first.toUnsigned())) {
    // Whole lines from a name on are right, however few they are.
    const after = linesUpTo(named, end, codeSize, read);
    if (after !== null) {
      const missing = count - after.length;
      if (missing <= 0) return after.slice(-count);
      const before = disassembleBefore(named, missing, codeSize, read, () => null);
      return [...before, ...after];
    }
  }
  for (const start of starts) {
    const lines = linesUpTo(start, end, codeSize, read);
    if (lines !== null && lines.length >= count) return lines.slice(-count);
  }
  return disassemble(end.sub(count), count, codeSize, (address) => read(address, 1));
}

/** The lines between two addresses, or null if none ends at the second. */
function linesUpTo(
  start: Long,
  end: Long,
  codeSize: CodeSize,
  read: ReadBytes,
): DisassembledLine[] | null {
  const lines: DisassembledLine[] = [];
  let left = end.sub(start).toNumber();
  while (left > 0) {
    const line = disassembleOne(end.sub(left), codeSize, read);
    lines.push(line);
    left -= Math.max(line.bytes.length, 1);
  }
  return left === 0 ? lines : null;
}
