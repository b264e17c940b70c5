// SDM 2: moves of SSE and SSE2, between XMM registers, general registers and memory.

import type { Domain, Meaning } from '../domain.ts';
import type { Operand } from '../instruction.ts';
import { Gpr, Segment } from '../registers.ts';
import {
  readLow,
  readUnaligned,
  readWide,
  sse,
  words,
  writeLow,
  writeUnaligned,
  writeWide,
  xmmNumber,
} from './wide-operands.ts';

const moveAligned: Meaning = (d, dst, src) => writeWide(d, dst, readWide(d, src));
const moveUnaligned: Meaning = (d, dst, src) => writeUnaligned(d, dst, readUnaligned(d, src));

/** The lowest lane; what is above it in a register stays. */
function moveLow(width: 32 | 64): Meaning {
  return (d, dst, src) => writeLow(d, width, dst, readLow(d, width, src));
}

/** The lowest lane; what is above it in an XMM register becomes 0. */
function moveExtended(width: 32 | 64): Meaning {
  return (d, dst, src) => {
    const value = readLow(d, width, src);
    if (dst.kind !== 'register' || dst.class !== 'xmm') d.write(dst, value);
    else {
      d.setXmm(64, dst.number, 0, value);
      d.setXmm(64, dst.number, 1, d.constant(64, 0));
    }
  };
}

/** From a half of one operand to a half of the other; memory has only one. */
function moveHalf(to: 0 | 1, from: 0 | 1): Meaning {
  return (d, dst, src) => {
    const isXmm = src.kind === 'register';
    const value = isXmm ? d.xmm(64, src.number, from) : d.read(src);
    if (dst.kind === 'register') d.setXmm(64, dst.number, to, value);
    else d.write(dst, value);
  };
}

const signsOfSingles: Meaning = (d, dst, src) => {
  const number = xmmNumber(src);
  d.write(
    dst,
    signs(
      d,
      32,
      [0, 1, 2, 3].map((lane) => d.xmm(32, number, lane)),
    ),
  );
};

const signsOfDoubles: Meaning = (d, dst, src) => {
  const number = xmmNumber(src);
  d.write(
    dst,
    signs(
      d,
      64,
      [0, 1].map((lane) => d.xmm(64, number, lane)),
    ),
  );
};

/** The sign of each lane as a bit. */
function signs<V, B>(d: Domain<V, B>, width: 32 | 64, lanes: readonly V[]): V {
  return lanes
    .map((lane, i) => {
      const sign = d.shiftRight(lane, d.constant(8, width - 1));
      return d.shiftLeft(64, sign, d.constant(8, i));
    })
    .reduce((sum, bit) => d.or(sum, bit));
}

/** Four bits for each word of a register, next to each other. */
const signsOfBytes: Meaning = (d, dst, src) => d.write(dst, byteSigns(d, src));

function byteSigns<V, B>(d: Domain<V, B>, operand: Operand): V {
  const { low, high } = readWide(d, operand);
  const nibbles = [low, high].flatMap((half) => words(d, d.lanes('signs8', half, half)));
  return nibbles
    .map((nibble, i) => d.shiftLeft(64, nibble, d.constant(8, 4 * i)))
    .reduce((sum, nibble) => d.or(sum, nibble));
}

/** Bytes whose mask has its sign set, to where rDI points. */
const moveMasked: Meaning = (d, src, mask) => {
  const { addressWidth, segmentOverride } = d.instruction;
  const segment = segmentOverride < 0 ? Segment.DS : segmentOverride;
  const start = d.register(addressWidth, Gpr.RDI);
  const chosen = byteSigns(d, mask);
  const { low, high } = readWide(d, src);
  const offset = (at: number) => d.add(addressWidth, start, d.constant(addressWidth, at));
  // All must be there, chosen or not. Intel's processors look at the upper half first.
  d.loadForWrite(64, segment, offset(8));
  d.loadForWrite(64, segment, offset(0));
  for (let at = 0; at < 16; at++) {
    const byte = d.shiftRight(at < 8 ? low : high, d.constant(8, 8 * (at & 7)));
    d.when(d.bit(chosen, at), () => d.store(8, segment, offset(at), d.truncate(8, byte)));
  }
};

