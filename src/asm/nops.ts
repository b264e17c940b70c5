// Bytes that do nothing, as the GNU assembler pads code: in 64-bit code the recommended multi-byte
// NOPs (SDM 2, "NOP"), up to eleven bytes with more prefixes; elsewhere LEAs of a register into
// itself, which older processors have, too, with a jump over more than a few of them.

import type { CodeSize } from '../isa/index.ts';

/** Fillers by length, the longest last, and how much is filled by them alone. */
interface Filling {
  readonly fillers: readonly (readonly number[])[];
  /** From so many bytes on the first instruction jumps behind the last. */
  readonly jumpFrom: number;
}

const NOP = [0x90];
const WIDE_NOP = [0x66, 0x90];

const FILLINGS: Readonly<Record<CodeSize, Filling>> = {
  16: {
    fillers: [[], NOP, WIDE_NOP, [0x8d, 0x74, 0x00], [0x8d, 0xb4, 0x00, 0x00]],
    jumpFrom: 12,
  },
  32: {
    fillers: [
      [],
      NOP,
      WIDE_NOP,
      [0x8d, 0x76, 0x00],
      [0x8d, 0x74, 0x26, 0x00],
      [0x8d, 0x74, 0x26, 0x00, 0x90],
      [0x8d, 0xb6, 0x00, 0x00, 0x00, 0x00],
      [0x8d, 0xb4, 0x26, 0x00, 0x00, 0x00, 0x00],
    ],
    jumpFrom: 21,
  },
  64: {
    fillers: [
      [],
      NOP,
      WIDE_NOP,
      [0x0f, 0x1f, 0x00],
      [0x0f, 0x1f, 0x40, 0x00],
      [0x0f, 0x1f, 0x44, 0x00, 0x00],
      [0x66, 0x0f, 0x1f, 0x44, 0x00, 0x00],
      [0x0f, 0x1f, 0x80, 0x00, 0x00, 0x00, 0x00],
      [0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
      [0x66, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
      [0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
      [0x66, 0x66, 0x2e, 0x0f, 0x1f, 0x84, 0x00, 0x00, 0x00, 0x00, 0x00],
    ],
    jumpFrom: Number.POSITIVE_INFINITY,
  },
};

/** So many bytes of instructions without effect, the long ones first. */
export function longNops(lengthBytes: number, codeSize: CodeSize): Uint8Array {
  const { fillers, jumpFrom } = FILLINGS[codeSize];
  const bytes = new Uint8Array(lengthBytes);
  const jump = lengthBytes < jumpFrom ? [] : jumpTo(lengthBytes, codeSize);
  bytes.set(jump);
  const longest = fillers.length - 1;
  for (let at = jump.length; at < lengthBytes; at += longest) {
    bytes.set(fillers[Math.min(longest, lengthBytes - at)] ?? [], at);
  }
  return bytes;
}

/** A jump behind all `lengthBytes`, of which it is the first. */
function jumpTo(lengthBytes: number, codeSize: CodeSize): number[] {
  const isShort = lengthBytes - 2 <= 127;
  // In 16-bit code GNU as takes the long form for one of 32 bits.
  const opcode = isShort ? [0xeb] : codeSize === 16 ? [0x66, 0xe9] : [0xe9];
  const fieldBytes = isShort ? 1 : 4;
  const distance = lengthBytes - opcode.length - fieldBytes;
  const field = Array.from({ length: fieldBytes }, (_, i) => (distance >>> (8 * i)) & 255);
  return [...opcode, ...field];
}
