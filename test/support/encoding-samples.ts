// Instructions for comparing assemblers and disassemblers: every row in every code that can contain
// it, with all forms of its operands and the prefixes that go with it, encoded and decoded again.

import Long from 'long';
import {
  type AssemblyOperand,
  type AssemblyPrefixes,
  type CodeSize,
  decode,
  encode,
  type Instruction,
  NO_PREFIXES,
  type Row,
  rowsIn,
  syntax,
} from '../../src/isa/index.ts';
import type { Prng } from '../../src/sim/index.ts';
import { assemblyForms } from './assembly-forms.ts';
import { SLOT_BYTES } from './outside-tools.ts';

export interface Sample {
  readonly asked: readonly AssemblyOperand[];
  readonly askedRow: Row;
  readonly encodedRow: Row;
  readonly codeSize: CodeSize;
  readonly address: Long;
  readonly bytes: Uint8Array;
  readonly instruction: Instruction;
}

export interface Samples {
  readonly samples: readonly Sample[];
  /** Forms that could not be encoded, or not decoded again. */
  readonly failures: readonly string[];
}

/**
 * So many slots fit a segment of 64 KiB with room for targets before and behind; a program for
 * comparison is as long as that.
 */
export const CHUNK_SLOTS = 1024;
export const EMPTY_SLOTS = 20;

/** Where the n-th sample stands: in slots of a chunk, behind the empty ones. */
export function addressOf(n: number): Long {
  return Long.fromNumber(((n % CHUNK_SLOTS) + EMPTY_SLOTS) * SLOT_BYTES);
}

/**
 * Samples of all rows for one code size.
 * @param share of the shapes of addresses; each row meets one at random if it is not given
 * @param first the number of the first sample
 */
export function encodingSamples(
  codeSize: CodeSize,
  prng: Prng,
  share: number | undefined,
  first: number,
): Samples {
  const samples: Sample[] = [];
  const failures: string[] = [];
  for (const row of rowsIn(codeSize)) {
    for (const prefixes of prefixForms(row, codeSize)) {
      for (const operands of assemblyForms(row, prng, codeSize, share)) {
        if (prefixes.lock && operands[0]?.kind !== 'memory') continue;
        const taken = sample(row, operands, prefixes, codeSize, addressOf(first + samples.length));
        if (typeof taken === 'string') failures.push(taken);
        else samples.push(taken);
      }
    }
  }
  return { samples, failures };
}

/** Prefixes that go with the row, beside none. */
function prefixForms(row: Row, codeSize: CodeSize): AssemblyPrefixes[] {
  // ENTER and LEAVE have no other way to ask for another operand size.
  const isOther = row.operandSize === 'default64' && row.width !== codeSize;
  if (isOther && /^(ENTER|LEAVE)$/.test(row.mnemonic)) {
    return [{ ...NO_PREFIXES, operandWidth: row.width }];
  }
  const forms = [NO_PREFIXES];
  if (row.repeat !== undefined) {
    const addressWidth = codeSize === 32 ? 16 : 32;
    forms.push({ ...NO_PREFIXES, repeat: 'rep' }, { ...NO_PREFIXES, repeat: 'repne' });
    forms.push({ ...NO_PREFIXES, repeat: 'rep', addressWidth, segment: 4 });
  }
  if (row.lock) forms.push({ ...NO_PREFIXES, lock: true });
  return forms;
}

function sample(
  row: Row,
  operands: readonly AssemblyOperand[],
  prefixes: AssemblyPrefixes,
  codeSize: CodeSize,
  address: Long,
): Sample | string {
  const isBranch = row.operands.some(({ place }) => place === 'relative');
  const asked = operands.map((operand) =>
    isBranch && operand.kind === 'number'
      ? { ...operand, value: operand.value.add(address) }
      : operand,
  );
  const encoded = encode(row.mnemonic, asked, prefixes, address, codeSize);
  const what = `${codeSize}-bit ${syntax(row)}`;
  if (encoded.kind === 'error') return `${what}: ${encoded.message} ${JSON.stringify(operands)}`;
  const { bytes, row: encodedRow } = encoded;
  const decoded = decode(bytes, 0, bytes.length, codeSize);
  if (decoded.kind !== 'instruction') {
    return `${what}: ${Buffer.from(bytes).toString('hex')} is ${decoded.kind}`;
  }
  const { instruction } = decoded;
  return { asked, askedRow: row, encodedRow, codeSize, address, bytes, instruction };
}