export const sseMoves = [
  ...sse('MOVAPS', 'Move aligned packed single', moveAligned, [
    ['xmm1, xmm2/m128', 'NP 0F 28 /r'],
    ['xmm2/m128, xmm1', 'NP 0F 29 /r'],
  ]),
  ...sse('MOVAPD', 'Move aligned packed double', moveAligned, [
    ['xmm1, xmm2/m128', '66 0F 28 /r'],
    ['xmm2/m128, xmm1', '66 0F 29 /r'],
  ]),
  ...sse('MOVDQA', 'Move aligned double quadword', moveAligned, [
    ['xmm1, xmm2/m128', '66 0F 6F /r'],
    ['xmm2/m128, xmm1', '66 0F 7F /r'],
  ]),
  ...sse('MOVUPS', 'Move unaligned packed single', moveUnaligned, [
    ['xmm1, xmm2/m128', 'NP 0F 10 /r'],
    ['xmm2/m128, xmm1', 'NP 0F 11 /r'],
  ]),
  ...sse('MOVUPD', 'Move unaligned packed double', moveUnaligned, [
    ['xmm1, xmm2/m128', '66 0F 10 /r'],
    ['xmm2/m128, xmm1', '66 0F 11 /r'],
  ]),
  ...sse('MOVDQU', 'Move unaligned double quadword', moveUnaligned, [
    ['xmm1, xmm2/m128', 'F3 0F 6F /r'],
    ['xmm2/m128, xmm1', 'F3 0F 7F /r'],
  ]),
  ...sse('MOVNTPS', 'Move packed single with a non-temporal hint', moveAligned, [
    ['m128, xmm1', 'NP 0F 2B /r'],
  ]),
  ...sse('MOVNTPD', 'Move packed double with a non-temporal hint', moveAligned, [
    ['m128, xmm1', '66 0F 2B /r'],
  ]),
  ...sse('MOVNTDQ', 'Move double quadword with a non-temporal hint', moveAligned, [
    ['m128, xmm1', '66 0F E7 /r'],
  ]),
  ...sse('MOVSS', 'Move scalar single', moveLow(32), [
    ['xmm1, xmm2', 'F3 0F 10 /r'],
    ['xmm2/m32, xmm1', 'F3 0F 11 /r'],
  ]),
  ...sse('MOVSS', 'Move scalar single', moveExtended(32), [['xmm1, m32', 'F3 0F 10 /r']]),
  ...sse('MOVSD', 'Move scalar double', moveLow(64), [
    ['xmm1, xmm2', 'F2 0F 10 /r'],
    ['xmm2/m64, xmm1', 'F2 0F 11 /r'],
  ]),
  ...sse('MOVSD', 'Move scalar double', moveExtended(64), [['xmm1, m64', 'F2 0F 10 /r']]),
  ...sse('MOVD', 'Move doubleword', moveExtended(32), [
    ['xmm1, r/m32', '66 0F 6E /r'],
    ['r/m32, xmm1', '66 0F 7E /r'],
  ]),
  ...sse('MOVQ', 'Move quadword', moveExtended(64), [
    ['xmm1, xmm2/m64', 'F3 0F 7E /r'],
    ['xmm2/m64, xmm1', '66 0F D6 /r'],
    ['xmm1, r/m64', 'o64 66 0F 6E /r'],
    ['r/m64, xmm1', 'o64 66 0F 7E /r'],
  ]),
  ...sse('MOVLPS', 'Move low packed single', moveHalf(0, 0), [
    ['xmm1, m64', 'NP 0F 12 /r'],
    ['m64, xmm1', 'NP 0F 13 /r'],
  ]),
  ...sse('MOVLPD', 'Move low packed double', moveHalf(0, 0), [
    ['xmm1, m64', '66 0F 12 /r'],
    ['m64, xmm1', '66 0F 13 /r'],
  ]),
  ...sse('MOVHPS', 'Move high packed single', moveHalf(1, 1), [
    ['xmm1, m64', 'NP 0F 16 /r'],
    ['m64, xmm1', 'NP 0F 17 /r'],
  ]),
  ...sse('MOVHPD', 'Move high packed double', moveHalf(1, 1), [
    ['xmm1, m64', '66 0F 16 /r'],
    ['m64, xmm1', '66 0F 17 /r'],
  ]),
  ...sse('MOVHLPS', 'Move high to low', moveHalf(0, 1), [['xmm1, xmm2', 'NP 0F 12 /r']]),
  ...sse('MOVLHPS', 'Move low to high', moveHalf(1, 0), [['xmm1, xmm2', 'NP 0F 16 /r']]),
  ...sse('MOVMSKPS', 'Extract signs of packed single', signsOfSingles, [
    ['r32, xmm2', 'NP 0F 50 /r'],
    ['r64, xmm2', 'o64 NP 0F 50 /r'],
  ]),
  ...sse('MOVMSKPD', 'Extract signs of packed double', signsOfDoubles, [
    ['r32, xmm2', '66 0F 50 /r'],
    ['r64, xmm2', 'o64 66 0F 50 /r'],
  ]),
  ...sse('PMOVMSKB', 'Extract signs of bytes', signsOfBytes, [
    ['r32, xmm2', '66 0F D7 /r'],
    ['r64, xmm2', 'o64 66 0F D7 /r'],
  ]),
  ...sse('MASKMOVDQU', 'Store selected bytes', moveMasked, [['xmm1, xmm2', '66 0F F7 /r']]),
];
