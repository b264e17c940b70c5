// Part of `npm run bench`: how long the built command takes from its start to its end, beside the
// start of Node itself, alternating. Needs `npm run build`.

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const COMMAND = join(import.meta.dirname, '../../dist/cli/launch.js');
const RUNS = 15;

const EMPTY_GUEST = 'bits 64\nmov al, 0\nout 0xf4, al\n';
/** What the debug-exit port makes of 0. */
const EMPTY_GUEST_STATUS = 1;

function milliseconds(args: readonly string[], expected: number): number {
  const start = process.hrtime.bigint();
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const taken = Number(process.hrtime.bigint() - start) / 1e6;
  if (status !== expected) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`);
  return taken;
}

/** Prints a Markdown table of medians. */
export function printStartUp(): void {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-bench-'));
  const guest = join(folder, 'empty.asm');
  writeFileSync(guest, EMPTY_GUEST);
  const cases = [
    { name: 'node, nothing to do', args: ['-e', '0'], status: 0 },
    { name: 'vmxlab --version', args: [COMMAND, '--version'], status: 0 },
    { name: 'an empty guest', args: [COMMAND, 'run', '-q', guest], status: EMPTY_GUEST_STATUS },
  ];
  const taken = cases.map((): number[] => []);
  for (let run = 0; run < RUNS; run++) {
    cases.forEach(({ args, status }, i) => {
      taken[i].push(milliseconds(args, status));
    });
  }
  rmSync(folder, { recursive: true });
  const medians = taken.map((values) => values.sort((a, b) => a - b)[RUNS >> 1]);
  console.log(`\nMilliseconds from start to end; medians of ${RUNS} runs, least to most.\n`);
  console.log('| command | time | to Node alone |');
  console.log('| --- | --- | --- |');
  cases.forEach(({ name }, i) => {
    const [least, most] = [taken[i][0], taken[i][RUNS - 1]].map((value) => value.toFixed(0));
    const ratio = (medians[i] / medians[0]).toFixed(2);
    console.log(`| ${name} | ${medians[i].toFixed(0)} (${least} to ${most}) | ${ratio} |`);
  });
}
