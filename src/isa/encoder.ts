// From a mnemonic and operands to bytes: of all rows that fit, the shortest encoding, and among
// equals the first in the table, which is what NASM chooses.

import Long from 'long';
import { type AssemblyOperand, fits } from './assembly-operand.ts';
import { type CodePlace, encodeRow, isRex } from './encoding.ts';
import {
  CODE_SIZES,
  type CodeSize,
  type RegisterName,
  registerName,
  type Width,
} from './registers.ts';
import { existsIn, type Row, syntax } from './row.ts';
import { rowsByMnemonic } from './table.ts';

/** Prefixes that assembly text can put before an instruction. */
export interface AssemblyPrefixes {
  readonly lock: boolean;
  readonly repeat: 'none' | 'rep' | 'repne';
  /** Segment override number, or -1. */
  readonly segment: number;
  /** `o16`, `o32`, `o64`, or 0. */
  readonly operandWidth: Width | 0;
  /** `a16`, `a32`, `a64`, or 0. */
  readonly addressWidth: Width | 0;
  /** Prefixes besides those that the operands ask for, each as it is encoded. */
  readonly extra?: readonly number[];
  /** What a suffix of the mnemonic says that the instruction works on, if it has one. */
  readonly suffix?: Width;
  /** Whose order prefixes come in, NASM's if nothing is said. The processor takes any. */
  readonly order?: 'gnu';
}

export const NO_PREFIXES: AssemblyPrefixes = {
  lock: false,
  repeat: 'none',
  segment: -1,
  operandWidth: 0,
  addressWidth: 0,
};

/** The bytes of an encoding that hold the number of an operand. */
export interface EncodedField {
  /** Offset into the instruction. */
  readonly at: number;
  readonly lengthBytes: number;
}

export type Encoded =
  | {
      readonly kind: 'bytes';
      readonly bytes: Uint8Array;
      readonly row: Row;
      /** For each operand where its number, displacement or offset stands; null if it has none. */
      readonly fields: readonly (EncodedField | null)[];
    }
  /** `expected` lists the operand forms that the mnemonic has. */
  | { readonly kind: 'error'; readonly message: string; readonly expected: readonly string[] };

/** What a row is to be found for. */
interface Asked {
  readonly operands: readonly AssemblyOperand[];
  readonly prefixes: AssemblyPrefixes;
  readonly codeSize: CodeSize;
}

/**
 * Encode one instruction.
 * @param mnemonic in upper case
 * @param address where the instruction will stand, for relative operands
 * @param codeSize what code it will be part of
 */
export function encode(
  mnemonic: string,
  operands: readonly AssemblyOperand[],
  prefixes: AssemblyPrefixes,
  address: Long,
  codeSize: CodeSize,
): Encoded {
  const known = rowsByMnemonic(mnemonic);
  if (known.length === 0) return failure(`unknown instruction '${mnemonic.toLowerCase()}'`, []);
  const asked: Asked = { operands, prefixes, codeSize };
  const wrong = foreignPart(asked);
  if (wrong !== null) return failure(wrong, []);
  const rows = known.filter((row) => existsIn(row, codeSize));
  const matching = rows.filter((row) => matches(row, asked));
  if (matching.length === 0) return explain(known, rows, asked);
  if (sizeIsOpen(rows, asked)) {
    const sizes = codeSize === 64 ? 'byte, word, dword or qword' : 'byte, word or dword';
    const letters = codeSize === 64 ? 'b, w, l or q' : 'b, w or l';
    return failure('operation size not specified', [
      prefixes.order === 'gnu'
        ? `a suffix ${letters}; in Intel syntax dword ptr and so on`
        : `${sizes} before the operand`,
    ]);
  }
  const place: CodePlace = { address, codeSize };
  let best: Encoded | null = null;
  for (const row of preferred(matching, operands)) {
    const encoded = encodeRow(row, operands, prefixes, place);
    if (best === null || isShorter(encoded, best)) best = encoded;
  }
  return best as Encoded;
}

function failure(message: string, expected: readonly string[]): Encoded {
  return { kind: 'error', message, expected };
}

function isShorter(candidate: Encoded, than: Encoded): boolean {
  if (candidate.kind === 'error') return false;
  return than.kind === 'error' || candidate.bytes.length < than.bytes.length;
}

