// `npm run silicon`: the long run of the differential test and of the decoder fuzz, on the
// processor of this machine. Prints mismatches, what was compared, and what was not and why.

import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CODE_SIZES, type CodeSize, syntax } from '../../src/isa/index.ts';
import { DEPARTURES } from './departures.ts';
import { Differential, type Tally } from './differential.ts';
import { Fuzz } from './fuzz.ts';
import { type Oracle, processorFlags, startOracle, whyNotHere } from './protocol.ts';
import { decodableRows, whyLeftOut } from './selection.ts';

const USAGE = `npm run silicon -- [--cases N] [--fuzz N] [--seed N] [--row MNEMONIC]
                         [--code 16|32|64]
  --cases  cases of rows, spread evenly; at least 2,000 a row unless 0 (default 10000000)
  --fuzz   inputs to the decoder (default 10000000; 0 with --row)
  --seed   where chance begins (default 1)
  --row    only the rows of this mnemonic, in which * stands for anything
  --code   only code of this size (default all, a third of everything each)`;

const LEAST_CASES_PER_ROW = 2000;
const CASES_PER_SLICE = 200;
const FUZZ_SLICE = 500_000;
const SHOWN_MESSAGES = 40;
const SHOWN_OPCODES = 60;

interface Settings {
  readonly cases: number;
  readonly fuzz: number;
  readonly seed: number;
  readonly row: string | null;
  readonly codeSizes: readonly CodeSize[];
}

function settings(): Settings {
  const text = { type: 'string' } as const;
  const options = { cases: text, fuzz: text, seed: text, row: text, code: text };
  const { values } = parseArgs({ options, strict: true });
  const row = values.row?.toUpperCase() ?? null;
  return {
    cases: count(values.cases ?? '10000000'),
    fuzz: count(values.fuzz ?? (row === null ? '10000000' : '0')),
    seed: count(values.seed ?? '1'),
    row,
    codeSizes: values.code === undefined ? CODE_SIZES : [codeSizeOf(values.code)],
  };
}

function codeSizeOf(digits: string): CodeSize {
  const found = CODE_SIZES.find((codeSize) => String(codeSize) === digits);
  if (found === undefined) throw new Error(`code has 16, 32 or 64 bits, not ${digits}`);
  return found;
}

function count(digits: string): number {
  if (!/^\d+$/.test(digits)) throw new Error(`${digits} is not a number`);
  return Number(digits);
}

/** True if all rows agree. */
async function compareRows(
  oracle: Oracle,
  { cases, seed, row }: Settings,
  codeSize: CodeSize,
): Promise<boolean> {
  const features = processorFlags();
  const named = new RegExp(`^${row?.replaceAll('*', '.*') ?? '.*'}$`);
  const wanted = decodableRows(codeSize).filter(({ mnemonic }) => named.test(mnemonic));
  console.log(`code of ${codeSize} bits: ${wanted.length} rows`);
  const left = new Map(wanted.map((each) => [each, whyLeftOut(each, features)]));
  const rows = wanted.filter((each) => left.get(each) === null);
  for (const [{ mnemonic, pattern }, reason] of left) {
    if (reason !== null) console.log(`left out: ${mnemonic} ${pattern.text}: ${reason}`);
  }
  for (const { reason } of DEPARTURES) console.log(`known departure: ${reason}`);
  if (cases === 0 || rows.length === 0) return true;
  const perRow = Math.max(LEAST_CASES_PER_ROW, Math.ceil(cases / rows.length));
  const differential = new Differential(oracle, rows, codeSize);
  const started = performance.now();
  for (let done = 0; done < perRow; done += CASES_PER_SLICE) {
    await differential.run(Math.min(CASES_PER_SLICE, perRow - done), seed + done / CASES_PER_SLICE);
    const { tallies } = differential.report;
    if (done % 2000 === 0) console.log(summary(tallies, performance.now() - started));
  }
  const { tallies, messages } = differential.report;
  for (const message of messages.slice(0, SHOWN_MESSAGES)) console.log(message);
  for (const tally of tallies) {
    const { mismatches, notImplemented } = tally;
    if (mismatches === 0 && notImplemented === 0) continue;
    console.log(`${syntax(tally.row)}: ${mismatches} mismatches, ${notImplemented} stops`);
  }
  console.log(summary(tallies, performance.now() - started));
  return tallies.every(({ mismatches, notImplemented }) => mismatches + notImplemented === 0);
}

function summary(tallies: readonly Tally[], milliseconds: number): string {
  const sum = (of: (tally: Tally) => number) => tallies.reduce((total, t) => total + of(t), 0);
  const cases = sum((tally) => tally.cases);
  const least = Math.min(...tallies.map((tally) => tally.cases));
  return [
    `${tallies.length} rows, ${cases} cases, at least ${least} a row`,
    `${sum((tally) => tally.faults)} faults`,
    `${sum((tally) => tally.notImplemented)} not implemented`,
    `${sum((tally) => tally.mismatches)} mismatches`,
    `${sum((tally) => tally.unrepeated)} that did not repeat`,
    `${Math.round((1000 * cases) / milliseconds)} cases a second`,
  ].join(', ');
}

/** True if the decoder agrees. */
async function fuzzDecoder(
  oracle: Oracle,
  { fuzz, seed }: Settings,
  codeSize: CodeSize,
): Promise<boolean> {
  if (fuzz === 0) return true;
  const started = performance.now();
  const tester = new Fuzz(oracle, processorFlags(), codeSize);
  for (let done = 0; done < fuzz; done += FUZZ_SLICE) {
    await tester.run(Math.min(FUZZ_SLICE, fuzz - done), seed + done / FUZZ_SLICE);
    const { inputs, mismatches } = tester.report;
    console.log(`${inputs} inputs, ${mismatches} mismatches`);
  }
  const { inputs, executions, kinds, leftOut, messages, mismatches, unimplemented } = tester.report;
  for (const message of messages.slice(0, SHOWN_MESSAGES)) console.log(message);
  const often = [...unimplemented].sort(([, a], [, b]) => b - a).slice(0, SHOWN_OPCODES);
  const opcodes = often.map(([opcode, times]) => `${opcode} (${times})`).join(', ');
  console.log(`${unimplemented.size} opcodes not in the table, most often: ${opcodes}`);
  const decoded = [...kinds].map(([kind, times]) => `${kind} ${times}`).join(', ');
  console.log(`${inputs} inputs: ${decoded}; ${leftOut} instructions left out`);
  const rate = Math.round((1000 * inputs) / (performance.now() - started));
  console.log(`${executions} executions, ${mismatches} mismatches, ${rate} inputs a second`);
  return mismatches === 0;
}

async function main(): Promise<number> {
  const wanted = settings();
  const reason = whyNotHere();
  if (reason !== null) {
    console.log(`nothing compared: ${reason}`);
    return 1;
  }
  const oracle = startOracle(join(import.meta.dirname, '../../silicon'));
  try {
    const share = (total: number) => Math.ceil(total / wanted.codeSizes.length);
    const each = { ...wanted, cases: share(wanted.cases), fuzz: share(wanted.fuzz) };
    let agrees = true;
    for (const codeSize of wanted.codeSizes) {
      agrees = (await compareRows(oracle, each, codeSize)) && agrees;
      agrees = (await fuzzDecoder(oracle, each, codeSize)) && agrees;
    }
    return agrees ? 0 : 1;
  } finally {
    oracle.close();
  }
}

try {
  process.exitCode = await main();
} catch (thrown) {
  console.error(`${thrown instanceof Error ? thrown.message : thrown}\n${USAGE}`);
  process.exitCode = 2;
}
