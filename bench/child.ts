// Programs run in a process of their own, and timed by what the kernel says that they used of the
// processor: on a machine that others use too, the clock on the wall says little.

import { spawnSync } from 'node:child_process';

export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  /** Folder that it is started in. */
  readonly folder: string;
}

export interface Timed {
  /** User and system time of the process with all its threads and children. */
  readonly cpuSeconds: number;
  /** All that it wrote, and what of it to its standard output. */
  readonly output: string;
  readonly stdout: string;
}

/** Longer than anything that is measured. */
const LIMIT_SECONDS = 300;

/** Bash tells the times of what it waited for, to the millisecond. */
const TIME_IT = 'TIMEFORMAT="%3U %3S"; time timeout -k 1 "$0" "$@"';

/** Run to the end; nobody looks at the exit code, for every emulator has its own. */
export function timed({ program, args, folder }: Command): Timed {
  const words = ['-c', TIME_IT, String(LIMIT_SECONDS), program, ...args];
  const { stdout, stderr, error } = spawnSync('bash', words, {
    cwd: folder,
    encoding: 'latin1',
    maxBuffer: 2 ** 28,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  if (error !== undefined) throw error;
  const [, user, system] = /(\d+\.\d{3}) (\d+\.\d{3})\n$/.exec(stderr) ?? [];
  if (user === undefined) throw new Error(`${program}: no times in ${stderr}`);
  return { cpuSeconds: Number(user) + Number(system), output: `${stdout}${stderr}`, stdout };
}

/** What a program says of itself, or null if it is not there. */
export function says(program: string, args: readonly string[]): string | null {
  const { stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  return error === undefined ? `${stdout}${stderr}`.trim() : null;
}
