// What is measured: the guest programs in bench/programs, what each does in a round, and how much
// that is. Instruction counts are exact; test/bench.test.ts holds the interpreter to them.

export const SIZES = [32, 64] as const;

/** Bits of the registers that a program computes with, and the mode that it runs in. */
export type Size = (typeof SIZES)[number];

/**
 * `compute`: arithmetic, memory and branches. `string`: repeated string instructions. `exit`: what
 * leaves the guest. `multi`: several vCPUs, or time.
 */
export type Kind = 'compute' | 'string' | 'exit' | 'multi';

/** Several vCPUs and time are the same in all modes. */
export function sizesOf({ kind }: Workload): readonly Size[] {
  return kind === 'multi' ? [64] : SIZES;
}

export interface Workload {
  readonly name: string;
  readonly kind: Kind;
  /** In a few words. */
  readonly summary: string;
  /** The program, if it has not the workload's name, and macros for it. */
  readonly program?: string;
  readonly defines?: Readonly<Record<string, string>>;
  readonly processors: number;
  /** So many virtual machines share that many pCPUs; one if not given. */
  readonly guests?: number;
  /** What is counted, and how many of it a round has. */
  readonly unit: string;
  readonly unitsPerRound: number;
  /** Instructions of a round; null where they depend on who waits how long. */
  readonly instructionsPerRound: number | null;
  /** Only vmxlab has what it needs. */
  readonly isOurs?: boolean;
  /** What is promised is what more of the same costs: warming up is taken off as well. */
  readonly isSteady?: boolean;
  /** More words for `vmxlab run`. */
  readonly ownArgs?: readonly string[];
}

/** A workload on one vCPU that is counted in its instructions. */
function plain(name: string, kind: Kind, instructionsPerRound: number, summary: string): Workload {
  const counts = { unitsPerRound: instructionsPerRound, instructionsPerRound };
  return { name, kind, summary, processors: 1, unit: 'instructions', ...counts };
}

/** A workload whose round has one VM exit; the instruction that exits is KVM's to complete. */
function exit(name: string, instructionsPerRound: number, summary: string): Workload {
  const counts = { unit: 'exits', unitsPerRound: 1, instructionsPerRound };
  return { name, kind: 'exit', summary, processors: 1, ...counts };
}

/** A ticket lock that so many contend on; what is counted is increments under it. */
function lock(name: string, processors: number, section: number, summary: string): Workload {
  return {
    ...{ name, kind: 'multi', summary, processors, program: 'lock-ticket' },
    defines: { SECTION: String(section) },
    ...{ unit: 'increments', unitsPerRound: processors, instructionsPerRound: null },
  };
}

/** Guests of 28 vCPUs that compute, and take one of eight ticket locks every 100 us, for 3 us. */
function load(name: string, guests: number, summary: string): Workload {
  const defines = { COMPUTE: '194000', HOLD: '6000' };
  return {
    ...{ name, kind: 'multi', summary, processors: 28, guests, program: 'contention', defines },
    ...{ unit: 'lock operations', unitsPerRound: 28 * guests, instructionsPerRound: null },
    isOurs: true,
  };
}

/** The same work on each of several processors, with the lookahead that a promise is about. */
function each(processors: number): Workload {
  return {
    ...{ name: `alu-${processors}`, kind: 'multi', program: 'alu-processors', processors },
    summary: `xorshift on ${processors} vCPUs`,
    ...{ unit: 'instructions', unitsPerRound: 12 * processors, instructionsPerRound: null },
    isSteady: true,
    ownArgs: ['--lookahead', '200'],
  };
}

/** A workload whose round is one event, with sleep in between. */
function event(name: string, processors: number, unit: string, summary: string): Workload {
  const counts = { unit, unitsPerRound: 1, instructionsPerRound: null };
  return { name, kind: 'multi', summary, processors, ...counts };
}

/** fib(n) calls itself 2 * F(n + 1) - 1 times: F(n + 1) times it is small, the others not. */
const FIB_21 = 10_946;
const FIB_SMALL = 4;
const FIB_LARGE = 12;

const N = 64;

export const WORKLOADS: readonly Workload[] = [
  plain('alu', 'compute', 12, 'xorshift in registers'),
  plain('memory', 'compute', 7, 'load, add, store'),
  plain('crc', 'compute', 3 + 7 * 4096 + 3, 'CRC-32 by a table'),
  plain('fib', 'compute', 4 + FIB_LARGE * (FIB_21 - 1) + FIB_SMALL * FIB_21, 'fib(20), recursive'),
  plain('matmul', 'compute', 3 + N * (4 + N * (11 + 7 * N)), 'matrices of 64 by 64 words'),
  // Counted, for both depend on the data: the number of strikes, and of moves.
  plain('sieve', 'compute', 562_882, 'primes below 65,536'),
  plain('sort', 'compute', 98_996, 'insertion sort of 256 words'),
  plain('hash', 'string', 5 + 5 * 1024 + 2, 'REP MOVSD of 4 KiB, then a hash of them'),
  {
    ...plain('rep-copy', 'string', 10, 'REP STOSB and REP MOVSB of 4 KiB'),
    unit: 'iterations',
    unitsPerRound: 2 * 4096,
  },
  exit('exits-cpuid', 3, 'CPUID in a loop'),
  exit('exits-out', 2, 'OUT in a loop'),
  { ...exit('exits-vmcall', 3, 'VMCALL in a loop'), isOurs: true },
  lock('lock-4', 4, 0, 'ticket lock of 4 vCPUs, with PAUSE'),
  lock('lock-64', 64, 0, 'ticket lock of 64 vCPUs, with PAUSE'),
  lock('lock-long', 4, 5000, 'the same of 4, held for 10,000 cycles'),
  load('load-28', 1, 'a guest of 28 vCPUs that compute and take ticket locks'),
  load('load-28-28', 2, 'two of them on the same 28 pCPUs'),
  each(1),
  each(4),
  each(64),
  event('ipi', 2, 'round trips', 'two vCPUs wake each other by IPI'),
  event('timer', 1, 'ticks', 'local APIC timer, HLT'),
];

export function workloadNamed(name: string): Workload | undefined {
  return WORKLOADS.find((workload) => workload.name === name);
}
