// The instruction table: every row, and the two indexes that decoder and encoder look into.

import type { CodeSize } from './registers.ts';
import { existsIn, type Row } from './row.ts';
import { arithmetic } from './rows/arithmetic.ts';
import { bitFields } from './rows/bit-fields.ts';
import { control } from './rows/control.ts';
import { decimal } from './rows/decimal.ts';
import { hints, reservedHints } from './rows/hints.ts';
import { logicAndBits, testAliases } from './rows/logic.ts';
import { protection } from './rows/protection.ts';
import { sseFloats } from './rows/sse-floats.ts';
import { sseIntegers } from './rows/sse-integers.ts';
import { sseMoves } from './rows/sse-moves.ts';
import { stackRows } from './rows/stack.ts';
import { stringLeftovers, strings } from './rows/strings.ts';
import { systemLeftovers, systemRows } from './rows/system.ts';
import { transfer } from './rows/transfer.ts';
import { vmxRows } from './rows/vmx.ts';
import { x87Rows } from './rows/x87.ts';

/** All rows, in the order in which the encoder prefers them among equally short encodings. */
export const ROWS: readonly Row[] = [
  ...transfer,
  ...arithmetic,
  ...logicAndBits,
  ...bitFields,
  ...stackRows,
  ...control,
  ...strings,
  ...decimal,
  ...hints,
  ...protection,
  ...vmxRows,
  ...systemRows,
  ...sseMoves,
  ...sseIntegers,
  ...sseFloats,
  ...x87Rows,
];

/** Rows for the decoder alone: what no other row takes of some opcodes. */
const LEFTOVERS: readonly Row[] = [
  ...reservedHints,
  ...systemLeftovers,
  ...stringLeftovers,
  ...testAliases,
];

/** Rows that an opcode byte of a map may begin, most specific first. */
export function rowsByOpcode(
  codeSize: CodeSize,
  map: number,
  opcode: number,
  vex = false,
): readonly Row[] {
  const index = BY_OPCODE.get(codeSize) ?? indexByOpcode(codeSize);
  return index[opcodeKey(map, opcode, vex)] ?? [];
}

function opcodeKey(map: number, opcode: number, vex: boolean): number {
  return (vex ? 1 << 10 : 0) | (map << 8) | opcode;
}

/** Rows of a mnemonic, in upper case: all, or those that code of one size can contain. */
export function rowsByMnemonic(mnemonic: string, codeSize?: CodeSize): readonly Row[] {
  const rows = BY_MNEMONIC.get(mnemonic) ?? [];
  return codeSize === undefined ? rows : rows.filter((row) => existsIn(row, codeSize));
}

/** The rows that code of this size can contain. */
export function rowsIn(codeSize: CodeSize): readonly Row[] {
  return ROWS.filter((row) => existsIn(row, codeSize));
}

/** Every mnemonic, in upper case: all, or those that code of one size can contain. */
export function mnemonics(codeSize?: CodeSize): Iterable<string> {
  if (codeSize === undefined) return BY_MNEMONIC.keys();
  return [...BY_MNEMONIC.keys()].filter((name) => rowsByMnemonic(name, codeSize).length > 0);
}

/** Of each code size that somebody decodes. */
const BY_OPCODE = new Map<CodeSize, Row[][]>();
const BY_MNEMONIC = indexByMnemonic();

function indexByOpcode(codeSize: CodeSize): Row[][] {
  const index: Row[][] = [];
  for (const row of [...ROWS, ...LEFTOVERS]) {
    if (row.encodeOnly || !existsIn(row, codeSize)) continue;
    const { map, opcode, plusRegister, vex } = row.pattern;
    for (let low = 0; low < (plusRegister ? 8 : 1); low++) {
      const key = opcodeKey(map, opcode + low, vex);
      index[key] ??= [];
      index[key].push(row);
    }
  }
  for (const rows of index) {
    if (rows !== undefined && rows.length > 1) rows.sort((a, b) => specificity(b) - specificity(a));
  }
  BY_OPCODE.set(codeSize, index);
  return index;
}

function indexByMnemonic(): Map<string, Row[]> {
  const index = new Map<string, Row[]>();
  for (const row of ROWS) {
    const rows = index.get(row.mnemonic);
    if (rows === undefined) index.set(row.mnemonic, [row]);
    else rows.push(row);
  }
  return index;
}

/** How much of the encoding a row pins down; where two rows match, the higher one is meant. */
function specificity(row: Row): number {
  const { mandatoryPrefix, modrm, noRexB } = row.pattern;
  return (
    (mandatoryPrefix > 0 ? 32 : 0) +
    (noRexB ? 16 : 0) +
    (modrm === 'fixed' ? 8 : 0) +
    (modrm === 'digit' ? 4 : 0) +
    (row.width !== 0 ? 2 : 0) +
    (row.addressWidth !== 0 ? 1 : 0)
  );
}
