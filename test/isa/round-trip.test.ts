// Encoder, decoder and formatter against each other over all operand forms of every row, and
// against NASM and objdump.

import Long from 'long';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  type AssemblyOperand,
  type AssemblyPrefixes,
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
  assembleWithNasm,
  disassembleWithObjdump,
  missing,
  SLOT_BYTES,
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

const samples: Sample[] = [];
const failures: string[] = [];

beforeAll(() => {
  const prng = new Prng(1);
  for (const row of rowsIn(64)) {
    for (const prefixes of prefixForms(row)) {
      for (const operands of assemblyForms(row, prng)) take(row, operands, prefixes);
    }
  }
});

/** Prefixes that go with the row, beside none. */
function prefixForms(row: Row): AssemblyPrefixes[] {
  const forms = [NO_PREFIXES];
  if (row.repeat !== undefined) {
    forms.push({ ...NO_PREFIXES, repeat: 'rep' }, { ...NO_PREFIXES, repeat: 'repne' });
    forms.push({ ...NO_PREFIXES, repeat: 'rep', addressWidth: 32, segment: 4 });
  }
  if (row.lock) forms.push({ ...NO_PREFIXES, lock: true });
  return forms;
}

function take(row: Row, operands: readonly AssemblyOperand[], prefixes: AssemblyPrefixes): void {
  if (prefixes.lock && operands[0]?.kind !== 'memory') return;
  const address = Long.fromNumber(samples.length * SLOT_BYTES);
  const isBranch = row.operands.some(({ place }) => place === 'relative');
  const asked = operands.map((operand) =>
    isBranch && operand.kind === 'number'
      ? { ...operand, value: operand.value.add(address) }
      : operand,
  );
  const encoded = encode(row.mnemonic, asked, prefixes, address);
  if (encoded.kind === 'error') {
    failures.push(`${syntax(row)}: ${encoded.message} ${JSON.stringify(operands)}`);
    return;
  }
  const { bytes, row: encodedRow } = encoded;
  const decoded = decode(bytes, 0, bytes.length, 64);
  if (decoded.kind !== 'instruction') {
    failures.push(`${syntax(row)}: ${Buffer.from(bytes).toString('hex')} is ${decoded.kind}`);
    return;
  }
  const { instruction } = decoded;
  samples.push({ asked, askedRow: row, encodedRow, address, bytes, instruction });
}

describe('encoder and decoder', () => {
  test('every form encodes, and decodes', () => {
    expect(failures.slice(0, 20)).toEqual([]);
  });

  test('what is decoded is what was asked for', () => {
    const wrong = samples.filter((sample) => !isAsAsked(sample)).map(describeSample);
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('every row is encoded by some form, but for those that need a prefix or are longer', () => {
    const chosen = new Set(samples.map(({ encodedRow }) => encodedRow));
    const never = rowsIn(64).filter((row) => !chosen.has(row));
    const aliases = never.filter(({ mnemonic, encodeOnly }) => mnemonic === 'SAL' && !encodeOnly);
    expect(aliases).toHaveLength(12);
    const others = never.filter((row) => !aliases.includes(row));
    expect(others.map(({ mnemonic, pattern }) => `${mnemonic} ${pattern.text}`)).toEqual([
      'MOV 8C /r',
      'LEAVE o16 C9',
      'ENTER o16 C8 iw ib',
      'SLDT 0F 00 /0',
      'SYSRET o64 0F 07',
      'SYSEXIT o64 0F 35',
    ]);
  });
});

describe('NASM', () => {
  test('assembles the formatted text to the same bytes', (context) => {
    const reason = missing('nasm');
    if (reason !== null) context.skip(reason);
    const chosen = samples.filter(({ instruction }) => isKnownToNasm(instruction.row));
    const lines = chosen.map(({ instruction, address }) => forNasm(format(instruction, address)));
    // Addresses stay those of the samples, so what is left out leaves empty slots.
    const slots = samples.map(() => '');
    chosen.forEach(({ address }, i) => {
      slots[address.toNumber() / SLOT_BYTES] = lines[i];
    });
    const assembled = assembleWithNasm(slots);
    const wrong = chosen.filter(({ address, bytes }) => {
      const slot = assembled[address.toNumber() / SLOT_BYTES];
      return Buffer.compare(slot, slotOf(bytes)) !== 0;
    });
    expect(wrong.slice(0, 20).map(describeSample)).toEqual([]);
  });
});

describe('objdump', () => {
  test('agrees on length and mnemonic', (context) => {
    const reason = missing('objdump');
    if (reason !== null) context.skip(reason);
    const seen = disassembleWithObjdump(samples.map(({ bytes }) => bytes));
    const wrong = samples.flatMap((sample, i) => {
      const { lengthBytes, text } = seen[i] ?? { lengthBytes: 0, text: 'nothing' };
      const isSame =
        lengthBytes === sample.bytes.length &&
        isSameMnemonic(sample.instruction.row.mnemonic, text);
      return isSame ? [] : [`${describeSample(sample)}, objdump: ${lengthBytes} ${text}`];
    });
    expect(wrong.slice(0, 20)).toEqual([]);
  });
});

function isAsAsked({ asked, askedRow, encodedRow, address, instruction, bytes }: Sample): boolean {
  if (instruction.lengthBytes !== bytes.length) return false;
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