/** Why code of this size cannot have the prefixes or name the registers, or null. */
function foreignPart({ operands, prefixes, codeSize }: Asked): string | null {
  if (codeSize === 64) {
    return prefixes.addressWidth === 16 ? '16-bit addresses do not exist in 64-bit mode' : null;
  }
  const onlyThere = (what: string) => `${what} exists in 64-bit mode only`;
  if (prefixes.operandWidth === 64) return onlyThere("'o64'");
  if (prefixes.addressWidth === 64) return onlyThere("'a64'");
  if (prefixes.extra?.some(isRex) === true) return onlyThere('REX');
  for (const operand of operands) {
    const registers =
      operand.kind === 'register'
        ? [operand.register]
        : operand.kind === 'memory'
          ? [operand.base, operand.index].filter((register) => register !== null)
          : [];
    const wide = registers.find(needsLongMode);
    if (wide !== undefined) return onlyThere(`register '${registerName(wide)}'`);
  }
  return null;
}

/** Registers that only a REX prefix can name. */
function needsLongMode({ class: kind, number, width, high }: RegisterName): boolean {
  if (number >= 8) return true;
  return kind === 'general' && (width === 64 || (width === 8 && number >= 4 && !high));
}

function matches(row: Row, { operands, prefixes, codeSize }: Asked): boolean {
  if (row.operands.length !== operands.length) return false;
  if (prefixes.operandWidth !== 0 && !takesOperandWidth(row, prefixes.operandWidth)) return false;
  const addressWidth = prefixes.addressWidth === 0 ? row.addressWidth : prefixes.addressWidth;
  if (row.addressWidth !== 0 && row.addressWidth !== addressWidth) return false;
  const { suffix } = prefixes;
  if (suffix !== undefined && !worksOn(row, suffix, codeSize)) return false;
  if (!isSaid(row, { operands, prefixes, codeSize })) return false;
  return row.operands.every((_, i) => operandFits(row, i, operands[i], codeSize));
}

/** Whether a suffix can mean the row: rows without a width of their own go by their operands. */
function worksOn(row: Row, suffix: Width, codeSize: CodeSize): boolean {
  if (row.mnemonic === 'CRC32') {
    const source = row.operands[1];
    return source?.memoryWidth === suffix;
  }
  if (row.width !== 0) return row.width === suffix;
  const widths = row.operands.flatMap(({ registerWidth, memoryWidth, fixed }) =>
    [registerWidth, memoryWidth, fixed?.width ?? 0].filter((width) => width > 0),
  );
  if (widths.length > 0) return widths.includes(suffix);
  return codeSize === 64 ? suffix === 64 : suffix === 16 || suffix === 32;
}

function operandFits(
  row: Row,
  index: number,
  operand: AssemblyOperand,
  codeSize: CodeSize,
): boolean {
  const spec = row.operands[index];
  if (fits(operand, spec, operationWidth(row), codeSize)) return true;
  // A count or bit number of 8 bits (SHL, BT) is not extended, and may be any byte.
  return operand.kind === 'number' && spec.immediateWidth === 8 && !isExtended(row, index)
    ? fits(operand, { ...spec, unsigned: true }, 8, codeSize)
    : false;
}

/** Whether a byte at `index` is short for a number as wide as the operation. */
function isExtended(row: Row, index: number): boolean {
  return rowsByMnemonic(row.mnemonic).some((other) => {
    const spec = other.operands[index];
    return spec?.place === 'immediate' && spec.immediateWidth > 8;
  });
}

/** Whether `o16`, `o32` or `o64` can stand before the row without making something else of it. */
function takesOperandWidth(row: Row, width: Width): boolean {
  // What is 64 bits wide without REX.W would get one all the same.
  if (row.width !== 0) {
    const isDefault = row.operandSize !== undefined && row.operandSize !== 'dword';
    const isWide = row.width === 64 && isDefault;
    return row.width === width && (!isWide || row.operands.length > 0);
  }
  if (width === 64) return row.operands.length === 0;
  return row.operands.every(({ registerWidth, memoryWidth, fixed }) => {
    // What a segment register is pushed as is another matter than its own width.
    const fixedWidth = fixed === null || fixed.class === 'segment' ? 0 : fixed.width;
    return [registerWidth, memoryWidth, fixedWidth].every((own) => own <= 8 || own === width);
  });
}

/**
 * A form of another width than is usual for the code has to be asked for, if no register or memory
 * operand tells it (`push word 5`, `jmp dword 8:5`), unless the mnemonic has no other (PUSHFW).
 */
function isSaid(row: Row, { operands, prefixes, codeSize }: Asked): boolean {
  const { width, operandSize } = row;
  const isUsual = operandSize === undefined || operandSize === 'dword' || width === 0;
  if (isUsual && !row.operands.some(({ place }) => place === 'pointer')) return true;
  if (operands.length === 0 || !operands.every(isPlain)) return true;
  const said = operands.map(sizeOf).find((size) => size > 8) ?? 0;
  if (said === 16 || (said === 32 && codeSize !== 64)) return width === said;
  const isAsked = prefixes.operandWidth === width && row.mnemonic === 'ENTER';
  if (prefixes.suffix === width || isAsked) return true;
  return width === codeSize || rowsByMnemonic(row.mnemonic).every((other) => other.width === width);
}

