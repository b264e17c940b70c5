// What the effects domain says of every row, against what executing the row shows: nothing changes
// that is not declared written, and nothing matters that is not declared read. Then the other way
// round: everything declared is seen to happen, but for a list of known exceptions. In 64-bit mode,
// and in compatibility mode where 64-bit mode does without the row.

import Long from 'long';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  decode,
  type Effects,
  effectsOf,
  existsIn,
  format,
  type Instruction,
  type Row,
  rowsIn,
  syntax,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { aimedState } from '../support/aimed-state.ts';
import {
  type After,
  type Before,
  CODE,
  INTO_WINDOW,
  InstructionBench,
  VECTORS_STATE,
  VECTORS_STATE_END,
} from '../support/instruction-bench.ts';
import {
  contradictions,
  flippedInside,
  flippedOutside,
  type Part,
  partRead,
  rangeOf,
} from '../support/observed-effects.ts';
import { randomEncoding } from '../support/row-encodings.ts';

/** A row gets more encodings than this while something declared has not been seen. */
const ENCODINGS_MIN = 6;
const ENCODINGS_MAX = 40;
const STATES_PER_ENCODING = 4;

interface Case {
  readonly code: Uint8Array;
  readonly instruction: Instruction;
  readonly effects: Effects;
  readonly text: string;
}

/** What happened to one row over all its cases. */
interface Tally {
  readonly wrong: string[];
  readonly declared: Set<string>;
  readonly observed: Set<string>;
  completed: number;
}

const bench64 = new InstructionBench();
const bench32 = new InstructionBench(undefined, 32);
const rows = rowsIn(64).filter((row) => !row.encodeOnly);
/** What 64-bit mode does without, in compatibility mode. */
const otherRows = rowsIn(32).filter((row) => !row.encodeOnly && !existsIn(row, 64));
const tallies = new Map<Row, Tally>();

beforeAll(() => {
  [...rows, ...otherRows].forEach((row, i) => {
    tallies.set(row, observe(row, new Prng(i)));
  });
});

describe('effects of every row', () => {
  test('nothing undeclared is written, and nothing undeclared matters', () => {
    const wrong = [...tallies.values()].flatMap((tally) => tally.wrong);
    expect(wrong).toEqual([]);
  });

  test('every row completed at least once', () => {
    const never = [...rows, ...otherRows].filter((row) => tallies.get(row)?.completed === 0);
    const defined = never.filter((row) => !isUndefinedHere(row));
    // There are no performance counters, and few of the types of INVPCID, nor of the selectors.
    const pointers = ['JMP ptr16:16', 'JMP ptr16:32', 'CALL ptr16:16', 'CALL ptr16:32'];
    expect(defined.map(syntax)).toEqual([...['RDPMC', 'INVPCID r64, m128'], ...pointers]);
    const undefinedHere = [...rows, ...otherRows].filter(isUndefinedHere);
    const names = [...new Set(undefinedHere.map(({ mnemonic }) => mnemonic))].sort();
    expect(names.join(' ')).toBe(
      'GETSEC INVEPT INVVPID RSM UD2 VMCALL VMCLEAR VMFUNC VMLAUNCH VMMCALL ' +
        'VMPTRLD VMPTRST VMREAD VMRESUME VMWRITE VMXOFF VMXON XGETBV XSETBV',
    );
  });

  test('everything declared is seen', () => {
    const unseen = [...rows, ...otherRows].flatMap((row) => {
      const { declared, observed } = tallies.get(row) as Tally;
      return [...declared]
        .filter((item) => !observed.has(item))
        .map((item) => `${row.mnemonic} ${item}`);
    });
    expect([...new Set(unseen)].sort()).toEqual(
      [...UNSEEN].flatMap(([mnemonic, items]) => items.map((item) => `${mnemonic} ${item}`)).sort(),
    );
  });
});

function benchFor({ codeSize }: Instruction): InstructionBench {
  return codeSize === 64 ? bench64 : bench32;
}

function codeSizeFor(row: Row): 32 | 64 {
  return existsIn(row, 64) ? 64 : 32;
}

/** Raises #UD, whatever the state: outside VMX operation, or without a feature. */
function isUndefinedHere(row: Row): boolean {
  const code = randomEncoding(row, new Prng(1), INTO_WINDOW, codeSizeFor(row));
  const decoded = decode(code, 0, code.length, codeSizeFor(row));
  return decoded.kind === 'instruction' && effectsOf(decoded.instruction).raises.includes('UD');
}

const VIF = 'flag 19';
const VIP = 'flag 20';
const IOPL = ['reads flag 12', 'reads flag 13'];
/** Always 0 here, so that neither matters nor changes what is stored or cleared. */
const ALWAYS_ZERO = ['reads flag 16', 'reads flag 17', `reads ${VIF}`, `reads ${VIP}`];
const OF_INT = [...ALWAYS_ZERO, 'writes flag 16', 'writes flag 17'];
/** At CPL 0, IOPL does not matter. The images of 16 bits lack what is above. */
const OF_IRET = [...IOPL, 'writes flag 12', 'writes flag 13', 'writes flag 16'];

