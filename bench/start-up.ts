// Part of `npm run bench`: how long the built command takes from its start to its end, beside the
// start of Node itself, alternating, and how much memory. Needs `npm run build`.

import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inFolder } from './folder.ts';
import { type Figures, figures } from './statistics.ts';

const COMMAND = join(import.meta.dirname, '../../dist/cli/launch.js');
const RUNS = 15;

export const EMPTY_GUEST_NAME = 'an empty guest';
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

/** A module that has Node say at its end how many KiB of memory it had at most. */
const TELL_MEMORY =
  'process.on("exit", () => process.stderr.write(String(process.resourceUsage().maxRSS)));';

/** MiB of the process at its largest. */
function peakMebibytes(args: readonly string[]): number {
  const words = ['--import', `data:text/javascript,${encodeURIComponent(TELL_MEMORY)}`, ...args];
  const { stderr } = spawnSync(process.execPath, words, { encoding: 'utf8' });
  return Number(/\d+$/.exec(stderr)?.[0]) / 1024;
}

export interface StartUp {
  readonly name: string;
  /** By the clock on the wall. */
  readonly milliseconds: Figures;
  /** At most. */
  readonly mebibytes: number;
}

/** Node alone, the command, and the command with an empty guest, in this order. */
export function measureStartUp(): StartUp[] {
  return inFolder(startUpIn);
}

function startUpIn(folder: string): StartUp[] {
  const guest = join(folder, 'empty.asm');
  writeFileSync(guest, EMPTY_GUEST);
  const cases = [
    { name: 'node, nothing to do', args: ['-e', '0'], status: 0 },
    { name: 'vmxlab --version', args: [COMMAND, '--version'], status: 0 },
    { name: EMPTY_GUEST_NAME, args: [COMMAND, 'run', '-q', guest], status: EMPTY_GUEST_STATUS },
  ];
  const taken = cases.map((): number[] => []);
  for (let run = 0; run < RUNS; run++) {
    cases.forEach(({ args, status }, i) => {
      taken[i].push(milliseconds(args, status));
    });
  }
  return cases.map(({ name, args }, i) => ({
    name,
    milliseconds: figures(taken[i]),
    mebibytes: peakMebibytes(args),
  }));
}
