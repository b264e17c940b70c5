// The flags of `vmxlab experiment`, and what they say.

import { MAX_SEEDS } from '../experiment/index.ts';
import { type Arguments, count, JSON_FLAGS, once, REPEATABLE } from './arguments.ts';
import type { Flags } from './command-line.ts';
import { DEFAULT_STORE, type ExperimentOptions, type Shard } from './experiment-command.ts';
import { Failure } from './failure.ts';
import { shellLine } from './shell-words.ts';

export const EXPERIMENT_FLAGS: Flags = {
  list: { type: 'boolean', describe: 'list the experiments that come with vmxlab' },
  quick: { type: 'boolean', describe: 'the short form that the definition has' },
  seeds: { type: 'string', describe: 'how many seeds, or which: 20, 1..20 or 1,5,9' },
  cell: {
    ...REPEATABLE,
    describe: 'only cells on this level: FACTOR=LEVEL, several separated by commas',
  },
  jobs: { alias: 'j', type: 'string', describe: 'runs at a time (default: one a processor)' },
  store: { type: 'string', describe: `folder that keeps results (default ${DEFAULT_STORE})` },
  explain: {
    type: 'boolean',
    describe: 'say where the time went in the cells, and what differs between two',
  },
  compare: {
    ...REPEATABLE,
    nargs: 2,
    describe: 'the same of two cells, each as FACTOR=LEVEL, several separated by commas',
  },
  shard: { type: 'string', describe: 'only a part of the runs: 2/8 is the second of eight' },
  output: { alias: 'o', type: 'string', describe: 'folder to write reports to' },
  shards: { type: 'string', describe: 'submit: tasks of the job array (default 16)' },
  sbatch: {
    ...REPEATABLE,
    describe: 'submit: option for sbatch, such as --sbatch=--partition=long',
  },
  'dry-run': { type: 'boolean', describe: 'submit: only print what sbatch would get' },
  ...JSON_FLAGS,
};

/** What the flags say. */
export function experimentOptions(args: Arguments): ExperimentOptions {
  const words = ((args.what ?? []) as readonly unknown[]).map(String);
  if (words.includes('')) throw new Failure('the name of the experiment is empty');
  const jobs = args.jobs === undefined ? null : count(args, 'jobs', 0);
  if (jobs === 0) throw new Failure('--jobs: expected a whole number from 1 on');
  const shards = args.shards === undefined ? null : count(args, 'shards', 0);
  if (shards === 0) throw new Failure('--shards: expected a whole number from 1 on');
  return {
    words,
    shards,
    sbatch: ((args.sbatch as readonly string[] | undefined) ?? []).map(String),
    dryRun: args['dry-run'] === true,
    list: args.list === true,
    quick: args.quick === true,
    explain: args.explain === true,
    compare: pairOf(args.compare as readonly unknown[] | undefined),
    json: args.json === true,
    jobs,
    seeds: seedsOf(once(args, 'seeds')),
    cells: ((args.cell as readonly string[] | undefined) ?? []).map(String),
    output: once(args, 'output'),
    store: once(args, 'store') ?? DEFAULT_STORE,
    shard: shardOf(once(args, 'shard')),
    commandLine: shellLine(['vmxlab', ...process.argv.slice(2)]),
  };
}

function pairOf(words: readonly unknown[] | undefined): readonly [string, string] | null {
  if (words === undefined) return null;
  if (words.length === 2) return [String(words[0]), String(words[1])];
  throw new Failure(`--compare: expected two cells, not ${words.length}`);
}

function seedsOf(text: string | undefined): readonly number[] | null {
  if (text === undefined) return null;
  const [, from, to] = /^(\d{1,15})\.\.(\d{1,15})$/.exec(text) ?? [];
  const numbers = text.split(',').map((word) => (/^\d{1,15}$/.test(word) ? Number(word) : NaN));
  const range = (first: number, last: number) =>
    Array.from(
      { length: Math.max(0, Math.min(last - first + 1, MAX_SEEDS + 1)) },
      (_, i) => first + i,
    );
  const isCount = numbers.length === 1 && to === undefined;
  const seeds =
    to !== undefined ? range(Number(from), Number(to)) : isCount ? range(1, numbers[0]) : numbers;
  const isGood = seeds.length > 0 && !seeds.some(Number.isNaN);
  if (isGood && seeds.length <= MAX_SEEDS && new Set(seeds).size === seeds.length) return seeds;
  throw new Failure(
    `--seeds: expected how many (at most ${MAX_SEEDS}), a range such as 1..20, or a list of ` +
      `different ones such as 1,5,9, not '${text}'`,
  );
}

function shardOf(text: string | undefined): Shard | null {
  if (text === undefined) return null;
  const [, index, count] = /^(\d{1,6})\/(\d{1,6})$/.exec(text)?.map(Number) ?? [];
  if (index !== undefined && count !== undefined && index >= 1 && index <= count) {
    return { index, count };
  }
  throw new Failure(`--shard: expected a part such as 2/8, not '${text}'`);
}
