// What has to hold: how fast vmxlab promises to be beside others, and what was measured of it.

import { type Results, rateOf, ratioOf } from './results.ts';
import { EMPTY_GUEST_NAME, type StartUp } from './start-up.ts';
import { geometricMean } from './statistics.ts';
import { digits, table } from './tables.ts';
import { type Kind, type Size, WORKLOADS } from './workloads.ts';

interface Promised {
  readonly text: string;
  /** `atLeast` or `below` this. */
  readonly bound: number;
  readonly isUpper?: boolean;
  /** Null if something was not measured. */
  readonly value: (results: Results) => number | null;
}

/** The medians of the ratios to a peer over all workloads of some kinds that it can run. */
function ratiosTo(results: Results, peer: string, size: Size, kinds: readonly Kind[]): number[] {
  return WORKLOADS.filter(({ kind, isOurs }) => kinds.includes(kind) && isOurs !== true).flatMap(
    ({ name }) => ratioOf(results, name, size, ['compiled', peer])?.median ?? [],
  );
}

/** On one vCPU; to the peers, what leaves the guest here is an instruction like others. */
const SINGLE: readonly Kind[] = ['compute', 'string', 'exit'];
const WITHIN: readonly Kind[] = ['compute', 'string'];

function meanTo(peer: string, size: Size, kinds: readonly Kind[]) {
  return (results: Results): number | null => {
    const all = ratiosTo(results, peer, size, kinds);
    return all.length === 0 ? null : geometricMean(all);
  };
}

function leastTo(peer: string, size: Size, kinds: readonly Kind[]) {
  return (results: Results): number | null => {
    const all = ratiosTo(results, peer, size, kinds);
    return all.length === 0 ? null : Math.min(...all);
  };
}

/** Millions of units a second. */
function millions(workload: string, peer: string) {
  return (results: Results): number | null => {
    const rate = rateOf(results, workload, 64, peer);
    return rate === null ? null : rate.median / 1e6;
  };
}

/** A quotient of rates: of workloads, of peers, or of both, in 64 bits. */
function quotient(above: readonly [string, string], below: readonly [string, string]) {
  return (results: Results): number | null => {
    const [over, under] = [above, below].map(([workload, peer]) =>
      rateOf(results, workload, 64, peer),
    );
    return over === null || under === null ? null : over.median / under.median;
  };
}

function emptyGuest({ startUp }: Results): StartUp | undefined {
  return startUp.find(({ name }) => name === EMPTY_GUEST_NAME);
}

const PROMISES: readonly Promised[] = [
  {
    text: 'geometric mean of the ratios to QEMU TCG, one vCPU, 64 bits',
    bound: 2,
    value: meanTo('tcg', 64, SINGLE),
  },
  {
    text: 'the same of those that do not leave the guest',
    bound: 2,
    value: meanTo('tcg', 64, WITHIN),
  },
  {
    text: 'geometric mean of the ratios to v86, one vCPU, 32 bits',
    bound: 2,
    value: meanTo('v86', 32, SINGLE),
  },
  {
    text: 'the same of those that do not leave the guest',
    bound: 2,
    value: meanTo('v86', 32, WITHIN),
  },
  {
    text: 'least ratio to QEMU TCG, one vCPU, 64 bits',
    bound: 0.8,
    value: leastTo('tcg', 64, SINGLE),
  },
  {
    text: 'the least of those that do not leave the guest',
    bound: 0.8,
    value: leastTo('tcg', 64, WITHIN),
  },
  {
    text: 'least ratio to Bochs, arithmetic, memory and branches, 64 bits',
    bound: 10,
    value: leastTo('bochs', 64, ['compute']),
  },
  ...['cpuid', 'out', 'vmcall'].map((name) => ({
    text: `millions of exits a second, ${name.toUpperCase()}`,
    bound: 5,
    value: millions(`exits-${name}`, 'compiled'),
  })),
  {
    text: 'millions of exits a second with a trace, CPUID',
    bound: 1,
    value: millions('exits-cpuid', 'traced'),
  },
  {
    text: 'ticket lock of 4 vCPUs without skipping, to Bochs',
    bound: 4,
    value: quotient(['lock-4', 'skip-off'], ['lock-4', 'bochs']),
  },
  {
    text: 'ticket lock of 4 vCPUs without skipping, to QEMU icount',
    bound: 4,
    value: quotient(['lock-4', 'skip-off'], ['lock-4', 'icount']),
  },
  {
    text: 'a lock that is held for 10,000 cycles, with skipping to without',
    bound: 50,
    value: quotient(['lock-long', 'compiled'], ['lock-long', 'skip-off']),
  },
  {
    text: 'throughput of 64 vCPUs in total, to that of one',
    bound: 0.6,
    value: quotient(['alu-64', 'compiled'], ['alu-1', 'compiled']),
  },
  {
    text: 'cost of a vCPU-second with 64 vCPUs, to that with 4',
    bound: 1.15,
    isUpper: true,
    value: quotient(['alu-4', 'compiled'], ['alu-64', 'compiled']),
  },
  {
    text: 'milliseconds of an empty guest, from start to end of the process',
    bound: 150,
    isUpper: true,
    value: (results) => emptyGuest(results)?.milliseconds.median ?? null,
  },
  {
    text: 'MiB of that process at most',
    bound: 150,
    isUpper: true,
    value: (results) => emptyGuest(results)?.mebibytes ?? null,
  },
  {
    text: 'CPU seconds of a virtual second of two contending guests, 28 vCPUs on 28 pCPUs',
    bound: 1,
    isUpper: true,
    value: ({ contended = [] }) => {
      if (contended.length === 0) return null;
      return Math.max(...contended.map(({ secondsPerSecond }) => secondsPerSecond.median));
    },
  },
  {
    text: 'CPU time with a debugger attached and no breakpoint, to that without',
    bound: 1.05,
    isUpper: true,
    value: ({ debugging }) => debugging?.attached.median ?? null,
  },
  {
    text: 'milliseconds of CPU time to go back 10 million instructions of 25, the first time',
    bound: 1000,
    isUpper: true,
    value: ({ debugging }) => debugging?.firstMilliseconds.median ?? null,
  },
  {
    text: 'the same again',
    bound: 1000,
    isUpper: true,
    value: ({ debugging }) => debugging?.againMilliseconds.median ?? null,
  },
];

/** Those of which something was measured. */
export function promiseTable(results: Results): string[] {
  const rows = PROMISES.flatMap(({ text, bound, isUpper, value }) => {
    const measured = value(results);
    if (measured === null) return [];
    const holds = isUpper === true ? measured < bound : measured >= bound;
    const missedBy = isUpper === true ? measured / bound : bound / measured;
    const verdict = holds ? 'held' : `missed by a factor of ${digits(missedBy)}`;
    return [
      [text, `${isUpper === true ? 'below' : 'at least'} ${bound}`, digits(measured), verdict],
    ];
  });
  if (rows.length === 0) return [];
  return ['', 'What has to hold:', '', ...table(['what', 'promised', 'measured', ''], rows)];
}
