// The differential test itself: cases of rows in batches, to the processor and to the interpreter.

import Long from 'long';
import {
  type CodeSize,
  decode,
  format,
  type Instruction,
  type Row,
  syntax,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { randomEncoding } from '../support/row-encodings.ts';
import { Comparison } from './comparison.ts';
import { IMAGE_PARTS, partText } from './fxsave-image.ts';
import { Interpreter } from './interpreter.ts';
import {
  type Batch,
  type Case,
  CODE,
  followsUndefinedFlags,
  Mode,
  type Oracle,
  type Outcome,
} from './protocol.ts';
import { CODE_SELECTORS } from './segments.ts';
import { isForbidden, modeOf } from './selection.ts';
import { anySelector, INTO_DATA, randomData, stateFor } from './states.ts';

/** States for each encoding of a row. */
const STATES_PER_ENCODING = 8;
const BATCH_CASES = 2048;
const SHOWN = 5;

/** What became of the cases of one row. */
export interface Tally {
  readonly row: Row;
  cases: number;
  /** Cases that ended in an exception, on the processor. */
  faults: number;
  mismatches: number;
  /** Cases that came out differently once and not again. */
  unrepeated: number;
  notImplemented: number;
}

export interface Report {
  readonly tallies: readonly Tally[];
  /** The first few mismatches of each row, in words. */
  readonly messages: readonly string[];
}

interface Prepared {
  readonly batch: Batch;
  readonly rows: readonly number[];
  readonly instructions: readonly Instruction[];
}

export class Differential {
  private readonly oracle: Oracle;
  private readonly rows: readonly Row[];
  private readonly codeSize: CodeSize;
  private readonly interpreter = new Interpreter();
  private readonly followsFlags = followsUndefinedFlags();
  private readonly tallies: Tally[];
  private readonly messages: string[] = [];

  constructor(oracle: Oracle, rows: readonly Row[], codeSize: CodeSize) {
    this.oracle = oracle;
    this.codeSize = codeSize;
    this.rows = rows;
    this.tallies = rows.map((row) => ({
      row,
      cases: 0,
      faults: 0,
      mismatches: 0,
      unrepeated: 0,
      notImplemented: 0,
    }));
  }

  /**
   * Go through all rows again and again until each has had `casesPerRow`. The processor works on
   * one batch while the interpreter works on the one before.
   */
  async run(casesPerRow: number, seed: number): Promise<void> {
    const prng = new Prng(seed);
    let previous: { prepared: Prepared; outcomes: Promise<Outcome[]> } | null = null;
    for (const prepared of this.batches(casesPerRow, prng)) {
      const next = { prepared, outcomes: this.oracle.run(prepared.batch) };
      if (previous !== null) await this.compare(previous.prepared, await previous.outcomes);
      previous = next;
    }
    if (previous !== null) await this.compare(previous.prepared, await previous.outcomes);
  }

  /** Everything so far. */
  get report(): Report {
    return { tallies: this.tallies, messages: this.messages };
  }

  private *batches(casesPerRow: number, prng: Prng): Iterable<Prepared> {
    const rounds = Math.ceil(casesPerRow / STATES_PER_ENCODING);
    let filling = newBatch(prng);
    for (let round = 0; round < rounds; round++) {
      for (let number = 0; number < this.rows.length; number++) {
        this.fill(filling, number, prng);
        if (filling.batch.cases.length < BATCH_CASES) continue;
        yield filling;
        filling = newBatch(prng);
      }
    }
    if (filling.batch.cases.length > 0) yield filling;
  }

  private fill({ batch, rows, instructions }: Filling, number: number, prng: Prng): void {
    const row = this.rows[number];
    const { code, instruction } = encodingOf(row, this.codeSize, prng);
    const scene = { instruction, code, mode: modeOf(row, this.codeSize), data: batch.data };
    for (let n = 0; n < STATES_PER_ENCODING; n++) {
      batch.cases.push(stateFor(scene, prng));
      rows.push(number);
      instructions.push(instruction);
    }
  }

  private async compare(prepared: Prepared, outcomes: readonly Outcome[]): Promise<void> {
    const { batch, rows, instructions } = prepared;
    const suspects: number[] = [];
    const comparison = new Comparison(this.interpreter, batch.data, this.followsFlags);
    batch.cases.forEach((one, i) => {
      const tally = this.tallies[rows[i]];
      const differences = comparison.differences(one, instructions[i], outcomes[i]);
      tally.cases++;
      const isStepped = (one.mode & Mode.SINGLE_STEP) !== 0;
      if (outcomes[i].signal !== 0 && !(isStepped && outcomes[i].trap === 1)) tally.faults++;
      if (differences === null) tally.notImplemented++;
      else if (differences.length > 0) suspects.push(i);
    });
    if (suspects.length > 0) await this.confirm(prepared, suspects);
  }

  /**
   * Execute once more what came out differently. About once in a million cases an interrupt comes
   * at a bad moment; what does not happen again is counted, and no mismatch.
   */
  private async confirm(prepared: Prepared, suspects: readonly number[]): Promise<void> {
    const { batch, rows, instructions } = prepared;
    const cases = suspects.map((i) => batch.cases[i]);
    const outcomes = await this.oracle.run({ data: batch.data, cases });
    const comparison = new Comparison(this.interpreter, batch.data, this.followsFlags);
    suspects.forEach((i, n) => {
      const tally = this.tallies[rows[i]];
      const differences = comparison.differences(cases[n], instructions[i], outcomes[n]) ?? [];
      if (differences.length === 0) tally.unrepeated++;
      else if (++tally.mismatches <= SHOWN) {
        this.messages.push([inWords(cases[n], instructions[i]), ...differences].join('\n    '));
      }
    });
  }
}

/** Bytes that are decoded to this row. Some of what a row allows belongs to a more specific one. */
function encodingOf(
  row: Row,
  codeSize: CodeSize,
  prng: Prng,
): { code: Uint8Array; instruction: Instruction } {
  for (let attempt = 0; attempt < 200; attempt++) {
    const code = randomEncoding(row, prng, INTO_DATA[codeSize], codeSize);
    if (row.operands[0]?.place === 'pointer') setSelector(code, codeSize, prng);
    const decoded = decode(code, 0, code.length, codeSize);
    const isRow = decoded.kind === 'instruction' && decoded.instruction.row === row;
    if (isRow && !isForbidden(row, code)) return { code, instruction: decoded.instruction };
  }
  throw new Error(`no machine code is decoded to ${syntax(row)}`);
}

/** Far pointers end in the selector. */
function setSelector(code: Uint8Array, codeSize: CodeSize, prng: Prng): void {
  const selector = anySelector(CODE_SELECTORS[codeSize], prng);
  code.set([selector & 255, selector >> 8], code.length - 2);
}

interface Filling extends Prepared {
  readonly batch: { readonly data: Uint8Array; readonly cases: Case[] };
  readonly rows: number[];
  readonly instructions: Instruction[];
}

function newBatch(prng: Prng): Filling {
  return { batch: { data: randomData(prng), cases: [] }, rows: [], instructions: [] };
}

/** MXCSR, and the XMM registers that operands name. */
function namedVectors(image: Uint8Array, { operands }: Instruction): string {
  const named = operands.flatMap((operand) =>
    operand.kind === 'register' && operand.class === 'xmm' ? [`xmm${operand.number}`] : [],
  );
  return IMAGE_PARTS.filter(([name]) => name === 'mxcsr' || named.includes(name))
    .map(([name, from, to]) => `${name} ${partText(image, from, to)}`)
    .join(', ');
}

/** The case as a reader wants it: instruction, bytes, registers and flags before. */
function inWords(one: Case, instruction: Instruction): string {
  const registers = new BigUint64Array(one.registers.slice().buffer);
  const values = [...registers].map((value) => value.toString(16)).join(' ');
  const pokes = one.pokes.map(([offset, low, high]) => {
    return `${offset.toString(16)}: ${(high >>> 0).toString(16)}_${(low >>> 0).toString(16)}`;
  });
  return [
    `${format(instruction, Long.fromNumber(CODE))} [${Buffer.from(one.code).toString('hex')}]`,
    `rax to r15 ${values}`,
    `rflags ${one.rflags.toString(16)}, fs ${one.fsBase}, gs ${one.gsBase}`,
    ...(pokes.length === 0 ? [] : [`data at ${pokes.join(', ')}`]),
    ...(one.vectors === null ? [] : [namedVectors(one.vectors, instruction)]),
  ].join('\n    ');
}
