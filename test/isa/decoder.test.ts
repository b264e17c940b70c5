// The decoder on encodings that no assembler chooses, and on noise.

import { beforeAll, describe, expect, test } from 'vitest';
import {
  CODE_SIZES,
  type CodeSize,
  decode,
  format,
  type Instruction,
  MAX_INSTRUCTION_BYTES,
  type Row,
  rowsIn,
  syntax,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { isSameMnemonic } from '../support/objdump-names.ts';
import {
  assembleInChunks,
  type Disassembled,
  disassembleWithObjdump,
  missing,
  slotAddress,
} from '../support/outside-tools.ts';
import { ANYWHERE, randomEncoding } from '../support/row-encodings.ts';
import { forNasm, instructionText, isKnownToNasm } from '../support/same-instruction.ts';

const ENCODINGS_PER_ROW = 20;
const NOISE_COUNT = 15_000;

interface Sample {
  readonly row: Row;
  readonly code: Uint8Array;
  readonly instruction: Instruction;
}

describe.each(CODE_SIZES)('encodings made from the opcode patterns, %i bits', (codeSize) => {
  const samples: Sample[] = [];
  const wrong: string[] = [];

  beforeAll(() => {
    const prng = new Prng(2);
    for (const row of rowsIn(codeSize).filter(({ encodeOnly }) => !encodeOnly)) {
      for (let n = 0; n < ENCODINGS_PER_ROW; n++) {
        const code = randomEncoding(row, prng, ANYWHERE, codeSize);
        const decoded = decode(code, 0, code.length, codeSize);
        if (decoded.kind !== 'instruction') {
          wrong.push(`${syntax(row)}: ${hex(code)} is ${decoded.kind}`);
          continue;
        }
        const { instruction } = decoded;
        const isRight = instruction.row === row && instruction.lengthBytes === code.length;
        if (!isRight) wrong.push(`${syntax(row)}: ${hex(code)} is ${textOf(instruction)}`);
        samples.push({ row, code, instruction });
      }
    }
  });

  test('decode to their row', () => {
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('a shorter buffer is truncated, a longer one changes nothing', () => {
    const padded = new Uint8Array(3 * MAX_INSTRUCTION_BYTES).fill(0x90);
    const different: string[] = [];
    for (const { code, instruction } of samples) {
      for (let end = 0; end < code.length; end++) {
        const { kind } = decode(code, 0, end, codeSize);
        if (kind !== 'truncated') different.push(`${hex(code)} to ${end}: ${kind}`);
      }
      padded.set(code, 3);
      const again = decode(padded, 3, padded.length, codeSize);
      padded.fill(0x90);
      const isSame =
        again.kind === 'instruction' && textOf(again.instruction) === textOf(instruction);
      if (!isSame) different.push(`${hex(code)}, then nop`);
    }
    expect(different.slice(0, 20)).toEqual([]);
  });

  test('print as text that NASM assembles to the same instruction', (context) => {
    const reason = missing('nasm');
    if (reason !== null) context.skip(reason);
    const chosen = samples.filter(({ row }) => isKnownToNasm(row));
    const texts = chosen.map(({ instruction }, i) => textOf(instruction, i));
    const different = assembleInChunks(texts.map(forNasm), codeSize).flatMap((code, i) => {
      const decoded = decode(code, 0, code.length, codeSize);
      const address = slotAddress(i);
      const wanted = instructionText(chosen[i].instruction, address);
      const got =
        decoded.kind === 'instruction'
          ? instructionText(decoded.instruction, address)
          : decoded.kind;
      return got === wanted ? [] : [`${texts[i]}: ${got}, not ${wanted}`];
    });
    expect(different.slice(0, 20)).toEqual([]);
  });

  test('objdump agrees on length and mnemonic', (context) => {
    const reason = missing('objdump');
    if (reason !== null) context.skip(reason);
    const seen = disassembleWithObjdump(
      samples.map(({ code }) => code),
      'intel',
      codeSize,
    );
    const different = samples.flatMap(({ code, instruction }, i) =>
      disagreement(code, instruction, seen[i]),
    );
    expect(different.slice(0, 20)).toEqual([]);
  });
});

describe.each(CODE_SIZES)('noise, %i bits', (codeSize) => {
  const codes = noise(codeSize);
  const decodings = codes.map((code) => decode(code, 0, code.length, codeSize));
  let seen: readonly Disassembled[] | null = null;

  beforeAll(() => {
    if (missing('objdump') === null) seen = disassembleWithObjdump(codes, 'intel', codeSize);
  });

  test('stays within 15 bytes, and does not look beyond the instruction', () => {
    const different = codes.filter((code, i) => {
      const decoded = decodings[i];
      if (decoded.kind !== 'instruction') return false;
      const { lengthBytes } = decoded.instruction;
      const again = decode(code, 0, lengthBytes, codeSize);
      const short = decode(code, 0, lengthBytes - 1, codeSize);
      return (
        lengthBytes > MAX_INSTRUCTION_BYTES ||
        again.kind !== 'instruction' ||
        again.instruction.lengthBytes !== lengthBytes ||
        short.kind !== 'truncated'
      );
    });
    expect(different.slice(0, 20).map(hex)).toEqual([]);
  });

  test('objdump agrees on length and mnemonic of everything that decodes', (context) => {
    if (seen === null) context.skip(missing('objdump') ?? '');
    const different = codes.flatMap((code, i) => {
      const decoded = decodings[i];
      return decoded.kind === 'instruction'
        ? disagreement(code, decoded.instruction, seen?.[i])
        : [];
    });
    expect(different.slice(0, 20)).toEqual([]);
  });

  test('what is undefined here is nothing to objdump, or belongs to other makers', (context) => {
    if (seen === null) context.skip(missing('objdump') ?? '');
    const different = codes.flatMap((code, i) => {
      const text = seen?.[i]?.text ?? '';
      if (decodings[i]?.kind !== 'undefined') return [];
      return text.includes('(bad)') || isUndefinedOnIntel(text) ? [] : [`${hex(code)} ${text}`];
    });
    expect(different.slice(0, 20)).toEqual([]);
  });
});

/** What objdump says differently, if anything. */
function disagreement(
  code: Uint8Array,
  instruction: Instruction,
  seen: Disassembled | undefined,
): string[] {
  const { lengthBytes, text } = seen ?? { lengthBytes: 0, text: 'nothing' };
  const isSame =
    lengthBytes === instruction.lengthBytes && isSameMnemonic(instruction.row.mnemonic, text);
  if (isSame || isUnknownToObjdump(code, instruction)) return [];
  return [`${hex(code)} ${textOf(instruction)}, objdump: ${lengthBytes} ${text}`];
}

/** Random bytes behind a few prefixes and perhaps 0F, so that every opcode comes up. */
function noise(codeSize: CodeSize): Uint8Array[] {
  const prng = new Prng(3);
  const prefixes = [0x66, 0x67, 0xf2, 0xf3, 0x2e, 0x64];
  return Array.from({ length: NOISE_COUNT }, () => {
    const bytes: number[] = [];
    for (let n = prng.below(3); n > 0; n--) bytes.push(prefixes[prng.below(6)]);
    if (codeSize === 64 && prng.below(3) === 0) bytes.push(0x40 + prng.below(16));
    if (prng.below(2) === 0) bytes.push(0x0f);
    // objdump prints a prefix behind REX as an instruction of its own.
    let opcode: number;
    do opcode = prng.below(256);
    while (isPrefix(opcode, codeSize));
    bytes.push(opcode);
    while (bytes.length < MAX_INSTRUCTION_BYTES) bytes.push(prng.below(256));
    return Uint8Array.from(bytes);
  });
}

function isPrefix(byte: number, codeSize: CodeSize): boolean {
  return (
    (byte & 0xe7) === 0x26 ||
    (codeSize === 64 && (byte & 0xf0) === 0x40) ||
    (byte >= 0x64 && byte <= 0x67) ||
    [0xf0, 0xf2, 0xf3].includes(byte)
  );
}

/**
 * Where objdump departs from Intel's processors: it takes 66 before a near branch as AMD does, does
 * not know F2 before BSF and BSR, nor fences with other bits in ModRM.rm.
 */
function isUnknownToObjdump(code: Uint8Array, instruction: Instruction): boolean {
  const { row } = instruction;
  const { mnemonic, operands } = row;
  if (operands[0]?.place === 'relative') return code.includes(0x66);
  if (mnemonic === 'BSF' || mnemonic === 'BSR') return code.includes(0xf2);
  // Registers where prefetches have memory are hints like others; 66 and F2 change nothing.
  if (mnemonic === 'NOP') return code.includes(0x0d) || hasShortBounds(instruction);
  if (mnemonic === 'FWAIT') return code[0] !== 0x9b || code.length > 1;
  return mnemonic.endsWith('FENCE') || ['WBINVD', 'SALC'].includes(mnemonic);
}

/** 0F 1A and 0F 1B with 16-bit addresses, which MPX excludes, and objdump garbles. */
function hasShortBounds({ row, addressWidth }: Instruction): boolean {
  return addressWidth === 16 && [0x1a, 0x1b].includes(row.pattern.opcode);
}

/** UD0 and UD1 raise #UD by definition; SYSCALL is AMD's outside 64-bit
 * mode; 3DNow! and PadLock are other makers'. */
function isUndefinedOnIntel(text: string): boolean {
  const others =
    /\b(ud0|ud1|syscall|sysret|(rd|wr)[fg]sbase|femms|pi2f[wd]|pf2i[wd]|pf\w+|pmulhrw|pswapd|pavgusb)\b/;
  const padlock = /\b(xstore\w*|xcrypt-\w+|xsha\w+|montmul)/;
  // Prefixes that VEX excludes.
  const names = 'v\\w+|\\w+x|bls\\w+|andn|bextr|bzhi|pdep|pext';
  const excluded = new RegExp(
    `\\b(repz|repnz|data16|lock|data32|rex\\S*) +(\\S+ +)*?(${names})\\b`,
  );
  if (excluded.test(text)) return true;
  // Registers that do not exist: objdump makes up CR5 and DR9, and prints ? for a seventh segment.
  return others.test(text) || padlock.test(text) || /\bmov.*([cdt]r\d|[?]|cs,)/.test(text);
}

function textOf(instruction: Instruction, i = 0): string {
  return format(instruction, slotAddress(i));
}

function hex(code: Uint8Array): string {
  return Buffer.from(code).toString('hex');
}