const OF_SYSCALL = ['flag 16', 'flag 17', VIF, VIP];
const OF_SYSCALL_WRITTEN = OF_SYSCALL.map((flag) => `writes ${flag}`);
/** IOPL is 0 before. */
const MASKED = ['writes flag 12', 'writes flag 13'];

/** Declared, but not to be seen in this bench. */
const UNSEEN: ReadonlyMap<string, readonly string[]> = new Map([
  ['CLFLUSH', ['reads memory 0']], // only whether it may be read matters
  ['CLFLUSHOPT', ['reads memory 0']],
  ['CLWB', ['reads memory 0']],
  ['FXRSTOR', ['reads memory 0']], // only whether the end may be read or written matters
  ['FXRSTOR64', ['reads memory 0']],
  ['FXSAVE', ['reads memory 1', 'writes memory 0']],
  ['FXSAVE64', ['reads memory 1', 'writes memory 0']],
  ['INSB', ['reads memory 0']],
  ['INSD', ['reads memory 0']],
  ['INSW', ['reads memory 0']],
  ['INT', OF_INT],
  ['INT1', OF_INT],
  ['INT3', OF_INT],
  ['INTO', OF_INT],
  ['INVLPG', ['reads base', 'reads index']],
  // A type that is seldom legal decides whether the descriptor matters.
  ['INVPCID', ['reads memory 1']],
  ['IRETD', OF_IRET],
  ['IRETQ', OF_IRET],
  ['IRETW', [...OF_IRET, 'writes flag 18', 'writes flag 21']],
  ['POPFD', [...IOPL, 'writes flag 16']],
  ['POPFQ', [...IOPL, 'writes flag 16']],
  ['POPFW', [...IOPL, 'writes flag 16', 'writes flag 18', 'writes flag 21']],
  ['PUSHFD', [`reads ${VIF}`, `reads ${VIP}`]],
  ['PUSHFQ', [`reads ${VIF}`, `reads ${VIP}`]],
  ['SYSCALL', [...OF_SYSCALL.map((flag) => `reads ${flag}`), ...MASKED, ...OF_SYSCALL_WRITTEN]],
  ['SYSENTER', ['writes flag 17']],
  ['SYSRET', ['writes flag 16', 'writes flag 17']],
  ['MONITOR', ['reads memory 0']],
  ['SGDT', ['reads memory 0', 'reads memory 1']], // only whether they may be written matters
  ['SIDT', ['reads memory 0', 'reads memory 1']],
  ['PUSHFW', ['reads flag 18', `reads ${VIF}`, `reads ${VIP}`, 'reads flag 21']],
]);

function observe(row: Row, prng: Prng): Tally {
  const tally: Tally = { wrong: [], declared: new Set(), observed: new Set(), completed: 0 };
  for (let n = 0; n < ENCODINGS_MAX; n++) {
    if (n >= ENCODINGS_MIN && tally.completed > 0 && isAllSeen(tally)) break;
    const code = randomEncoding(row, prng, INTO_WINDOW, codeSizeFor(row));
    const decoded = decode(code, 0, code.length, codeSizeFor(row));
    if (decoded.kind !== 'instruction') throw new Error(`${syntax(row)}: ${decoded.kind}`);
    const { instruction } = decoded;
    const text = format(instruction, Long.fromNumber(CODE));
    const one: Case = { code, instruction, effects: effectsOf(instruction), text };
    for (let state = 0; state < STATES_PER_ENCODING; state++) {
      const before = aimedState(instruction, prng);
      const after = benchFor(instruction).run(code, before);
      if (after.fault === null) tally.completed++;
      check(one, before, after, tally);
      if (after.fault === null) lookFor(one, before, after, tally);
    }
  }
  return tally;
}

function isAllSeen({ declared, observed }: Tally): boolean {
  return [...declared].every((item) => observed.has(item));
}

/** Flip everything that is not declared read: nothing may come of it. */
function check(one: Case, before: Before, after: After, tally: Tally): void {
  const { effects, instruction, code, text } = one;
  const other = flippedOutside(before, partRead(effects, before, instruction));
  const runs = [before, after, other, benchFor(one.instruction).run(code, other)] as const;
  const complaints = [
    ...contradictions(effects, instruction, runs),
    ...controlComplaints(one, after),
  ];
  for (const complaint of complaints) tally.wrong.push(`${text}: ${complaint}`);
}

/** Declared jumps, repetitions and exceptions against what happened. */
function controlComplaints({ effects, instruction }: Case, after: After): string[] {
  const { fault, rip, unfinished } = after;
  if (fault !== null) {
    const mayFault = effects.memory.length + effects.calls.length > 0 || effects.jumps !== 'never';
    const raised = effects.raises.some((vector) => fault.startsWith(`#${vector}`));
    return mayFault || raised ? [] : [`raises ${fault}`];
  }
  if (unfinished) return effects.repeats ? [] : ['repeats'];
  const fellThrough = rip === CODE + instruction.lengthBytes;
  return fellThrough || effects.jumps !== 'never' ? [] : ['jumps'];
}

