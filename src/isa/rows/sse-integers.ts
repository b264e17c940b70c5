// SDM 2: packed integers of SSE2, and the bitwise instructions and shuffles of SSE and SSE2.

import type { Domain, Meaning, Wide } from '../domain.ts';
import type { Operand } from '../instruction.ts';
import type { Row } from '../row.ts';
import type { LaneFunction } from '../vector-functions.ts';
import {
  fromWords,
  immediateByte,
  readLanes,
  readWide,
  sse,
  words,
  writeLanes,
  writeWide,
  xmmNumber,
} from './wide-operands.ts';

type Combine = <V, B>(d: Domain<V, B>, x: V, y: V) => V;

/** One operation on both halves. */
function halves(combine: Combine): Meaning {
  return (d, dst, src) => {
    const y = readWide(d, src);
    const x = readWide(d, dst);
    writeWide(d, dst, { low: combine(d, x.low, y.low), high: combine(d, x.high, y.high) });
  };
}

const inLanes = (name: LaneFunction): Meaning => halves((d, x, y) => d.lanes(name, x, y));

/** An instruction of one form. */
function packed(mnemonic: string, summary: string, opcode: string, meaning: Meaning): Row[] {
  return sse(mnemonic, summary, meaning, [['xmm1, xmm2/m128', `66 0F ${opcode} /r`]]);
}

/** As {@link packed}, of which each operation is named for the lanes of the mnemonic. */
function packedLanes(
  summary: string,
  forms: readonly (readonly [mnemonic: string, opcode: string, name: LaneFunction])[],
): Row[] {
  return forms.flatMap(([mnemonic, opcode, name]) =>
    packed(mnemonic, summary, opcode, inLanes(name)),
  );
}

const and: Combine = (d, x, y) => d.and(x, y);
const andNot: Combine = (d, x, y) => d.and(d.not(64, x), y);
const or: Combine = (d, x, y) => d.or(x, y);
const xor: Combine = (d, x, y) => d.xor(x, y);

/** The products of the lower words. */
const multiplyWords: Combine = (d, x, y) => d.multiply(64, d.truncate(32, x), d.truncate(32, y));

/** The sum of eight differences. */
const sumDifferences: Combine = (d, x, y) => {
  const [low, high] = words(d, d.lanes('sumOfDifferences8', x, y));
  return d.add(64, low, high);
};

/** The first operand's lanes made half as wide, and then the second's. */
function pack(name: LaneFunction): Meaning {
  return (d, dst, src) => {
    const from = ({ low, high }: Wide<ReturnType<typeof d.next>>) => {
      const [a, b] = words(d, low);
      const [c, e] = words(d, high);
      return d.lanes(name, fromWords(d, a, c), fromWords(d, b, e));
    };
    const y = readWide(d, src);
    writeWide(d, dst, { low: from(readWide(d, dst)), high: from(y) });
  };
}

/** Lanes of 8 or 16 bits of the low or high halves, in turn. */
function unpack(half: keyof Wide<unknown>, width: 8 | 16): Meaning {
  return (d, dst, src) => {
    const y = readWide(d, src)[half];
    const x = readWide(d, dst)[half];
    const [a, c] = words(d, d.lanes(`interleaveLow${width}`, x, y));
    const [b, e] = words(d, d.lanes(`interleaveHigh${width}`, x, y));
    writeWide(d, dst, { low: fromWords(d, a, b), high: fromWords(d, c, e) });
  };
}

/** Lanes of both operands by number, those of the second behind those of the first. */
function arrange(width: 32 | 64, order: (choice: number) => readonly number[]): Meaning {
  return (d, dst, src, choice) => {
    const y = readLanes(d, width, src);
    const lanes = [...readLanes(d, width, dst), ...y];
    const chosen = order(choice.kind === 'immediate' ? immediateByte(choice) : 0);
    writeLanes(
      d,
      width,
      dst,
      chosen.map((lane) => lanes[lane]),
    );
  };
}

/** Two bits of a byte choose one of four. */
const choiceOf = (byte: number, at: number) => (byte >> (2 * at)) & 3;

/** PSHUFD takes all its lanes from the second operand. */
const shuffleWords: Meaning = (d, dst, src, choice) => {
  const lanes = readLanes(d, 32, src);
  const byte = immediateByte(choice);
  writeLanes(
    d,
    32,
    dst,
    lanes.map((_, at) => lanes[choiceOf(byte, at)]),
  );
};

