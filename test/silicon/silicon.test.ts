// The interpreter against the processor of this machine, a short run of what `npm run silicon` does
// at length: the same cases every time, for every row of the table.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CODE_SIZES, decode, syntax } from '../../src/isa/index.ts';
import { Comparison } from './comparison.ts';
import { Differential, type Report } from './differential.ts';
import { Fuzz, type FuzzReport } from './fuzz.ts';
import { Interpreter } from './interpreter.ts';
import {
  type Case,
  DATA,
  DATA_BYTES,
  followsUndefinedFlags,
  type Oracle,
  processorFlags,
  startOracle,
  whyNotHere,
} from './protocol.ts';
import { decodableRows, whyLeftOut } from './selection.ts';

const CASES_PER_ROW = 120;
const FUZZ_INPUTS = 60_000;
const SEED = 20250117;

const reason = whyNotHere();
const features = processorFlags();
if (reason !== null) console.warn(`not compared with the processor: ${reason}`);

describe.skipIf(reason !== null)('the processor of this machine', () => {
  let folder: string;
  let oracle: Oracle;

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vmxlab-silicon-'));
    oracle = startOracle(folder);
  });

  afterAll(() => {
    oracle.close();
    rmSync(folder, { recursive: true });
  });

  describe.each(CODE_SIZES)('agrees with the interpreter on code of %i bits', (codeSize) => {
    const rows = decodableRows(codeSize).filter((row) => whyLeftOut(row, features) === null);
    let report: Report;

    beforeAll(async () => {
      const differential = new Differential(oracle, rows, codeSize);
      await differential.run(CASES_PER_ROW, SEED);
      report = differential.report;
    });

    test('on registers, flags, memory and faults of every row', () => {
      expect(report.messages).toEqual([]);
    });

    test('and nothing that came up is not implemented', () => {
      const stopped = report.tallies.filter(({ notImplemented }) => notImplemented > 0);
      expect(stopped.map(({ row }) => syntax(row))).toEqual([]);
    });

    test('and every row had its cases, most of which completed', () => {
      expect(report.tallies.every(({ cases }) => cases >= CASES_PER_ROW)).toBe(true);
      const open = report.tallies.filter(({ row }) => row.privilege === undefined);
      const share = (sum: number, { cases, faults }: { cases: number; faults: number }) =>
        sum + (cases - faults) / cases / open.length;
      expect(open.reduce(share, 0)).toBeGreaterThan(0.7);
    });
  });

  describe.each(CODE_SIZES)('agrees with the decoder on code of %i bits', (codeSize) => {
    let report: FuzzReport;

    beforeAll(async () => {
      const fuzz = new Fuzz(oracle, features, codeSize);
      await fuzz.run(FUZZ_INPUTS, SEED);
      report = fuzz.report;
    });

    test('on length and #UD of random bytes', () => {
      expect(report.messages).toEqual([]);
    });

    test('which made something of every kind', () => {
      expect([...report.kinds.keys()].sort()).toEqual(
        expect.arrayContaining(['instruction', 'tooLong', 'undefined']),
      );
      expect(report.kinds.get('undefined')).toBeGreaterThan(FUZZ_INPUTS / 30);
      expect(report.executions).toBeGreaterThan(FUZZ_INPUTS);
    });
  });

  // A comparison that sees nothing would agree with everything.
  test.each([
    ['a source register', { register: [3, 6] }, 'rax'],
    ['what the flags depend on', { rflags: 3 }, 'rflags'],
    ['memory', { poke: 77 }, 'data'],
    ['the operation', { code: '4801d990' }, 'rax'],
    ['whether it faults', { register: [7, 0] }, 'what it raises'],
  ] as const)('a difference in %s shows', async (_, change, seen) => {
    const data = new Uint8Array(DATA_BYTES);
    // adc rax, rbx and adc [rdi], rbx, which between them show everything.
    const memory = seen === 'data' || seen === 'what it raises';
    const one = caseOf(memory ? '48111f' : '4811d8');
    const [outcome] = await oracle.run({ data, cases: [one] });
    const comparison = new Comparison(new Interpreter(), data, followsUndefinedFlags());
    const decoded = decode(one.code, 0, one.code.length, 64);
    if (decoded.kind !== 'instruction') throw new Error(decoded.kind);
    expect(comparison.differences(one, decoded.instruction, outcome)).toEqual([]);
    const other = changed(one, change);
    const found = comparison.differences(other, decoded.instruction, outcome);
    expect(found?.some((difference) => difference.startsWith(seen))).toBe(true);
  });
});

test('rows are left out for known reasons only', () => {
  const everything = { has: () => true } as unknown as ReadonlySet<string>;
  const left = decodableRows(64).filter((row) => whyLeftOut(row, everything) !== null);
  const known = [
    ...['INVPCID', 'SGDT', 'SIDT', 'SLDT', 'SMSW', 'STR', 'SYSCALL', 'SYSENTER', 'VMCALL'],
    ...['VMMCALL', 'XGETBV', 'XSETBV'],
  ];
  expect(known).toEqual(expect.arrayContaining([...new Set(left.map((row) => row.mnemonic))]));
});

function caseOf(digits: string): Case {
  const registers = new Int32Array(32);
  registers.set([5, 0, 0, 0, 0, 0, 7, 0]);
  registers[14] = DATA + 64;
  const rest = { rflags: 2, fsBase: 0, gsBase: 0, pokes: [], vectors: null };
  return { code: Buffer.from(digits, 'hex'), mode: 0, registers, ...rest };
}

interface Change {
  readonly register?: readonly [number: number, value: number];
  readonly rflags?: number;
  readonly poke?: number;
  readonly code?: string;
}

function changed(one: Case, { register, rflags = one.rflags, poke, code }: Change): Case {
  const registers = one.registers.slice();
  if (register !== undefined) registers[2 * register[0]] = register[1];
  return {
    ...one,
    registers,
    rflags,
    pokes: poke === undefined ? [] : [[64, poke, 0]],
    code: code === undefined ? one.code : Buffer.from(code, 'hex'),
  };
}
