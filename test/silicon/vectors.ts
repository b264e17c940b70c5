// `npm run vectors -- FILE`: single-instruction cases in the format of the conformance data
// (silicon-x86-64), one JSON object a line, executed here. Failures print the case, what the
// file expects and what came out; the last line is `N passed, N failed`.

import { readFileSync } from 'node:fs';
import { SiliconBench, type SiliconCase, type Verdict } from '../support/silicon.ts';

/** What came of a file. */
export interface VectorReport {
  readonly passed: number;
  readonly failed: number;
  readonly messages: readonly string[];
}

export function runVectors(lines: readonly string[]): VectorReport {
  const bench = new SiliconBench();
  const messages: string[] = [];
  let passed = 0;
  lines.forEach((line, i) => {
    if (line.trim() === '') return;
    const recorded = parsed(line, i + 1);
    const verdict = bench.run(recorded);
    if (verdict.kind === 'same') passed++;
    else messages.push(failure(recorded, i + 1, verdict));
  });
  return { passed, failed: messages.length, messages };
}

function parsed(line: string, number: number): SiliconCase {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error(`line ${number} is not JSON`);
  }
  const { b, r, o, f, ip } = value as Partial<SiliconCase>;
  const isCase =
    typeof b === 'string' &&
    /^([0-9a-f]{2}){1,15}$/i.test(b) &&
    Array.isArray(r) &&
    r.length === 16 &&
    typeof o === 'object' &&
    Array.isArray(f) &&
    f.length === 2 &&
    typeof ip === 'number';
  if (!isCase) throw new Error(`line ${number} is not a case: it needs b, r, o, f and ip`);
  return value as SiliconCase;
}

function failure({ c, b, d, r, f }: SiliconCase, number: number, verdict: Verdict): string {
  const differences =
    verdict.kind === 'different' ? verdict.differences : ['it should run and is not implemented'];
  return [
    `line ${number}: ${d ?? 'no instruction'} [${b}] (${c})`,
    `rax to r15 ${r.join(' ')}`,
    `rflags ${f[0].toString(16)}`,
    ...differences,
  ].join('\n    ');
}

function main(): number {
  const file = process.argv[2];
  if (file === undefined || process.argv.length > 3) {
    console.error('npm run vectors -- FILE');
    return 2;
  }
  try {
    const { passed, failed, messages } = runVectors(readFileSync(file, 'utf8').split('\n'));
    for (const message of messages) console.log(message);
    console.log(`${passed} passed, ${failed} failed`);
    return failed === 0 ? 0 : 1;
  } catch (thrown) {
    console.error(thrown instanceof Error ? thrown.message : thrown);
    return 2;
  }
}

if (import.meta.filename === process.argv[1]) process.exitCode = main();