/** PSHUFLW and PSHUFHW: four lanes of 16 bits in one half; the other is copied. */
function shuffleHalf(half: keyof Wide<unknown>): Meaning {
  return (d, dst, src, choice) => {
    const value = readWide(d, src);
    const byte = immediateByte(choice);
    const lanes = [0, 1, 2, 3].map((at) => {
      const from = d.constant(8, 16 * choiceOf(byte, at));
      const lane = d.truncate(16, d.shiftRight(value[half], from));
      return d.shiftLeft(64, lane, d.constant(8, 16 * at));
    });
    writeWide(d, dst, { ...value, [half]: lanes.reduce((sum, lane) => d.or(sum, lane)) });
  };
}

/** The count of a shift: the low half of an operand, or a number; 64 stands for all above. */
function shiftCount<V, B>(d: Domain<V, B>, operand: Operand): V {
  if (operand.kind === 'immediate') return d.constant(64, Math.min(immediateByte(operand), 64));
  const { low } = readWide(d, operand);
  const isSmall = d.isZero(d.shiftRight(low, d.constant(8, 6)));
  return d.select(isSmall, low, d.constant(64, 64));
}

/** A shift of lanes of 16 or 32 bits, which takes counts up to their width. */
function shiftLanes(name: LaneFunction, width: 16 | 32): Meaning {
  return (d, dst, amount) => {
    const given = shiftCount(d, amount);
    const most = d.constant(64, width);
    const count = d.select(d.lessUnsigned(given, most), given, most);
    const both = fromWords(d, count, count);
    const { low, high } = readWide(d, dst);
    writeWide(d, dst, { low: d.lanes(name, low, both), high: d.lanes(name, high, both) });
  };
}

function shiftHalves(shift: Combine): Meaning {
  return (d, dst, amount) => {
    const count = shiftCount(d, amount);
    const { low, high } = readWide(d, dst);
    writeWide(d, dst, { low: shift(d, low, count), high: shift(d, high, count) });
  };
}

/** All 128 bits by bytes; `inner` is the half that bits leave for the other, `outer`. */
function shiftBytes(isLeft: boolean): Meaning {
  return (d, dst, amount) => {
    const bits = 8 * Math.min(immediateByte(amount), 16);
    const toward = (x: ReturnType<typeof d.next>, count: number) =>
      isLeft ? d.shiftLeft(64, x, d.constant(8, count)) : d.shiftRight(x, d.constant(8, count));
    const away = (x: ReturnType<typeof d.next>, count: number) =>
      isLeft ? d.shiftRight(x, d.constant(8, count)) : d.shiftLeft(64, x, d.constant(8, count));
    const { low, high } = readWide(d, dst);
    const [inner, outer] = isLeft ? [low, high] : [high, low];
    const crossing = bits < 64 ? away(inner, 64 - bits) : toward(inner, bits - 64);
    const moved = d.or(bits < 64 ? toward(outer, bits) : d.constant(64, 0), crossing);
    const rest = toward(inner, bits);
    writeWide(d, dst, isLeft ? { low: rest, high: moved } : { low: moved, high: rest });
  };
}

/** A lane of 16 bits by number, of a register; its word and its place in that. */
const place16 = (byte: number) => ({ word: (byte & 7) >> 1, shift: 16 * (byte & 1) });

const insert: Meaning = (d, dst, src, choice) => {
  const { word, shift } = place16(immediateByte(choice));
  const value = d.truncate(16, d.read(src));
  const number = xmmNumber(dst);
  const kept = d.and(d.xmm(32, number, word), d.constant(32, shift === 0 ? 0xffff0000 : 0xffff));
  d.setXmm(32, number, word, d.or(kept, d.shiftLeft(32, value, d.constant(8, shift))));
};

const extract: Meaning = (d, dst, src, choice) => {
  const { word, shift } = place16(immediateByte(choice));
  const value = d.shiftRight(d.xmm(32, xmmNumber(src), word), d.constant(8, shift));
  d.write(dst, d.truncate(16, value));
};

function shifts(
  mnemonic: string,
  summary: string,
  [byRegister, byNumber, digit]: readonly [string, string, number],
  meaning: Meaning,
): Row[] {
  return sse(mnemonic, summary, meaning, [
    ['xmm1, xmm2/m128', `66 0F ${byRegister} /r`],
    ['xmm2, uimm8', `66 0F ${byNumber} /${digit} ib`],
  ]);
}

const WITH_BYTE = 'xmm1, xmm2/m128, uimm8';

