// The table tests itself. Which rows match which bytes is worked out here from the opcode patterns,
// not by the decoder.

import { describe, expect, test } from 'vitest';
import { CODE_SIZES, type CodeSize, ROWS, type Row, rowsIn, syntax } from '../../src/isa/index.ts';

/** What of an encoding decides about its row. */
interface Encoding {
  readonly operandSize: boolean;
  readonly addressSize: boolean;
  /** 0, F2 or F3. */
  readonly repeat: number;
  readonly rex: number;
  /** Low three bits of an opcode that holds a register. */
  readonly opcodeLow: number;
  readonly modrm: number;
}

const REX = [0, 0x41, 0x44, 0x48, 0x49];
const MODRM_ALL = Array.from({ length: 256 }, (_, byte) => byte);
/** Every value of reg, with memory and with a register. */
const MODRM_SOME = MODRM_ALL.filter((byte) => (byte & 7) === 0 && byte % 0xc0 < 0x40);

function encodings(hasFixedModrm: boolean): Encoding[] {
  const found: Encoding[] = [];
  for (const operandSize of [false, true]) {
    for (const addressSize of [false, true]) {
      for (const repeat of [0, 0xf2, 0xf3]) {
        for (const rex of REX) {
          for (const opcodeLow of [0, 1]) {
            for (const modrm of hasFixedModrm ? MODRM_ALL : MODRM_SOME) {
              found.push({ operandSize, addressSize, repeat, rex, opcodeLow, modrm });
            }
          }
        }
      }
    }
  }
  return found;
}

const SOME_ENCODINGS = encodings(false);
const ALL_ENCODINGS = encodings(true);

function matches(row: Row, encoding: Encoding, codeSize: CodeSize): boolean {
  const { pattern } = row;
  const { operandSize, addressSize, repeat, rex, opcodeLow, modrm } = encoding;
  if (!pattern.plusRegister && opcodeLow !== 0) return false;
  if (pattern.mandatoryPrefix === -1 && (operandSize || repeat !== 0)) return false;
  if (pattern.mandatoryPrefix === -2 && repeat !== 0) return false;
  if (pattern.mandatoryPrefix === 0x66) {
    if (!operandSize || repeat !== 0) return false;
  } else if (pattern.mandatoryPrefix > 0 && repeat !== pattern.mandatoryPrefix) return false;
  if (pattern.noRexB && (rex & 1) !== 0) return false;
  if (row.width !== 0 && row.width !== widthOf(row, encoding, codeSize)) return false;
  const addressWidth = addressSize ? (codeSize === 32 ? 16 : 32) : codeSize;
  if (row.addressWidth !== 0 && row.addressWidth !== addressWidth) return false;
  const reg = (modrm >> 3) & 7;
  if (pattern.modrm === 'digit' && reg !== pattern.modrmValue) return false;
  if (pattern.modrm === 'fixed' && (modrm < pattern.modrmValue || modrm > pattern.modrmLast)) {
    return false;
  }
  return row.operands.every((spec) => {
    if (spec.place === 'opcode') return (opcodeLow | ((rex & 1) << 3)) !== spec.excluded;
    if (spec.place === 'reg') return reg !== spec.excluded || (rex & 4) !== 0;
    if (spec.place !== 'rm' || pattern.modrm === 'fixed') return true;
    return modrm >= 0xc0 ? spec.registerWidth !== 0 : spec.memoryWidth !== -1;
  });
}

/** Operand size in effect. */
function widthOf({ pattern, operandSize: rule }: Row, encoding: Encoding, codeSize: CodeSize) {
  const { operandSize, rex } = encoding;
  const isFixed = pattern.mandatoryPrefix === 0x66 || rule === 'dword';
  if (codeSize !== 64) {
    const other = codeSize === 16 ? 32 : 16;
    return isFixed || rule === 'native' ? 32 : operandSize ? other : codeSize;
  }
  if (rule === 'forced64' || rule === 'native' || (rex & 8) !== 0) return 64;
  return operandSize && !isFixed ? 16 : rule === 'default64' ? 64 : 32;
}

