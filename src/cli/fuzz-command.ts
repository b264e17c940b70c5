// `vmxlab fuzz`: run a program again and again, with ever other input, values and orders of steps,
// and keep what comes by something new.

import { basename, extname, join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import {
  BATCH,
  type Channel,
  type Domain,
  Executor,
  type FoundCase,
  FUZZ_STRATEGIES,
  type FuzzCase,
  Fuzzer,
  fewest,
  givenBytes,
  minimiseCase,
  type Outcome,
  type Places,
  parseChannels,
  parseDomain,
  type Strategy,
} from '../fuzz/index.ts';
import { EXIT_CODES, type GivenSetting } from '../machine/index.ts';
import { type Arguments, count, once, oneOf, REPEATABLE } from './arguments.ts';
import type { Flags } from './command-line.ts';
import { EXIT_UNEXPECTED, Failure } from './failure.ts';
import { type KeptFinding, keepFinding } from './fuzz-finding.ts';
import { FuzzFolder, readCase } from './fuzz-folder.ts';
import { executorFor, type FuzzSetup, type LoadedTarget, loadTarget } from './fuzz-job.ts';
import { FuzzPool } from './fuzz-pool.ts';
import { cutOffLine, findingLines, fuzzJson, headLine, statisticsLine } from './fuzz-text.ts';
import { defaultJobCount } from './job-pool.ts';
import type { AssemblyOptions } from './program.ts';

export const FUZZ_FLAGS: Flags = {
  corpus: { type: 'string', describe: 'folder of cases, read and added to (default: FILE.fuzz)' },
  runs: { type: 'string', describe: 'runs at most; 0: only the cases of the folder' },
  for: { type: 'string', describe: 'real time at most, as 10s or 5m (default 60s without --runs)' },
  jobs: { alias: 'j', type: 'string', describe: 'runs at a time (default: one a processor)' },
  vary: {
    ...REPEATABLE,
    describe: 'what of the scenario varies: KEY, KEY=LEAST..MOST or KEY=VALUE,VALUE',
  },
  strategy: {
    type: 'string',
    describe: `who orders steps, one of: ${FUZZ_STRATEGIES.join(', ')} (default time)`,
  },
  'store-buffers': { type: 'boolean', describe: 'random, pct: x86-TSO' },
  configuration: { type: 'string', describe: 'name of the RUN line whose expectations hold' },
  'keep-going': { type: 'boolean', describe: 'look for more behind the first finding' },
  minimise: { type: 'boolean', describe: 'make the folder and its cases smaller, and stop' },
  replay: { type: 'string', describe: 'a case of a folder: run it, and say what it does' },
  blind: { type: 'boolean', describe: 'by chance alone, to compare with' },
};

export interface FuzzCommandOptions extends AssemblyOptions {
  readonly file: string;
  readonly json: boolean;
  readonly flags: readonly GivenSetting[];
  readonly corpus: string | undefined;
  readonly runs: number | null;
  readonly forMs: number | null;
  readonly jobs: number;
  readonly vary: readonly string[];
  readonly strategy: Strategy;
  readonly storeBuffers: boolean;
  readonly configuration: string | null;
  readonly keepsGoing: boolean;
  readonly minimise: boolean;
  readonly replay: string | undefined;
  readonly isBlind: boolean;
}

/** What the flags say. */
export function fuzzOptions(args: Arguments) {
  const jobs = count(args, 'jobs', defaultJobCount());
  if (jobs === 0) throw new Failure('--jobs: expected a number from 1, not 0');
  const strategy = oneOf(args, 'strategy', FUZZ_STRATEGIES, 'time');
  const storeBuffers = args['store-buffers'] === true;
  if (storeBuffers && strategy === 'time') {
    throw new Failure('--store-buffers needs --strategy random or pct: in time there are none');
  }
  return {
    corpus: once(args, 'corpus'),
    runs: args.runs === undefined ? null : count(args, 'runs', 0),
    forMs: millisecondsOf(args),
    jobs,
    vary: ((args.vary as readonly string[] | undefined) ?? []).map(String),
    strategy,
    storeBuffers,
    configuration: once(args, 'configuration') ?? null,
    keepsGoing: args['keep-going'] === true,
    minimise: args.minimise === true,
    replay: once(args, 'replay'),
    isBlind: args.blind === true,
  };
}

const UNITS_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

function millisecondsOf(args: Arguments): number | null {
  const text = once(args, 'for');
  if (text === undefined) return null;
  const [, number, unit] = /^(\d+(?:\.\d+)?)(ms|s|m|h)$/.exec(text) ?? [];
  if (number !== undefined) return Number(number) * UNITS_MS[unit];
  throw new Failure(`--for: expected a time such as 10s, 5m or 1h, not '${text}'`);
}

/** Real time that is looked for if nobody says how long. */
const DEFAULT_MS = 60_000;

/** The first runs may take so many instructions, or steps. */
const FIRST_LIMIT = { time: 20_000_000, random: 100_000, pct: 100_000 } as const;

/** Later ones this many times as many as the longest of the first, and some. */
const PATIENCE = 20;
const PATIENCE_AT_LEAST = { time: 100_000, random: 2000, pct: 2000 } as const;

/** Runs that making a finding smaller may take, and a case of the folder. */
const MOST_MINIMISING = 400;

/** Fuzz, print, and return the exit code. */
export async function fuzzCommand(options: FuzzCommandOptions): Promise<number> {
  const first = setupOf(options, FIRST_LIMIT[options.strategy]);
  const loaded = loadTarget(first);
  for (const warning of loaded.input.warnings) process.stderr.write(`${warning}\n`);
  const fuzzing = new Fuzzing(options, loaded);
  if (options.replay !== undefined) return fuzzing.replay(options.replay);
  if (options.minimise) return fuzzing.minimise();
  return await fuzzing.fuzz();
}

function setupOf(options: FuzzCommandOptions, limit: number): FuzzSetup {
  const { file, flags, strategy, storeBuffers, configuration } = options;
  const { linked, syntax, defines, includes } = options;
  return {
    file,
    flags: flags.map(({ setting, value }) => [setting.flag, value]),
    assembly: { linked, syntax, defines, includes },
    ...{ configuration, strategy, storeBuffers, limit },
  };
}

class Fuzzing {
  private readonly options: FuzzCommandOptions;
  private readonly folder: FuzzFolder;
  private readonly fuzzer: Fuzzer;
  private readonly loaded: LoadedTarget;
  private readonly channels: readonly Channel[];
  private readonly firstCases: readonly FuzzCase[];
  /** How many of these were in the folder. */
  private readonly givenCount: number;
  private readonly setup: FuzzSetup;
  /** In this thread, for what is not worth a worker. */
  private readonly executor: Executor;
  /** Runs kept cases once more, by both engines; null if nobody asked for that. */
  private readonly engines: Executor | null;
  private readonly kept: KeptFinding[] = [];
  private isInterrupted = false;

  constructor(options: FuzzCommandOptions, loaded: LoadedTarget) {
    const { target, input } = loaded;
    this.options = options;
    const places = Executor.placesOf(target);
    this.channels = this.channelsFor(places, loaded);
    this.fuzzer = new Fuzzer({
      seed: input.scenario.seed,
      channels: this.channels,
      given: givenBytes(this.channels, places),
      domains: this.keys(places).map((text) => domainOf(text, loaded)),
      strategy: options.strategy,
      isGuided: !options.isBlind,
    });
    this.folder = new FuzzFolder(options.corpus ?? folderOf(options.file));
    const own = this.fuzzer.firstCases();
    const given = this.folder.read(this.channels, own[0]);
    this.firstCases = [...own, ...given];
    this.givenCount = given.length;
    const limit = this.limitFor(loaded);
    this.setup = setupOf(options, limit);
    this.loaded = { input, target: { ...target, limit } };
    this.executor = executorFor(this.loaded.target);
    this.engines = this.enginesFor(limit);
  }

  private enginesFor(limit: number): Executor | null {
    const { input, target } = this.loaded;
    const { scenario } = input;
    if (scenario.engine !== 'check' || target.strategy !== 'time') return null;
    return executorFor({ ...target, scenario, limit });
  }

  /**
   * By which ways bytes come to the program: at its label, and as `--vary` says; by the serial port
   * if it reads that and nobody says anything.
   */
  private channelsFor(places: Places, { target }: LoadedTarget): readonly Channel[] {
    const { vary } = this.options;
    const hasLabel = places.labelBytes !== null;
    const isSaid = vary.length > 0 || hasLabel;
    const readsSerial = !isSaid && executorFor(target).readsSerial();
    const given = vary.flatMap((text) => {
      const parsed = parseChannels(text, places);
      if (parsed !== null && 'problem' in parsed) throw new Failure(`--vary: ${parsed.problem}`);
      return parsed?.channels ?? [];
    });
    const isLimited = given.some(({ kind }) => kind === 'input');
    const more = [
      ...(hasLabel && !isLimited ? ['vms[].input'] : []),
      ...(readsSerial ? ['vms[].serial_input'] : []),
    ];
    return [...more.flatMap((key) => waysOf(key, places)), ...given];
  }

  /** Values that may vary; if the program has no input and nobody says anything, the seed. */
  private keys(places: Places): readonly string[] {
    const { vary, strategy } = this.options;
    const isAlone = this.channels.length === 0 && strategy === 'time';
    if (vary.length === 0) return isAlone ? ['seed'] : [];
    return vary.filter((text) => parseChannels(text, places) === null);
  }

  /** Long enough for whatever ends at all. */
  private limitFor({ input, target }: LoadedTarget): number {
    const { flags, strategy } = this.options;
    const isGiven = flags.some(({ setting }) => setting.flag === 'max-instructions');
    if (isGiven && strategy === 'time') return input.scenario.limits.instructions;
    const executor = executorFor(target);
    const lengths = this.firstCases.map((one) => executor.run(one).length);
    const longest = Math.max(...lengths) * PATIENCE + PATIENCE_AT_LEAST[strategy];
    return Math.min(longest, FIRST_LIMIT[strategy]);
  }

  async fuzz(): Promise<number> {
    const { options, folder, fuzzer } = this;
    folder.make();
    const interrupt = () => {
      this.isInterrupted = true;
    };
    process.once('SIGINT', interrupt);
    const begun = process.hrtime.bigint();
    const pool = new FuzzPool(this.setup, options.jobs);
    const keys = this.keys(Executor.placesOf(this.loaded.target));
    this.say(headLine(options.file, this.loaded, this.channels, keys, options));
    try {
      await this.batches(pool, begun);
    } finally {
      process.off('SIGINT', interrupt);
      await pool.close();
    }
    const seconds = secondsSince(begun);
    if (options.json) process.stdout.write(`${fuzzJson(fuzzer.statistics, this.kept)}\n`);
    else this.say(statisticsLine(fuzzer.statistics, seconds));
    if (this.kept.length > 0) return EXIT_UNEXPECTED;
    if (fuzzer.statistics.unfinished > 0) {
      this.say(cutOffLine(this.setup.limit, options.strategy));
      return EXIT_CODES.limit;
    }
    this.say('Nothing goes wrong that was tried.');
    return 0;
  }

  private async batches(pool: FuzzPool, begun: bigint): Promise<void> {
    const { fuzzer, options, firstCases } = this;
    const most = options.runs ?? Number.POSITIVE_INFINITY;
    const forMs = options.forMs ?? (options.runs === null ? DEFAULT_MS : Number.POSITIVE_INFINITY);
    this.noteAll(firstCases, await pool.run(firstCases), true);
    while (!this.isOver) {
      const left = most - fuzzer.statistics.runs;
      if (left <= 0 || secondsSince(begun) * 1000 >= forMs || this.isInterrupted) return;
      const batch = fuzzer.nextBatch(Math.min(BATCH, left));
      this.noteAll(batch, await pool.run(batch), false);
      // Ctrl-C is heard of here.
      await setImmediate();
    }
  }

  private get isOver(): boolean {
    return this.kept.length > 0 && !this.options.keepsGoing;
  }

  private noteAll(
    cases: readonly FuzzCase[],
    outcomes: readonly Outcome[],
    isFirst: boolean,
  ): void {
    const { fuzzer, folder, engines } = this;
    for (const [i, one] of cases.entries()) {
      if (this.isOver) return;
      const before = fuzzer.corpus.entries.length;
      this.found(fuzzer.note(one, outcomes[i], isFirst));
      if (fuzzer.corpus.entries.length === before) continue;
      if (!isFirst) folder.keep(one);
      if (engines === null) continue;
      const second = engines.run(one);
      if (second.finding?.kind === 'engine') this.found(fuzzer.foundElsewhere(one, second));
    }
  }

  private found(found: FoundCase | null): void {
    if (found === null) return;
    const { signature } = found.finding;
    const executor = found.finding.kind === 'engine' ? this.engines : this.executor;
    const holds = (one: FuzzCase) => executor?.run(one).finding?.signature === signature;
    const smallest = minimiseCase(found.case, holds, MOST_MINIMISING);
    const outcome = executor?.run(smallest) ?? found.outcome;
    const finding = outcome.finding ?? found.finding;
    const smaller = { ...found, case: smallest, outcome, finding };
    const kept = keepFinding(this.folder, smaller, this.loaded, this.options, this.executor);
    this.kept.push(kept);
    for (const line of findingLines(kept)) this.say(line);
  }

  /** Run one case, and say what it does. */
  replay(path: string): number {
    const one = readCase(path);
    const problem = caseProblem(one, Executor.placesOf(this.loaded.target));
    if (problem !== null) throw new Failure(`${path}: ${problem}`);
    const outcome = this.executor.run(one);
    const { finding, length, features, isUnfinished } = outcome;
    if (finding === null && isUnfinished) {
      this.say(`${path}: ${cutOffLine(this.setup.limit, this.options.strategy)}`);
      return EXIT_CODES.limit;
    }
    if (finding === null) {
      const unit = this.options.strategy === 'time' ? 'instructions' : 'steps';
      this.say(`${path}: nothing goes wrong: ${length} ${unit}, ${features.length} features`);
      return 0;
    }
    const found = { case: one, outcome, finding, run: 1 };
    const kept = keepFinding(this.folder, found, this.loaded, this.options, this.executor);
    for (const line of findingLines(kept)) this.say(line);
    return EXIT_UNEXPECTED;
  }

  /** Fewer cases in the folder, and smaller ones, that come by the same together. */
  minimise(): number {
    const { firstCases, executor, fuzzer, folder } = this;
    for (const one of firstCases) fuzzer.note(one, executor.run(one), true);
    const { entries } = fuzzer.corpus;
    const kept = fewest(entries).map((entry) => {
      const holds = (one: FuzzCase) => {
        const features = new Set(executor.run(one).features);
        return entry.features.every((feature) => features.has(feature));
      };
      return { case: minimiseCase(entry.case, holds, MOST_MINIMISING) };
    });
    folder.make();
    folder.replace(kept);
    const { features } = fuzzer.statistics;
    const all = Object.values(features).reduce((sum, number) => sum + number, 0);
    const before = this.givenCount;
    this.say(`${folder.path}: ${before} cases, now ${kept.length}, with the same ${all} features`);
    return 0;
  }

  private say(line: string): void {
    if (!this.options.json) process.stdout.write(`${line}\n`);
  }
}

function domainOf(text: string, { input }: LoadedTarget): Domain {
  const parsed = parseDomain(text, input.scenario);
  if ('domain' in parsed) return parsed.domain;
  throw new Failure(`--vary: ${parsed.problem}`);
}

function waysOf(key: string, places: Places): readonly Channel[] {
  const parsed = parseChannels(key, places);
  return parsed !== null && 'channels' in parsed ? parsed.channels : [];
}

/** Why a program cannot be given what a case has. */
function caseProblem({ input, modules }: FuzzCase, places: Places): string | null {
  if (input !== null && places.labelBytes === null) {
    return 'has an input, but the program has no label fuzz_input';
  }
  const count = places.modules.length;
  if (modules === undefined || modules.length === count) return null;
  return `has ${modules.length} modules, but the program is given ${count}`;
}

function folderOf(file: string): string {
  return join('.', `${basename(file, extname(file))}.fuzz`);
}

function secondsSince(begun: bigint): number {
  return Number(process.hrtime.bigint() - begun) / 1e9;
}
