// The paravirtual lock of 2010: a guest of four vCPUs compiles a kernel on four pCPUs that up to
// twelve hogs want too, with ticket locks and with byte locks whose waiters give up their pCPU.

import type { Experiment } from '../experiment.ts';
import {
  estimateOf,
  type Report,
  standardReport,
  type Table,
  type Value,
  type Verdict,
} from '../report.ts';
import type { Results } from '../results.ts';
import { kendallTau, meanOf } from '../statistics.ts';
import type { Cell, Levels } from '../study.ts';
import { type CompileParts, compileSeconds, partsOf, withCompileTime } from './compile.ts';
import {
  cellOn,
  cellsOn,
  difference,
  finite,
  meanIn,
  must,
  percent,
  should,
  shown,
  some,
  textOf,
} from './verdicts.ts';

const SOURCE = 'kernel compile, Linux 2.6.35-rc4, 2 Xeon 5160, July 2010';

const TICKET = 'ticket';
const YIELDING = 'byte-yield';
const NONE = 'none';

type Pinning = 'A' | 'B' | 'C';

/** Percent of the time that the yielding lock saved, at 1x to 4x. */
const MEASURED_GAINS: Readonly<Record<Pinning, readonly number[]>> = {
  A: [7.9, 18.1, 21.6, 17.8],
  B: [10.3, 12.3, 11.6, 14.1],
  C: [25.5, 17.6, 14.4, 10.4],
};

const LEVELS = ['1x', '2x', '3x', '4x'];

const overcommitOf = (level: string) => Number(level[0]);

/** Runnable threads for each pCPU that the guest may use. */
function loadOf({ pinning, overcommit }: Cell['levels']): number {
  const hogs = overcommitOf(overcommit) - 1;
  return pinning === 'C' ? 2 + hogs : 1 + hogs;
}

const fluid = (pinning: Pinning, overcommit: string, seconds: number) => ({
  seconds,
  threadsPerPcpu: overcommitOf(overcommit),
  load: loadOf({ pinning, overcommit }),
});

/** From three cells with the yielding lock, taken to waste nothing. */
export const PARTS: CompileParts = partsOf(
  [fluid('A', '1x', 251.613), fluid('A', '4x', 839.327), fluid('C', '1x', 420.51)],
  4,
);

const hogsFor = (level: string) =>
  Object.fromEntries([0, 1, 2, 3].map((i) => [`hogs[${i}].count`, overcommitOf(level) - 1]));

/** Seconds, and their standard deviation. */
const MEASURED_TIMES: readonly (readonly [
  lock: string,
  pinning: string,
  overcommit: string,
  seconds: number,
  sd: number,
])[] = [
  [YIELDING, 'A', '1x', 251.613, 1.155],
  [YIELDING, 'A', '4x', 839.327, 0.658],
  [YIELDING, 'C', '1x', 420.51, 2.598],
  [TICKET, 'C', '1x', 564.61, 12.055],
  [TICKET, 'A', '2x', 541.343, 57.317],
];

/**
 * Fitted to the two times that were measured with ticket locks, C-1x and A-2x, and to no other.
 * Three numbers for two times: of those that come within one measured standard deviation of both,
 * these are next to where the fit began, 200 times a second and 60 us (docs/experiments): 160 and
 * 80. 20 seeds of 4 s came to 561 and 490 s. This machine has no EPT: the hold stands for the exits
 * under a lock too.
 */
const LOCKS = { locks: 8, gap_ns: 700_000, hold_ns: 80_000 };

/** A job of the guest for its disk, which takes no locks: 100 us in each ms. */
const IO_JOB = { io_burst_ns: 100_000, io_block_ns: 900_000 };

/**
 * Of the host in July 2010. The patches are for 2.6.35-rc4, whose source has 6 and 2 ms; releases
 * before had these. Which of them the host had is not known, and decides how gains in C go with
 * the load: docs/experiments and slices-of-2010.yaml have both.
 */
const SLICES = { latency: '5ms', min_granularity: '1ms' };

/**
 * Hogs begin at any moment of the time before the guest, so that the seed says how their slices lie
 * to each other. It is longer than a round of all threads of a pCPU (at most 5 slices of 6 ms).
 */
const BEFORE_GUEST = '100ms';

const FREE = { 'vms[0].pin': [], ...pinHogs(['', '', '', '']) };
const SPREAD = pinHogs(['0', '1', '2', '3']);

function pinHogs(pins: readonly string[]): Record<string, string> {
  return Object.fromEntries(pins.map((pin, i) => [`hogs[${i}].pin`, pin]));
}

