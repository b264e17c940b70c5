// Encodings of every row and operand form, for 16-, 32- and 64-bit code: encoder, decoder and
// formatter against each other, both assemblers (ours and NASM) on the formatted text, and objdump
// and iced-x86 on the bytes. `npm run encodings` takes all shapes of addresses, several times over.

import Long from 'long';
import { beforeAll, describe, expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import {
  type AssemblyOperand,
  CODE_SIZES,
  type CodeSize,
  format,
  type Row,
  rowsIn,
  syntax,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { SHAPE_SHARES } from '../support/assembly-forms.ts';
import {
  CHUNK_SLOTS,
  EMPTY_SLOTS,
  encodingSamples,
  type Sample,
} from '../support/encoding-samples.ts';
import { icedTexts, toldText } from '../support/iced.ts';
import { isSameMnemonic } from '../support/objdump-names.ts';
import {
  assembleSourceWithNasm,
  disassembleWithObjdump,
  missing,
  SLOT_BYTES,
  slotOf,
} from '../support/outside-tools.ts';
import { askedText, forNasm, isKnownToNasm, operandText } from '../support/same-instruction.ts';

/** Times that all shapes of addresses come up, with other partners; 0 for a part of them, once. */
const ROUNDS = Number(process.env.VMXLAB_ENCODING_ROUNDS ?? 0);

/** objdump prints a line for every byte of padding. */
const OBJDUMP_SLOTS = 20_000;

describe.each(CODE_SIZES)('%i-bit code', (codeSize) => {
  const samples: Sample[] = [];
  const failures: string[] = [];

  beforeAll(() => {
    const prng = new Prng(1);
    for (let i = 0; i < Math.max(1, ROUNDS * SHAPE_SHARES); i++) {
      const share = ROUNDS === 0 ? undefined : i % SHAPE_SHARES;
      const made = encodingSamples(codeSize, prng, share, samples.length);
      for (const sample of made.samples) samples.push(sample);
      failures.push(...made.failures);
    }
    process.stdout.write(`${samples.length} forms of ${codeSize}-bit code\n`);
  });

  test('every form encodes, and decodes', () => {
    expect(failures.slice(0, 20)).toEqual([]);
    expect(samples.length).toBeGreaterThan(ROUNDS === 0 ? 10_000 : 60_000);
  });

  test('what is decoded is what was asked for', () => {
    const wrong = samples.filter((sample) => !isAsAsked(sample)).map(describeSample);
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('every row is encoded by some form, but for those that need a prefix or are longer', () => {
    const chosen = new Set(samples.map(({ encodedRow }) => encodedRow));
    const never = rowsIn(codeSize).filter((row) => !chosen.has(row));
    const others = never.filter((row) => !isSecondOpcode(row) && canBeWritten(row, codeSize));
    expect(others.map(({ mnemonic }) => mnemonic)).toEqual(NEVER_CHOSEN[codeSize]);
  });

  test('both assemblers make the same bytes of the formatted text', (context) => {
    const reason = missing('nasm');
    if (reason !== null) context.skip(reason);
    const wrong: string[] = [];
    const stride = ROUNDS === 0 ? 2 * CHUNK_SLOTS : CHUNK_SLOTS;
    for (let from = 0; from < samples.length && wrong.length < 20; from += stride) {
      wrong.push(...differences(samples.slice(from, from + CHUNK_SLOTS), codeSize));
    }
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('objdump agrees on length and mnemonic', (context) => {
    const reason = missing('objdump');
    if (reason !== null) context.skip(reason);
    const wrong: string[] = [];
    for (let from = 0; from < samples.length; from += OBJDUMP_SLOTS) {
      const chunk = samples.slice(from, from + OBJDUMP_SLOTS);
      const codes = chunk.map(({ bytes }) => bytes);
      const seen = disassembleWithObjdump(codes, 'intel', codeSize);
      chunk.forEach((sample, i) => {
        const { lengthBytes, text } = seen[i] ?? { lengthBytes: 0, text: 'nothing' };
        const { mnemonic } = sample.instruction.row;
        if (lengthBytes === sample.bytes.length && isSameMnemonic(mnemonic, text)) return;
        if (!isUnknownToObjdump(sample)) wrong.push(`${describeSample(sample)}, not ${text}`);
      });
    }
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('iced-x86 agrees on length, mnemonic and operands', () => {
    const theirs = icedTexts(samples, codeSize);
    const wrong = samples.flatMap((sample, i) => {
      const ours = toldText(sample);
      return ours === theirs[i] ? [] : [`${describeSample(sample)}: ${ours}, not ${theirs[i]}`];
    });
    expect(wrong.slice(0, 20)).toEqual([]);
  });
});

/**
 * Rows that are never chosen: without a prefix that asks for it, the other operand size; what
 * another row says with the same effect and less.
 */
const NEVER_CHOSEN: Readonly<Record<CodeSize, readonly string[]>> = {
  16: ['PUSHA', 'POPA', 'PUSHF', 'POPF', 'RETF', 'RETF', 'IRET'],
  32: ['PUSHA', 'POPA', 'PUSHF', 'POPF', 'RETF', 'RETF', 'IRET'],
  64: ['MOV', 'SLDT', 'SYSRET', 'SYSEXIT'],
};

/** SAL is another name for SHL, and 82 another opcode for 80. */
function isSecondOpcode({ mnemonic, encodeOnly, pattern }: Row): boolean {
  return (mnemonic === 'SAL' && !encodeOnly) || pattern.text.startsWith('82 ');
}

/** Whether code of this size has registers for the row: NASM lets 64-bit ones stand for others. */
function canBeWritten({ operands, encodeOnly }: Row, codeSize: CodeSize): boolean {
  const isWide = operands.some((spec) => spec.registerWidth === 64);
  return codeSize === 64 || !encodeOnly || !isWide;
}

/** What the two assemblers make differently of the samples' texts, or not of the samples' bytes. */
function differences(chunk: readonly Sample[], codeSize: CodeSize): string[] {
  const lines = chunk.map(({ instruction, address }) =>
    isKnownToNasm(instruction.row) ? forNasm(format(instruction, address)) : '',
  );
  const slots = lines.map((line) => `${line || 'db 0xcc'}\nalign ${SLOT_BYTES}, db 0xcc\n`);
  const empty = `times ${EMPTY_SLOTS * SLOT_BYTES} db 0xcc\n`;
  const source = `bits ${codeSize}\n${empty}${slots.join('')}`;
  const assembled = assemble({ name: 'chunk.asm', text: source });
  if (assembled.kind === 'errors') {
    return assembled.errors.map(({ sourceLine, message }) => `${sourceLine}: ${message}`);
  }
  const theirs = nasmOf(source);
  if (typeof theirs === 'string') return [theirs];
  return chunk.flatMap((sample, i) => {
    if (lines[i] === '') return [];
    const at = (i + EMPTY_SLOTS) * SLOT_BYTES;
    const wanted = slotOf(sample.bytes);
    const made = [theirs, assembled.bytes].map((bytes) => bytes.subarray(at, at + SLOT_BYTES));
    if (made.every((slot) => Buffer.compare(slot, wanted) === 0)) return [];
    const [nasm, ours] = made.map((slot) => Buffer.from(slot).toString('hex'));
    return [`${describeSample(sample)} => ${lines[i]}: NASM ${nasm}, ours ${ours}`];
  });
}

/** The bytes, or the lines that NASM refuses. */
function nasmOf(source: string): Uint8Array | string {
  try {
    return assembleSourceWithNasm(source);
  } catch (thrown) {
    const written = source.split('\n');
    const lines = [...String(thrown).matchAll(/asm:(\d+): error/g)];
    return `NASM refuses ${lines.map(([, line]) => written[Number(line) - 1]).join('; ')}`;
  }
}

/** 0F 1A and 0F 1B with 16-bit addresses, which MPX excludes, and objdump garbles. */
function isUnknownToObjdump({ instruction: { row, addressWidth } }: Sample): boolean {
  if (row.mnemonic === 'NOP') return addressWidth === 16 && /^0F 1[AB]/.test(row.pattern.text);
  return row.mnemonic === 'SALC';
}

function isAsAsked({
  asked,
  askedRow,
  encodedRow,
  codeSize,
  address,
  instruction,
  bytes,
}: Sample): boolean {
  if (instruction.lengthBytes !== bytes.length) return false;
  // AX and RAX exchanged with themselves are NOP.
  if (instruction.row.mnemonic === 'NOP') return ['NOP', 'XCHG'].includes(askedRow.mnemonic);
  if (!encodedRow.encodeOnly && instruction.row !== encodedRow) return false;
  // AAM and AAD alone stand for base 10.
  if (/^AA[MD]$/.test(askedRow.mnemonic) && asked.length === 0) return bytes[1] === 10;
  if (!isSameOpcode(instruction.row, encodedRow)) return false;
  const end = address.add(bytes.length);
  const isExplicit = (row: Row) => (_: unknown, i: number) => row.operands[i]?.place !== 'implied';
  const got = instruction.operands.filter(isExplicit(instruction.row));
  const wanted = asked.filter(isExplicit(encodedRow));
  // XCHG encodes its operands in either order.
  if (askedRow.mnemonic === 'XCHG' && encodedRow.encodeOnly) wanted.reverse();
  if (encodedRow.pattern.suffix >= 0) wanted.push(numberOperand(encodedRow.pattern.suffix));
  return (
    got.length === wanted.length &&
    got.every((operand, i) => {
      const askedFor = askedText(wanted[i], operand, codeSize);
      return (
        withoutWidth(encodedRow, operandText(operand, end)) === withoutWidth(encodedRow, askedFor)
      );
    })
  );
}

/** What the name of CMPEQPS and kin says is a number in the encoding. */
function numberOperand(value: number): AssemblyOperand {
  const plain = { width: 0, strict: false, relocatable: false, distance: null } as const;
  return { kind: 'number', value: Long.fromInt(value), ...plain };
}

function isSameOpcode({ pattern: a }: Row, { pattern: b }: Row): boolean {
  return a.map === b.map && a.opcode === b.opcode && a.modrmValue === b.modrmValue;
}

/** Forms that only assemble name a register by a width that the encoding does not have. */
function withoutWidth(row: Row, text: string): string {
  const isWider = row.encodeOnly && ['MOV', 'SLDT', 'LAR', 'LSL', 'RDPID'].includes(row.mnemonic);
  return isWider ? text.replace(/ :\d+$/, '') : text;
}

function describeSample({ instruction, address, bytes, askedRow }: Sample): string {
  const hex = Buffer.from(bytes).toString('hex');
  return `${syntax(askedRow)}: ${hex} is ${format(instruction, address)}`;
}