/** Flip each declared input by itself and note which make a difference, and what changed. */
function lookFor(one: Case, before: Before, after: After, tally: Tally): void {
  const { effects, instruction, code } = one;
  const nothing: Part = { registers: [], flags: 0, window: [], xmm: [], mxcsr: 0 };
  const reading = (item: string, part: Partial<Part>) => {
    tally.declared.add(item);
    if (tally.observed.has(item)) return;
    const other = flippedInside(before, { ...nothing, ...part });
    const runs = [before, after, other, benchFor(one.instruction).run(code, other)] as const;
    if (contradictions(effects, instruction, runs).length > 0) tally.observed.add(item);
  };
  const writing = (item: string, isSeen: boolean) => {
    tally.declared.add(item);
    if (isSeen) tally.observed.add(item);
  };
  for (const register of effects.registersRead) {
    const role = roleOf(instruction, register.number);
    if (role !== null) reading(`reads ${role}`, { registers: [register] });
  }
  for (const bit of bits(effects.flagsRead)) reading(`reads flag ${bit}`, { flags: 1 << bit });
  for (const { number } of [...effects.registersWritten, ...effects.registersMaybeWritten]) {
    const role = roleOf(instruction, number);
    const at = [8 * number, 8 * number + 8] as const;
    const isSeen = isChanged(before.registers, after.state, at);
    if (role !== null) writing(`writes ${role}`, isSeen);
  }
  for (const bit of bits(effects.flagsWritten | effects.flagsMaybeWritten)) {
    writing(`writes flag ${bit}`, (((before.rflags ^ after.rflags) >> bit) & 1) !== 0);
  }
  lookForVectors(one, before, after, { reading, writing });
  effects.memory.forEach((effect, i) => {
    if (effect.width === 0) return; // Descriptor tables and the like lie outside the window.
    const range = rangeOf(effect, before, instruction);
    // ENTER has up to sixty.
    const which = Math.min(i, 2);
    if (effect.kind !== 'write') reading(`reads memory ${which}`, { window: [range] });
    if (effect.kind === 'read') return;
    writing(`writes memory ${which}`, isChanged(before.window, after.window, range));
  });
}

interface Looking {
  readonly reading: (item: string, part: Partial<Part>) => void;
  readonly writing: (item: string, isSeen: boolean) => void;
}

/** XMM registers by their place among the operands, and MXCSR. */
function lookForVectors(one: Case, before: Before, after: After, looking: Looking): void {
  const { effects, instruction } = one;
  const role = (number: number) => {
    const places = instruction.operands.flatMap((operand, i) => {
      const isIt = operand.kind === 'register' && operand.class === 'xmm';
      return isIt && operand.number === number ? [i] : [];
    });
    return places.length > 1 ? null : `xmm ${places[0] ?? number}`;
  };
  const vectors = after.state.subarray(VECTORS_STATE, VECTORS_STATE_END);
  for (const register of effects.xmmRead) {
    const name = role(register.number);
    if (name !== null) looking.reading(`reads ${name}`, { xmm: [register] });
  }
  for (const { number } of [...effects.xmmWritten, ...effects.xmmMaybeWritten]) {
    const name = role(number);
    const isSeen = isChanged(before.vectors, vectors, [16 * number, 16 * number + 16]);
    if (name !== null) looking.writing(`writes ${name}`, isSeen);
  }
  if (effects.mxcsrRead !== 0) looking.reading('reads mxcsr', { mxcsr: effects.mxcsrRead });
  if ((effects.mxcsrWritten | effects.mxcsrMaybeWritten) === 0) return;
  looking.writing('writes mxcsr', isChanged(before.vectors, vectors, [256, 258]));
}

/** Which part a register plays in the instruction, or null if more than one. */
function roleOf(instruction: Instruction, number: number): string | null {
  const roles: string[] = [];
  instruction.operands.forEach((operand, i) => {
    if (operand.kind === 'register' && operand.class === 'general' && operand.number === number) {
      roles.push(`operand ${i}`);
    }
    if (operand.kind !== 'memory') return;
    if (operand.base === number) roles.push('base');
    if (operand.index === number) roles.push('index');
  });
  if (roles.length > 1) return null;
  return roles[0] ?? `register ${number}`;
}

function bits(mask: number): number[] {
  return Array.from({ length: 32 }, (_, bit) => bit).filter((bit) => ((mask >> bit) & 1) !== 0);
}

function isChanged(a: Uint8Array, b: Uint8Array, [from, to]: readonly [number, number]): boolean {
  return a.subarray(from, to).some((byte, i) => byte !== b[from + i]);
}