export const YIELD_LOCK: Experiment = {
  definition: {
    name: 'x0',
    title: 'X0: ticket locks, and locks whose waiters yield, in an overcommitted guest',
    note:
      'T = I + k S + 4 P / R: R, the rate of useful computing in the parallel part, is simulated ' +
      `for 4 s of it. From three cells: I = ${PARTS.idle.toFixed(1)} s, S = ` +
      `${PARTS.serial.toFixed(1)} s, P = ${PARTS.parallel.toFixed(1)} s. Locks, their hold and ` +
      'how often they are taken are the same in all cells. The seed says when hogs begin, where ' +
      'threads do, and when ticks are. Cells without locks have no job for the disk either.',
    scenario: {
      host: {
        machine: 'xeon5160x2',
        kernel: 'linux-2.6.35',
        hz: 1000,
        lookahead: 3000,
        placement: 'seed',
        scheduler: SLICES,
      },
      vms: [
        {
          program: 'guest-programs/workloads/kc35.asm',
          vcpus: 4,
          defines: { LOCK: TICKET },
          delay: BEFORE_GUEST,
          parameters: { time_ns: 4_000_000_000, ...IO_JOB, ...LOCKS },
          // What the host of 2010 did for its waiters is not known.
          kvm: { lock_wait: 'block+kick' },
        },
      ],
      hogs: [0, 1, 2, 3].map(() => ({ count: 0, delay: `1ns..${BEFORE_GUEST}` })),
      limits: { time: '60s', instructions: '9000000G' },
    },
    factors: {
      pinning: {
        A: { 'vms[0].pin': ['0', '1', '2', '3'], ...SPREAD },
        B: FREE,
        C: { 'vms[0].pin': ['2-3'], ...SPREAD },
      },
      overcommit: Object.fromEntries(LEVELS.map((level) => [level, hogsFor(level)])),
      lock: {
        [NONE]: { 'vms[0].parameters.gap_ns': 0, 'vms[0].parameters.io_burst_ns': 0 },
        [TICKET]: { 'vms[0].defines.LOCK': TICKET },
        [YIELDING]: { 'vms[0].defines.LOCK': YIELDING },
      },
    },
    exclude: ['2x', '3x'].map((overcommit) => ({ lock: NONE, overcommit })),
    seeds: 20,
    outputs: {
      rate: {
        value: 'sum(vms[0].results.work_cycles) / max(vms[0].results.time_cycles)',
        unit: 'pCPUs',
        better: 'higher',
      },
      operations: {
        value: 'sum(vms[0].results.lock_operations)',
        title: 'locks taken',
      },
      contended: { value: 'sum(vms[0].results.contended)' },
    },
    quick: {
      seeds: 12,
      set: { 'vms[0].parameters.time_ns': 1_000_000_000 },
      factors: { overcommit: ['1x', '2x'], pinning: ['A', 'C'] },
    },
  },
  report,
};

function report(results: Results): Report {
  const timed = withCompileTime(results, PARTS, ({ levels }) => overcommitOf(levels.overcommit));
  const standard = standardReport(timed);
  return {
    ...standard,
    tables: [timesTable(timed), ...standard.tables],
    verdicts: [...fluidVerdicts(timed), ...lockVerdicts(timed), ...gainVerdicts(timed)],
  };
}

/** The cells of one pinning and overcommit, with both locks; null if one has been left out. */
interface Pair {
  readonly pinning: Pinning;
  readonly overcommit: string;
  readonly ticket: Cell;
  readonly yielding: Cell;
  /** Part of the time that the yielding lock saves, of means; NaN without runs. */
  readonly gain: number;
  readonly measuredGain: number;
}

function pairsOf(results: Results): Pair[] {
  return results.cellsOn({ lock: TICKET }).flatMap((ticket) => {
    const yielding = results.sibling(ticket, { lock: YIELDING });
    if (yielding === null) return [];
    const { overcommit } = ticket.levels;
    const pinning = ticket.levels.pinning as Pinning;
    const [without, with_] = [ticket, yielding].map((cell) => meanOf(results.values(cell, 'time')));
    const gain = 1 - with_ / without;
    const measuredGain = MEASURED_GAINS[pinning][LEVELS.indexOf(overcommit)] / 100;
    return [{ pinning, overcommit, ticket, yielding, gain, measuredGain }];
  });
}

function measuredTime({ levels }: Cell): number | null {
  const found = MEASURED_TIMES.find(
    ([lock, pinning, overcommit]) =>
      lock === levels.lock && pinning === levels.pinning && overcommit === levels.overcommit,
  );
  return found?.[3] ?? null;
}

function timesTable(results: Results): Table {
  const rows = pairsOf(results).map(
    ({ pinning, overcommit, ticket, yielding, ...gains }): Value[] => [
      pinning,
      overcommit,
      estimateOf(results, ticket, 'time'),
      measuredTime(ticket),
      estimateOf(results, yielding, 'time'),
      measuredTime(yielding),
      textOf(gains.gain, percent),
      percent(gains.measuredGain),
    ],
  );
  return {
    title: 'Time of a compile, s',
    columns: ['pinning', 'load', 'ticket', 'measured', 'yielding', 'measured', 'gain', 'measured'],
    rows,
    notes: [`Measured: ${SOURCE}.`, 'Gain: part of the time with ticket locks that is saved.'],
  };
}

