// Encoder, decoder and formatter against each other over all operand forms of every row, and
// against NASM and objdump.

import type Long from 'long';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type AssemblyOperand,
  type AssemblyPrefixes,
  CODE_SIZES,
  type CodeSize,
  decode,
  encode,
  format,
  type Instruction,
  NO_PREFIXES,
  type Row,
  rowsIn,
  syntax,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { assemblyForms } from '../support/assembly-forms.ts';
import { isSameMnemonic } from '../support/objdump-names.ts';
import {
  assembleInChunks,
  disassembleWithObjdump,
  missing,
  slotAddress,
  slotOf,
} from '../support/outside-tools.ts';
import { askedText, forNasm, isKnownToNasm, operandText } from '../support/same-instruction.ts';

interface Sample {
  readonly asked: readonly AssemblyOperand[];
  readonly askedRow: Row;
  readonly encodedRow: Row;
  readonly address: Long;
  readonly bytes: Uint8Array;
  readonly instruction: Instruction;
}

/** Everything that can be asked for, and what came of it. */
class Samples {
  readonly codeSize: CodeSize;
  readonly taken: Sample[] = [];
  readonly failures: string[] = [];

  constructor(codeSize: CodeSize) {
    this.codeSize = codeSize;
    const prng = new Prng(1);
    for (const row of rowsIn(codeSize)) {
      for (const prefixes of prefixForms(row, codeSize)) {
        for (const operands of assemblyForms(row, prng, codeSize)) {
          this.take(row, operands, prefixes);
        }
      }
    }
  }

  private take(row: Row, operands: readonly AssemblyOperand[], prefixes: AssemblyPrefixes): void {
    const { codeSize, taken, failures } = this;
    if (prefixes.lock && operands[0]?.kind !== 'memory') return;
    const address = slotAddress(taken.length);
    const isBranch = row.operands.some(({ place }) => place === 'relative');
    const asked = operands.map((operand) =>
      isBranch && operand.kind === 'number'
        ? { ...operand, value: operand.value.add(address) }
        : operand,
    );
    const encoded = encode(row.mnemonic, asked, prefixes, address, codeSize);
    if (encoded.kind === 'error') {
      failures.push(`${syntax(row)}: ${encoded.message} ${JSON.stringify(operands)}`);
      return;
    }
    const { bytes, row: encodedRow } = encoded;
    const decoded = decode(bytes, 0, bytes.length, codeSize);
    if (decoded.kind !== 'instruction') {
      failures.push(`${syntax(row)}: ${Buffer.from(bytes).toString('hex')} is ${decoded.kind}`);
      return;
    }
    const { instruction } = decoded;
    taken.push({ asked, askedRow: row, encodedRow, address, bytes, instruction });
  }
}

/** Prefixes that go with the row, beside none; or the one without which it is another row. */
function prefixForms(row: Row, codeSize: CodeSize): AssemblyPrefixes[] {
  const isOpen = row.operands.every(
    ({ place, unsigned, registerClass }) =>
      unsigned || (place === 'implied' && registerClass === 'segment'),
  );
  if (isOpen && row.operandSize === 'default64' && row.width !== 0 && row.width !== codeSize) {
    return [{ ...NO_PREFIXES, operandWidth: row.width }];
  }
  const forms = [NO_PREFIXES];
  if (row.repeat !== undefined) {
    forms.push({ ...NO_PREFIXES, repeat: 'rep' }, { ...NO_PREFIXES, repeat: 'repne' });
    forms.push({
      ...NO_PREFIXES,
      repeat: 'rep',
      addressWidth: codeSize === 32 ? 16 : 32,
      segment: 4,
    });
  }
  if (row.lock) forms.push({ ...NO_PREFIXES, lock: true });
  return forms;
}

describe.each(CODE_SIZES)('code of %i bits', (codeSize) => {
  let all: Samples;
  let samples: readonly Sample[];

  beforeAll(() => {
    all = new Samples(codeSize);
    samples = all.taken;
  });

  test('every form encodes, and decodes', () => {
    expect(all.failures.slice(0, 20)).toEqual([]);
  });

  test('what is decoded is what was asked for', () => {
    const wrong = samples.filter((sample) => !isAsAsked(sample)).map(describeSample);
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('every row is encoded by some form, but for those that need a prefix or are longer', () => {
    const chosen = new Set(samples.map(({ encodedRow }) => encodedRow));
    const never = rowsIn(codeSize).filter((row) => !chosen.has(row) && !isAlias(row));
    expect(never.map(({ mnemonic, pattern }) => `${mnemonic} ${pattern.text}`)).toEqual(
      NEVER[codeSize],
    );
  });

  test('NASM assembles the formatted text to the same bytes', (context) => {
    const reason = missing('nasm');
    if (reason !== null) context.skip(reason);
    const texts = samples.map(({ instruction, address }) =>
      isKnownToNasm(instruction.row) ? forNasm(format(instruction, address)) : '',
    );
    const assembled = assembleInChunks(texts, codeSize);
    const wrong = samples.filter(
      ({ bytes }, i) =>
        texts[i] !== '' && Buffer.compare(assembled[i] as Uint8Array, slotOf(bytes)) !== 0,
    );
    expect(wrong.slice(0, 20).map(describeSample)).toEqual([]);
  });

  test('objdump agrees on length and mnemonic', (context) => {
    const reason = missing('objdump');
    if (reason !== null) context.skip(reason);
    const codes = samples.map(({ bytes }) => bytes);
    const seen = disassembleWithObjdump(codes, 'intel', codeSize);
    const wrong = samples.flatMap((sample, i) => {
      const { lengthBytes, text } = seen[i] ?? { lengthBytes: 0, text: 'nothing' };
      const { mnemonic } = sample.instruction.row;
      if (mnemonic === 'SALC') return [];
      const isSame = lengthBytes === sample.bytes.length && isSameMnemonic(mnemonic, text);
      return isSame ? [] : [`${describeSample(sample)}, objdump: ${lengthBytes} ${text}`];
    });
    expect(wrong.slice(0, 20)).toEqual([]);
  });
});

/** SAL /6 does what /4 does, and 82 what 80 does; NASM writes the latter. */
function isAlias({ pattern, mnemonic, encodeOnly }: Row): boolean {
  return pattern.opcode === 0x82 || (mnemonic === 'SAL' && !encodeOnly);
}

/** Of these, the form that suits the code is shorter, and named otherwise where it does not. */
const SIZED_BY_CODE = (width: number) => [
  ...[`PUSHA o${width} 60`, `POPA o${width} 61`, `RETF o${width} CB`, `RETF o${width} CA iw`],
  `IRET o${width} CF`,
];

const NEVER: Readonly<Record<CodeSize, readonly string[]>> = {
  16: SIZED_BY_CODE(32),
  32: SIZED_BY_CODE(16),
  64: ['MOV 8C /r', 'SLDT 0F 00 /0', 'SYSRET o64 0F 07', 'SYSEXIT o64 0F 35'],
};

function isAsAsked({ asked, askedRow, encodedRow, address, instruction, bytes }: Sample): boolean {
  if (instruction.lengthBytes !== bytes.length) return false;
  // The 10 of AAM and AAD is not said.
  if (/^AA[MD]$/.test(askedRow.mnemonic) && asked.length === 0) return bytes[1] === 10;
  // AX and RAX exchanged with themselves are NOP.
  if (instruction.row.mnemonic === 'NOP') return ['NOP', 'XCHG'].includes(askedRow.mnemonic);
  if (!encodedRow.encodeOnly && instruction.row !== encodedRow) return false;
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
      const askedFor = askedText(wanted[i], operand);
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