/** Pairs that share encodings although neither is a special case of the other. */
function overlapsAmong(rows: readonly Row[], codeSize: CodeSize): string[] {
  const hasFixed = rows.some(({ pattern }) => pattern.modrm === 'fixed');
  const all = (hasFixed ? ALL_ENCODINGS : SOME_ENCODINGS).filter(
    ({ rex }) => rex === 0 || codeSize === 64,
  );
  const sets = rows.map((row) => all.map((encoding) => matches(row, encoding, codeSize)));
  return rows.flatMap((a, i) =>
    rows.slice(i + 1).flatMap((b, j) => {
      const [inA, inB] = [sets[i] as boolean[], sets[i + 1 + j] as boolean[]];
      const shared = inA.some((isIn, k) => isIn && inB[k]);
      const onlyA = inA.some((isIn, k) => isIn && !inB[k]);
      const onlyB = inB.some((isIn, k) => isIn && !inA[k]);
      const isAmbiguous = shared && onlyA === onlyB && !isDecidedByPrefix(a, b);
      return isAmbiguous ? [`${syntax(a)} and ${syntax(b)}`] : [];
    }),
  );
}

/** A prefix that is part of the opcode comes before everything else. */
function isDecidedByPrefix({ pattern: a }: Row, { pattern: b }: Row): boolean {
  return a.mandatoryPrefix > 0 !== b.mandatoryPrefix > 0;
}

/** 90 is NOP, unless REX.B makes it an exchange with R8. */
const KNOWN_OVERLAPS: Readonly<Record<CodeSize, readonly string[]>> = {
  16: ['XCHG AX, r16 and NOP'],
  32: ['XCHG AX, r16 and NOP'],
  64: ['XCHG AX, r16 and NOP', 'XCHG RAX, r64 and NOP'],
};

describe('the instruction table', () => {
  test.each(CODE_SIZES)(
    'of two rows that match the same bytes, one is a special case of the other: %i bits',
    (codeSize) => {
      const decodable = rowsIn(codeSize).filter(({ encodeOnly }) => !encodeOnly);
      const byOpcode = new Map<number, Row[]>();
      for (const row of decodable) {
        const { map, opcode: byte, vex } = row.pattern;
        // VEX is no prefix to these: its rows are told apart by the prefix that it names.
        const opcode = vex ? -1 - row.pattern.mandatoryPrefix * 0x10000 - byte : (map << 8) | byte;
        byOpcode.set(opcode, [...(byOpcode.get(opcode) ?? []), row]);
      }
      const overlaps = [...byOpcode.values()].flatMap((rows) => overlapsAmong(rows, codeSize));
      expect(overlaps).toEqual(KNOWN_OVERLAPS[codeSize]);
    },
  );

  test('rows of a mnemonic differ in syntax, or in the operand size', () => {
    const seen = new Map<string, Row>();
    const twice = ROWS.filter((row) => {
      const key = `${syntax(row)} ${row.width} ${row.pattern.text}`;
      const isKnown = seen.has(key);
      seen.set(key, row);
      return isKnown;
    });
    expect(twice.map(syntax)).toEqual([]);
  });

  test('LOCK is legal where the SDM says so', () => {
    expect(mnemonicsWith(({ lock }) => lock === true)).toBe(
      'ADC ADD AND BTC BTR BTS CMPXCHG CMPXCHG16B CMPXCHG8B DEC INC NEG NOT OR SBB SUB XADD XCHG XOR',
    );
  });

  test('privileges are those of the SDM', () => {
    const having = (wanted: string) => mnemonicsWith(({ privilege }) => privilege === wanted);
    expect(having('supervisor')).toBe(
      'CLTS HLT INVD INVLPG INVPCID LGDT LIDT LLDT LMSW LTR MOV RDMSR SWAPGS SYSEXIT WBINVD WBNOINVD WRMSR',
    );
    expect(having('iopl')).toBe('CLI STI');
    expect(having('umip')).toBe('SGDT SIDT SLDT SMSW STR');
    expect(having('io')).toBe('IN INSB INSD INSW OUT OUTSB OUTSD OUTSW');
    expect(having('tsc')).toBe('RDTSC RDTSCP');
  });
});

function mnemonicsWith(chosen: (row: Row) => boolean): string {
  return [
    ...new Set(
      rowsIn(64)
        .filter(chosen)
        .map(({ mnemonic }) => mnemonic),
    ),
  ]
    .sort()
    .join(' ');
}
