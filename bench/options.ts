// The command line of `npm run bench`.

import { parseArgs } from 'node:util';
import { nearest } from '../src/sim/index.ts';
import { SIZES, type Size, WORKLOADS, type Workload } from './workloads.ts';

export const USAGE = `npm run bench -- [NAME...] [OPTIONS]
  NAME            a workload; all of them if none is named
  --bits N        32 or 64; both if not given
  --peers A,B     who is measured; all that are installed if not given
  --runs N        runs of each (default 5)
  --seconds S     CPU time of a run beside the start (default 0.7)
  --json FILE     write everything that was measured
  --html FILE     write a chart
  --with FILE     add workloads from what --json wrote, unless this run measures them
  --update        write tables and chart into docs/
  --compare REV   this version beside another one of the repository
  --counts        instead of time, instructions of this machine (perf stat or valgrind)
  --list          the workloads and the peers`;

export interface Options {
  readonly workloads: readonly Workload[];
  readonly sizes: readonly Size[];
  /** Names, or null for all that are there. */
  readonly peers: readonly string[] | null;
  readonly runs: number;
  readonly seconds: number;
  readonly json: string | null;
  readonly html: string | null;
  readonly with: string | null;
  readonly update: boolean;
  readonly compare: string | null;
  /** Count instructions, on a machine that others disturb. */
  readonly counts: boolean;
  readonly list: boolean;
  readonly help: boolean;
}

/** A mistake on the command line, or something missing that it asks for. */
export class UsageError extends Error {}

const TEXT = { type: 'string' } as const;
const FLAG = { type: 'boolean', default: false } as const;

/** Throws {@link UsageError}. */
export function optionsOf(words: readonly string[], peers: readonly string[]): Options {
  const { values, positionals } = parsed(words);
  const wanted = values.peers?.split(',') ?? null;
  const workloads = positionals.map((name) =>
    oneOf(
      'workload',
      name,
      WORKLOADS.map(({ name: known }) => known),
    ),
  );
  const isPart = workloads.length > 0 || wanted !== null || values.bits !== undefined;
  if (values.update && isPart && values.with === undefined) {
    throw new UsageError('--update with names, --peers or --bits needs --with for all the rest');
  }
  return {
    workloads: WORKLOADS.filter(({ name }) => workloads.length === 0 || workloads.includes(name)),
    sizes: values.bits === undefined ? SIZES : [sizeOf(values.bits)],
    peers: wanted?.map((name) => oneOf('peer', name, peers)) ?? null,
    runs: numberOf('runs', values.runs ?? '5', true),
    seconds: numberOf('seconds', values.seconds ?? '0.7', false),
    json: values.json ?? null,
    html: values.html ?? null,
    with: values.with ?? null,
    update: values.update,
    compare: values.compare ?? null,
    counts: values.counts,
    list: values.list,
    help: values.help,
  };
}

function parsed(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        ...{ bits: TEXT, peers: TEXT, runs: TEXT, seconds: TEXT },
        ...{ json: TEXT, html: TEXT, with: TEXT, compare: TEXT },
        ...{ update: FLAG, list: FLAG, counts: FLAG, help: { ...FLAG, short: 'h' } },
      },
    });
  } catch (thrown) {
    throw new UsageError(thrown instanceof Error ? thrown.message : String(thrown));
  }
}

function oneOf(what: string, name: string, known: readonly string[]): string {
  if (known.includes(name)) return name;
  const meant = nearest(name, known);
  const hint = meant === null ? `there are ${known.join(', ')}` : `did you mean '${meant}'?`;
  throw new UsageError(`unknown ${what} '${name}'; ${hint}`);
}

function sizeOf(text: string): Size {
  const size = SIZES.find((candidate) => String(candidate) === text);
  if (size === undefined) throw new UsageError(`--bits: expected 32 or 64, not '${text}'`);
  return size;
}

function numberOf(name: string, text: string, isWhole: boolean): number {
  const value = Number(text);
  const isGood = value > 0 && Number.isFinite(value) && (!isWhole || Number.isInteger(value));
  if (isGood) return value;
  const expected = isWhole ? 'a whole number from 1' : 'a number above 0';
  throw new UsageError(`--${name}: expected ${expected}, not '${text}'`);
}
