// What a unit of a workload costs in instructions of this machine, counted by `perf stat` where the
// processor lets it, else by valgrind: neighbours do not disturb that, as they do disturb time.

import { spawnSync } from 'node:child_process';
import type { Command } from './child.ts';
import { inFolder } from './folder.ts';
import { imageOf } from './images.ts';
import { type Options, UsageError } from './options.ts';
import type { Peer } from './peer.ts';
import { table } from './tables.ts';
import { type Size, sizesOf, type Workload } from './workloads.ts';

/** A program that counts the instructions of another one. */
export interface Counter {
  readonly title: string;
  /** The words before the other program's. */
  readonly words: readonly string[];
  /** In what it prints; commas and periods part thousands. */
  readonly count: RegExp;
}

export const COUNTERS: readonly Counter[] = [
  {
    title: 'perf stat',
    words: ['perf', 'stat', '-x', ';', '-e', 'instructions:u', '--'],
    count: /^(\d+);[^;]*;instructions/m,
  },
  {
    title: 'valgrind',
    words: [
      ...['valgrind', '--tool=cachegrind', '--cache-sim=no', '--cachegrind-out-file=/dev/null'],
      // Code is written while the program runs.
      '--smc-check=all-non-file',
    ],
    count: /I\s+refs:\s+([\d,.]+)/,
  },
];

/** So that V8 compiles in line, and the same in each run. */
const NODE_FLAGS = ['--single-threaded', '--predictable'];

/** After so many units V8 has compiled what it will; as many again are counted. */
const UNITS = { compute: 30_000_000, string: 30_000_000, exit: 600_000, multi: 100_000 } as const;

/** The first that works here; throws {@link UsageError} if none does. */
export function counterHere(): Counter {
  const counter = COUNTERS.find((candidate) => {
    const [program, ...words] = candidate.words;
    const { stdout, stderr } = spawnSync(program, [...words, 'true'], { encoding: 'utf8' });
    return instructionsIn(candidate, `${stdout}${stderr}`) !== null;
  });
  if (counter !== undefined) return counter;
  const names = COUNTERS.map(({ title }) => title).join(' or ');
  throw new UsageError(`--counts needs ${names}; neither counts instructions here`);
}

/** Of what a counter has printed; null if it has counted nothing. */
export function instructionsIn({ count }: Counter, output: string): number | null {
  const digits = count.exec(output)?.[1];
  return digits === undefined ? null : Number(digits.replaceAll(/[,.]/g, ''));
}

/** Instructions of a process that runs so many rounds. */
function counted(counter: Counter, peer: Peer, workload: Workload, size: Size, rounds: number) {
  return inFolder((folder) => {
    const image = imageOf(workload, size, rounds);
    const command: Command = peer.command({ workload, size, image, folder });
    const [program, ...words] = counter.words;
    const args = [...words, command.program, ...NODE_FLAGS, ...command.args];
    const { stdout, stderr } = spawnSync(program, args, { cwd: folder, encoding: 'latin1' });
    const instructions = instructionsIn(counter, stderr);
    if (instructions !== null) return instructions;
    throw new Error(`${workload.name} under ${counter.title}: ${`${stdout}${stderr}`.slice(-500)}`);
  });
}

/** Instructions of this machine for a unit, the start and the warming up taken off. */
function perUnit(counter: Counter, peer: Peer, workload: Workload, size: Size): number {
  const rounds = Math.max(2, Math.ceil(UNITS[workload.kind] / workload.unitsPerRound));
  const first = counted(counter, peer, workload, size, rounds);
  const both = counted(counter, peer, workload, size, 2 * rounds);
  return (both - first) / (rounds * workload.unitsPerRound);
}

/** A table of them; of two versions with how many times as many the first one needs. */
export function countText(options: Options, peers: readonly Peer[]): string[] {
  const counter = counterHere();
  const rows = options.workloads.flatMap((workload) =>
    sizesOf(workload)
      .filter((size) => options.sizes.includes(size))
      .map((size) => {
        console.error(`${workload.name}, ${size} bits`);
        const counts = peers.map((peer) => perUnit(counter, peer, workload, size));
        const [here, there] = counts;
        const ratio = there === undefined ? [] : [(here / there).toFixed(3)];
        const cells = counts.map((count) => count.toPrecision(4));
        return [workload.name, String(size), workload.unit, ...cells, ...ratio];
      }),
  );
  const titles = ['workload', 'bits', 'of', ...peers.map(({ title }) => title)];
  return [
    `Instructions of this machine for one, by ${counter.title}:`,
    '',
    ...table(peers.length > 1 ? [...titles, 'ratio'] : titles, rows),
  ];
}