/** Without locks the run is what the law says. */
function fluidVerdicts(results: Results): Verdict[] {
  return [
    must('without locks a compile takes what the law says, within 1 %', () => {
      const errors = cellsOn(results, { lock: NONE }).map((cell) => {
        const { overcommit } = cell.levels;
        const expected = compileSeconds(PARTS, overcommitOf(overcommit), 4 / loadOf(cell.levels));
        return Math.abs(meanIn(results, cell, 'time') / expected - 1);
      });
      const worst = Math.max(...errors);
      return [worst <= 0.01, `off by ${percent(worst)} at most`];
    }),
  ];
}

/** Times beside those that were measured. */
function lockVerdicts(results: Results): Verdict[] {
  const worst = (levels: Levels) => {
    const errors = cellsOn(results, levels).flatMap((cell) => {
      const wanted = measuredTime(cell);
      return wanted === null ? [] : [Math.abs(meanIn(results, cell, 'time') / wanted - 1)];
    });
    return Math.max(...some(errors, 'there is no cell that was measured'));
  };
  return [
    must('with the yielding lock every measured time is met within 5 %', () => {
      const off = worst({ lock: YIELDING });
      return [off <= 0.05, `off by ${percent(off)} at most`];
    }),
    must('with ticket locks the measured time of C is met within 20 %', () => {
      const off = worst({ lock: TICKET, pinning: 'C' });
      return [off <= 0.2, `off by ${percent(off)}`];
    }),
  ];
}

/** Of pairs that have results; a claim about others is not judged. */
function gainsOf(results: Results, pairs: readonly Pair[]): readonly Pair[] {
  for (const { ticket, yielding } of pairs) {
    for (const cell of [ticket, yielding]) meanIn(results, cell, 'time');
  }
  return some(pairs, 'there is no such cell with both locks');
}

const nameOf = ({ pinning, overcommit }: Pair) => `${pinning}-${overcommit}`;

function gainVerdicts(results: Results): Verdict[] {
  const pairs = pairsOf(results);
  const isContended = ({ pinning, overcommit }: Pair) => pinning === 'C' || overcommit !== '1x';
  return [
    must('the yielding lock gains wherever pCPUs are contended', () => {
      const contended = gainsOf(results, pairs.filter(isContended));
      const unproven = contended.filter(({ ticket, yielding }) => {
        return shown(results.compare(ticket, yielding, 'time', 'ratio')).sign >= 0;
      });
      const misses = unproven.map((pair) => `${nameOf(pair)} (${percent(pair.gain)})`).join(', ');
      const isMet = unproven.length === 0;
      return [isMet, isMet ? `in all ${contended.length} cells` : `not shown in ${misses}`];
    }),
    must('it costs at most 0.5 pp where they are not (A and B at 1x)', () => {
      const alone = gainsOf(
        results,
        pairs.filter((pair) => !isContended(pair)),
      );
      const least = Math.min(...alone.map(({ gain }) => gain));
      return [least >= -0.005, difference(100 * least, 'pp')];
    }),
    must('it gains most at C-1x', () => {
      inC(results, pairs, '1x');
      const [first, ...others] = gainsOf(results, pairs);
      some(others, 'there is no other cell');
      const largest = others.reduce((best, pair) => (pair.gain > best.gain ? pair : best), first);
      return [nameOf(largest) === 'C-1x', `at ${nameOf(largest)}`];
    }),
    must('in C the gain falls from 1x to 3x', () => {
      const gains = LEVELS.slice(0, 3).map((level) => inC(results, pairs, level).gain);
      return [gains[0] > gains[1] && gains[1] > gains[2], gains.map(percent).join(', ')];
    }),
    ...agreementVerdicts(results, pairs),
  ];
}

/** A pair of pinning C. */
function inC(results: Results, pairs: readonly Pair[], overcommit: string): Pair {
  for (const lock of [TICKET, YIELDING]) cellOn(results, { pinning: 'C', overcommit, lock });
  const own = pairs.filter((pair) => pair.pinning === 'C' && pair.overcommit === overcommit);
  return gainsOf(results, own)[0];
}

/** Gains beside those that were measured. */
function agreementVerdicts(results: Results, pairs: readonly Pair[]): Verdict[] {
  const rms = (own: readonly Pair[]) =>
    Math.sqrt(meanOf(own.map(({ gain, measuredGain }) => (gain - measuredGain) ** 2)));
  return [
    should('gains are met within 9 pp (rms), in C within 6 pp', () => {
      const ofC = pairs.filter(({ pinning }) => pinning === 'C');
      const [all, c] = [pairs, ofC].map((own) => rms(gainsOf(results, own)));
      const found = `${difference(100 * all, 'pp')}, in C ${difference(100 * c, 'pp')}`;
      return [all <= 0.09 && c <= 0.06, found];
    }),
    should('gains are ordered as measured (tau >= 0.6)', () => {
      const gains = gainsOf(results, pairs).map((one) => [one.gain, one.measuredGain] as const);
      const tau = finite(kendallTau(gains), 'there is nothing to order');
      return [tau >= 0.6, `tau ${tau.toFixed(2)}`];
    }),
  ];
}
