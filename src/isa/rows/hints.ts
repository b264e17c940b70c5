// SDM 2: no-operations, prefetches, cache lines and other hints: they say something about
// performance, and nothing about results.

import { asMemory, type Meaning } from '../domain.ts';
import { type Form, instruction } from '../notation.ts';
import { hex } from './forms.ts';

const nothing: Meaning = () => {};

/** Flushing a line of bytes needs the right to read it. */
const touch: Meaning = (d, line) => void d.load(8, asMemory(line).segment, d.address(line));

const RESERVED: Form[] = [0x0d, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f].map((opcode) => [
  'r/m16|32|64, r16|32|64',
  `0F ${hex(opcode)} /r`,
]);

const PREFETCHES = ['PREFETCHNTA', 'PREFETCHT0', 'PREFETCHT1', 'PREFETCHT2'];

const cacheLine = { cost: 'fence' } as const;

export const hints = [
  ...instruction('NOP', 'No operation', {}, nothing, [
    ['', 'REX.B0 90'],
    ['r/m16|32|64', '0F 1F /0'],
  ]),
  ...instruction('ENDBR64', 'Mark the target of a branch', {}, nothing, [['', 'F3 0F 1E FA']]),
  ...instruction('ENDBR32', 'Mark the target of a branch', {}, nothing, [['', 'F3 0F 1E FB']]),
  ...PREFETCHES.flatMap((name, digit) =>
    instruction(name, 'Prefetch into caches', {}, nothing, [['m8', `0F 18 /${digit}`]]),
  ),
  ...instruction('PREFETCHW', 'Prefetch for a write', {}, nothing, [['m64', '0F 0D /1']]),
  ...instruction('CLFLUSH', 'Flush a cache line', cacheLine, touch, [['m', 'NP 0F AE /7']]),
  ...instruction('CLFLUSHOPT', 'Flush a cache line, weakly ordered', cacheLine, touch, [
    ['m', '66 0F AE /7'],
  ]),
  ...instruction('CLWB', 'Write a cache line back', cacheLine, touch, [['m', '66 0F AE /6']]),
];

/** Opcodes set aside for hints: what has no row of its own does nothing, with any operands. */
export const reservedHints = instruction('NOP', 'No operation', {}, nothing, RESERVED);