export const sseIntegers = [
  ...packedLanes('Add packed integers', [
    ['PADDB', 'FC', 'add8'],
    ['PADDW', 'FD', 'add16'],
    ['PADDD', 'FE', 'add32'],
  ]),
  ...packed(
    'PADDQ',
    'Add packed quadwords',
    'D4',
    halves((d, x, y) => d.add(64, x, y)),
  ),
  ...packedLanes('Add packed integers with saturation', [
    ['PADDSB', 'EC', 'addSigned8'],
    ['PADDSW', 'ED', 'addSigned16'],
    ['PADDUSB', 'DC', 'addUnsigned8'],
    ['PADDUSW', 'DD', 'addUnsigned16'],
  ]),
  ...packedLanes('Subtract packed integers', [
    ['PSUBB', 'F8', 'subtract8'],
    ['PSUBW', 'F9', 'subtract16'],
    ['PSUBD', 'FA', 'subtract32'],
  ]),
  ...packed(
    'PSUBQ',
    'Subtract packed quadwords',
    'FB',
    halves((d, x, y) => d.sub(64, x, y)),
  ),
  ...packedLanes('Subtract packed integers with saturation', [
    ['PSUBSB', 'E8', 'subtractSigned8'],
    ['PSUBSW', 'E9', 'subtractSigned16'],
    ['PSUBUSB', 'D8', 'subtractUnsigned8'],
    ['PSUBUSW', 'D9', 'subtractUnsigned16'],
  ]),
  ...packedLanes('Multiply packed integers', [
    ['PMULLW', 'D5', 'multiplyLow16'],
    ['PMULHW', 'E5', 'multiplyHigh16'],
    ['PMULHUW', 'E4', 'multiplyHighUnsigned16'],
    ['PMADDWD', 'F5', 'multiplyAdd16'],
  ]),
  ...packed('PMULUDQ', 'Multiply packed doublewords', 'F4', halves(multiplyWords)),
  ...packedLanes('Average packed integers', [
    ['PAVGB', 'E0', 'average8'],
    ['PAVGW', 'E3', 'average16'],
  ]),
  ...packedLanes('Lesser or greater of packed integers', [
    ['PMINUB', 'DA', 'minimumUnsigned8'],
    ['PMINSW', 'EA', 'minimumSigned16'],
    ['PMAXUB', 'DE', 'maximumUnsigned8'],
    ['PMAXSW', 'EE', 'maximumSigned16'],
  ]),
  ...packed('PSADBW', 'Sum of absolute differences', 'F6', halves(sumDifferences)),
  ...packedLanes('Compare packed integers', [
    ['PCMPEQB', '74', 'equal8'],
    ['PCMPEQW', '75', 'equal16'],
    ['PCMPEQD', '76', 'equal32'],
    ['PCMPGTB', '64', 'greater8'],
    ['PCMPGTW', '65', 'greater16'],
    ['PCMPGTD', '66', 'greater32'],
  ]),
  ...(
    [
      ['PAND', 'DB', and],
      ['PANDN', 'DF', andNot],
      ['POR', 'EB', or],
      ['PXOR', 'EF', xor],
    ] as const
  ).flatMap(([name, opcode, combine]) => packed(name, 'Bitwise logic', opcode, halves(combine))),
  ...(
    [
      ['AND', '54', and],
      ['ANDN', '55', andNot],
      ['OR', '56', or],
      ['XOR', '57', xor],
    ] as const
  ).flatMap(([name, opcode, combine]) => [
    ...sse(`${name}PS`, 'Bitwise logic of packed single', halves(combine), [
      ['xmm1, xmm2/m128', `NP 0F ${opcode} /r`],
    ]),
    ...packed(`${name}PD`, 'Bitwise logic of packed double', opcode, halves(combine)),
  ]),
  ...packed('PACKSSWB', 'Pack with signed saturation', '63', pack('packSigned8')),
  ...packed('PACKSSDW', 'Pack with signed saturation', '6B', pack('packSigned16')),
  ...packed('PACKUSWB', 'Pack with unsigned saturation', '67', pack('packUnsigned8')),
  ...packed('PUNPCKLBW', 'Interleave low bytes', '60', unpack('low', 8)),
  ...packed('PUNPCKLWD', 'Interleave low words', '61', unpack('low', 16)),
  ...packed(
    'PUNPCKLDQ',
    'Interleave low doublewords',
    '62',
    arrange(32, () => [0, 4, 1, 5]),
  ),
  ...packed(
    'PUNPCKLQDQ',
    'Interleave low quadwords',
    '6C',
    arrange(64, () => [0, 2]),
  ),
  ...packed('PUNPCKHBW', 'Interleave high bytes', '68', unpack('high', 8)),
  ...packed('PUNPCKHWD', 'Interleave high words', '69', unpack('high', 16)),
  ...packed(
    'PUNPCKHDQ',
    'Interleave high doublewords',
    '6A',
    arrange(32, () => [2, 6, 3, 7]),
  ),
  ...packed(
    'PUNPCKHQDQ',
    'Interleave high quadwords',
    '6D',
    arrange(64, () => [1, 3]),
  ),
  ...sse(
    'UNPCKLPS',
    'Interleave low packed single',
    arrange(32, () => [0, 4, 1, 5]),
    [['xmm1, xmm2/m128', 'NP 0F 14 /r']],
  ),
  ...packed(
    'UNPCKLPD',
    'Interleave low packed double',
    '14',
    arrange(64, () => [0, 2]),
  ),
  ...sse(
    'UNPCKHPS',
    'Interleave high packed single',
    arrange(32, () => [2, 6, 3, 7]),
    [['xmm1, xmm2/m128', 'NP 0F 15 /r']],
  ),
  ...packed(
    'UNPCKHPD',
    'Interleave high packed double',
    '15',
    arrange(64, () => [1, 3]),
  ),
  ...sse(
    'SHUFPS',
    'Shuffle packed single',
    arrange(32, (byte) => [0, 1, 2, 3].map((at) => choiceOf(byte, at) + (at < 2 ? 0 : 4))),
    [[WITH_BYTE, 'NP 0F C6 /r ib']],
  ),
  ...sse(
    'SHUFPD',
    'Shuffle packed double',
    arrange(64, (byte) => [byte & 1, 2 + ((byte >> 1) & 1)]),
    [[WITH_BYTE, '66 0F C6 /r ib']],
  ),
  ...sse('PSHUFD', 'Shuffle doublewords', shuffleWords, [[WITH_BYTE, '66 0F 70 /r ib']]),
  ...sse('PSHUFLW', 'Shuffle low words', shuffleHalf('low'), [[WITH_BYTE, 'F2 0F 70 /r ib']]),
  ...sse('PSHUFHW', 'Shuffle high words', shuffleHalf('high'), [[WITH_BYTE, 'F3 0F 70 /r ib']]),
  ...shifts('PSLLW', 'Shift words left', ['F1', '71', 6], shiftLanes('shiftLeft16', 16)),
  ...shifts('PSLLD', 'Shift doublewords left', ['F2', '72', 6], shiftLanes('shiftLeft32', 32)),
  ...shifts(
    'PSLLQ',
    'Shift quadwords left',
    ['F3', '73', 6],
    shiftHalves((d, x, count) => d.shiftLeft(64, x, count)),
  ),
  ...shifts('PSRLW', 'Shift words right', ['D1', '71', 2], shiftLanes('shiftRight16', 16)),
  ...shifts('PSRLD', 'Shift doublewords right', ['D2', '72', 2], shiftLanes('shiftRight32', 32)),
  ...shifts(
    'PSRLQ',
    'Shift quadwords right',
    ['D3', '73', 2],
    shiftHalves((d, x, count) => d.shiftRight(x, count)),
  ),
  ...shifts(
    'PSRAW',
    'Shift words right, signed',
    ['E1', '71', 4],
    shiftLanes('shiftRightSigned16', 16),
  ),
  ...shifts(
    'PSRAD',
    'Shift doublewords right, signed',
    ['E2', '72', 4],
    shiftLanes('shiftRightSigned32', 32),
  ),
  ...sse('PSLLDQ', 'Shift bytes left', shiftBytes(true), [['xmm2, uimm8', '66 0F 73 /7 ib']]),
  ...sse('PSRLDQ', 'Shift bytes right', shiftBytes(false), [['xmm2, uimm8', '66 0F 73 /3 ib']]),
  ...sse('PINSRW', 'Insert a word', insert, [['xmm1, r32/m16, uimm8', '66 0F C4 /r ib']]),
  ...sse('PEXTRW', 'Extract a word', extract, [
    ['r32, xmm2, uimm8', '66 0F C5 /r ib'],
    ['r64, xmm2, uimm8', 'o64 66 0F C5 /r ib'],
  ]),
];