function sizeOf(operand: AssemblyOperand): number {
  return operand.kind === 'register' ? 0 : operand.width;
}

function isPlain({ kind }: AssemblyOperand): boolean {
  return kind === 'number' || kind === 'pointer';
}

function operationWidth(row: Row): Width {
  const first = row.operands[0];
  if (first !== undefined && row.width === 0) {
    const width = first.fixed?.width ?? (first.registerWidth || first.memoryWidth);
    if (width > 0 && width < 128) return width as Width;
    if (first.place === 'immediate') return first.immediateWidth || 64;
  }
  return row.width === 0 ? 64 : row.width;
}

/**
 * A memory operand without size fits rows of several sizes, and nothing else decides. A number does
 * not: that it fits one size only is chance.
 */
function sizeIsOpen(rows: readonly Row[], asked: Asked): boolean {
  const { operands } = asked;
  const at = operands.findIndex((operand) => operand.kind === 'memory' && operand.width === 0);
  if (at < 0) return false;
  const zeroed = operands.map((operand) =>
    operand.kind === 'number' ? { ...operand, value: Long.ZERO } : operand,
  );
  const fitting = rows.filter((row) => matches(row, { ...asked, operands: zeroed }));
  // A branch through memory finds there what is usual for the code.
  if (fitting.every(({ cost }) => cost === 'branch')) return false;
  const widths = new Set(fitting.map((row) => row.operands[at]?.memoryWidth));
  return widths.size > 1;
}

/** For a relocatable number only the rows with the widest field are safe. */
function preferred(rows: readonly Row[], operands: readonly AssemblyOperand[]): readonly Row[] {
  const at = operands.findIndex((operand) => operand.kind === 'number' && operand.relocatable);
  if (at < 0) return rows;
  const field = (row: Row) => row.operands[at]?.immediateWidth ?? 0;
  const widest = Math.max(...rows.map(field));
  const isBranch = rows.some((row) => row.operands[at]?.place === 'relative');
  return isBranch ? rows : rows.filter((row) => field(row) === widest);
}

/** Why no row fits, as closely as the operands allow, and the forms that come nearest. */
function explain(known: readonly Row[], rows: readonly Row[], asked: Asked): Encoded {
  const { operands, prefixes, codeSize } = asked;
  const forms = (of: readonly Row[]) => [...new Set(of.map(syntax))];
  if (rows.length === 0) {
    return failure(`${known[0].mnemonic} does not exist in ${codeSize}-bit code`, []);
  }
  const unprefixed = rows.filter((row) => matches(row, { ...asked, prefixes: NO_PREFIXES }));
  if (unprefixed.length > 0 && prefixes !== NO_PREFIXES) {
    const what = prefixes.suffix === undefined ? 'a prefix' : 'the suffix';
    return failure(`${what} does not go with these operands`, []);
  }
  const sameCount = rows.filter((row) => row.operands.length === operands.length);
  const outOfRange = sameCount.filter((row) => fitsButForNumbers(row, asked));
  if (outOfRange.length > 0) return failure('number does not fit the operand', forms(outOfRange));
  const isElsewhere = CODE_SIZES.some((other) =>
    known.some((row) => existsIn(row, other) && matches(row, { ...asked, codeSize: other })),
  );
  if (isElsewhere) return failure(`this form does not exist in ${codeSize}-bit code`, []);
  const message = 'invalid combination of instruction and operands';
  if (sameCount.length === 0) return failure(message, forms(rows));
  const fitting = sameCount.map((row) => fittingOperands(row, asked));
  const most = Math.max(...fitting);
  return failure(message, forms(sameCount.filter((_, i) => fitting[i] === most)));
}

/** How many operands fit; the first, which says most about what is meant, counts double. */
function fittingOperands(row: Row, { operands, codeSize }: Asked): number {
  let fitting = 0;
  row.operands.forEach((_, i) => {
    if (operandFits(row, i, operands[i], codeSize)) fitting += i === 0 ? 2 : 1;
  });
  return fitting;
}

function fitsButForNumbers(row: Row, { operands, codeSize }: Asked): boolean {
  const operation = operationWidth(row);
  return row.operands.every((spec, i) => {
    const operand = operands[i];
    if (operand.kind === 'number' && spec.place === 'immediate') return true;
    if (operand.kind === 'pointer' && spec.place === 'pointer') return true;
    return fits(operand, spec, operation, codeSize);
  });
}
