// docs/instructions.md, made from the instruction table: every form with its bytes, and for each
// instruction its flags, what it may raise, how it may leave to the host, and its cost class.

import {
  CODE_SIZES,
  decode,
  type Effects,
  effectsOf,
  existsIn,
  Flag,
  type Privilege,
  ROWS,
  type Row,
  syntax,
  type Unit,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { ANYWHERE, randomEncoding } from './row-encodings.ts';

/** RFLAGS bits beside the ones that meanings set one by one. */
const SYSTEM_FLAGS = [
  ['TF', 8],
  ['IF', 9],
  ['IOPL', 12],
  ['NT', 14],
  ['RF', 16],
  ['VM', 17],
  ['AC', 18],
  ['VIF', 19],
  ['VIP', 20],
  ['ID', 21],
] as const;

const FLAGS: readonly (readonly [name: string, bit: number])[] = [
  ...Object.entries(Flag),
  ...SYSTEM_FLAGS,
];

const PRIVILEGES: Readonly<Record<Privilege, string>> = {
  supervisor: '#GP(0) unless CPL is 0',
  io: '#GP(0) unless CPL <= IOPL or the I/O permission bitmap allows the port',
  iopl: '#GP(0) unless CPL <= IOPL',
  tsc: '#GP(0) if CR4.TSD is 1 and CPL is not 0',
  pmc: '#GP(0) if CR4.PCE is 0 and CPL is not 0',
  umip: '#GP(0) if CR4.UMIP is 1 and CPL is not 0',
  hidden: '#UD unless CPL is 0',
};

const UNITS: Readonly<Record<Unit, string>> = {
  sse: '#UD if CR0.EM is 1 or CR4.OSFXSR is 0, #NM if CR0.TS is 1',
  fpu: '#NM if CR0.EM or CR0.TS is 1',
  wait: '#NM if CR0.MP and CR0.TS are 1',
};

/** The whole page. */
export function instructionPage(): string {
  const mnemonics = [...new Set(ROWS.map(({ mnemonic }) => mnemonic))].sort();
  return `${mnemonics.map(entry).join('\n\n')}\n`;
}

function entry(mnemonic: string): string {
  const rows = ROWS.filter((row) => row.mnemonic === mnemonic);
  const summaries = [...new Set(rows.map(({ summary }) => summary))];
  return [
    `### ${mnemonic}`,
    '',
    `${summaries.join('; ')}.`,
    '',
    ...[...new Set(rows.map(facts))].map((line) => `- ${line}`),
    '',
    '| form | bytes | code |',
    '| --- | --- | --- |',
    ...rows.map(
      (row) => `| \`${syntax(row)}\` | \`${row.pattern.text}\`${remark(row)} | ${modes(row)} |`,
    ),
  ].join('\n');
}

/** The code sizes that can contain the row. */
function modes(row: Row): string {
  return CODE_SIZES.filter((codeSize) => existsIn(row, codeSize)).join(' ');
}

function remark(row: Row): string {
  const notes = [
    ...(row.width === 0 || row.pattern.text.includes('VEX') ? [] : [`${row.width} bits`]),
    ...(row.addressWidth === 0 ? [] : [`addresses of ${row.addressWidth} bits`]),
    ...(row.encodeOnly ? ['assembles only'] : []),
  ];
  return notes.length === 0 ? '' : ` (${notes.join(', ')})`;
}

/** What is true of a row beside its form. */
function facts(row: Row): string {
  const effects = sampleEffects(row);
  const { flagsRead, flagsWritten, flagsMaybeWritten } = effects;
  const parts = [
    ...named('reads', flagsRead),
    ...named('writes', flagsWritten),
    ...named('may write', flagsMaybeWritten & ~flagsWritten),
    ...faults(row, effects),
    ...(row.lock ? ['takes LOCK'] : []),
    ...(row.alwaysLocked ? ['always locked with memory'] : []),
    ...(row.repeat === undefined ? [] : ['takes REP']),
    ...(row.intercept === undefined ? [] : [`may leave to the host (${row.intercept})`]),
    `cost class ${row.cost}`,
  ];
  return parts.join('; ');
}

function named(verb: string, mask: number): string[] {
  const names = FLAGS.filter(([, bit]) => ((mask >> bit) & 1) !== 0).map(([name]) => name);
  return names.length === 0 ? [] : [`${verb} ${names.join(' ')}`];
}

function faults(row: Row, effects: Effects): string[] {
  const accesses = effects.memory.length > 0 || row.operands.some((spec) => spec.memoryWidth > 0);
  return [
    ...(row.protectedOnly ? ['#UD in real and virtual-8086 mode'] : []),
    ...(row.unit === undefined ? [] : [UNITS[row.unit]]),
    ...(row.privilege === undefined ? [] : [PRIVILEGES[row.privilege]]),
    ...effects.raises.map((vector) => `may raise #${vector}`),
    ...(accesses ? ['memory may raise #GP #SS #PF'] : []),
    ...(effects.jumps === 'never' ? [] : ['branches']),
  ];
}

/** With memory where the row has a choice, for that is the form with more to say. */
function sampleEffects(row: Row): Effects {
  const prng = new Prng(1);
  const codeSize = existsIn(row, 64) ? 64 : 32;
  let found: Effects | null = null;
  for (let n = 0; n < 40; n++) {
    const code = randomEncoding(row, prng, ANYWHERE, codeSize);
    const decoded = decode(code, 0, code.length, codeSize);
    if (decoded.kind !== 'instruction') continue;
    const { instruction } = decoded;
    if (instruction.repeat !== 'none') continue;
    found = effectsOf(instruction);
    if (instruction.operands.some(({ kind }) => kind === 'memory')) break;
  }
  if (found === null) throw new Error(`${syntax(row)}: no encoding`);
  return found;
}
