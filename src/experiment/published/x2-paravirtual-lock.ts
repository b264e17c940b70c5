// Test-and-set and paravirtual queued spin locks (2017, Linux 4.12): kernel compiles on 28 pCPUs,
// by the host itself and by guests of 28 vCPUs, alone and two at a time. The parallel parts are
// simulated; whole compiles follow from them by a fluid law (parties.ts).

import { Prng } from '../../sim/index.ts';
import type { Experiment } from '../experiment.ts';
import { estimateOf, type Report, standardReport, type Table, type Value } from '../report.ts';
import type { Results, Run } from '../results.ts';
import { compareRatios, meanOf } from '../statistics.ts';
import type { Cell } from '../study.ts';
import { compilesOfTwo, type Party } from './parties.ts';
import {
  cellOn,
  type Finding,
  meanIn,
  must,
  percent,
  type Shown,
  should,
  shown,
  spreadIn,
} from './verdicts.ts';

const SOURCE = 'kernel compile, Linux 4.12, 2 Xeon E5-2660 v4, 2017';

const PCPUS = 28;

const TAS = 'tas';
const PV = 'pv-qspinlock';

const BARE = 'host';
const GUEST_J80 = 'guest-j80';
const GUEST = 'guest';
const BARE_AND_GUEST = 'host+guest';
const TWO_GUESTS = 'guest+guest';

/** Part of the time of a compile alone that is serial. */
const SERIAL = 0.13;

/** Seconds of compiles alone: of the host, and the mean of five of a guest with test-and-set. */
const ALONE = {
  host: 338.1,
  guest: meanOf([380.179, 373.918, 374.288, 374.399, 374.539]),
} as const;

/** Beside each other, with test-and-set: seconds, and their standard deviation. */
const SHARED = {
  host: { seconds: 593.5, sd: 21.03 },
  guest: { seconds: 654.8, sd: 64.99 },
} as const;

/** Compiles of each party that the mean is of. */
const ROUNDS = 10;

const WORKLOAD = {
  program: 'guest-programs/workloads/kc412.asm',
  vcpus: PCPUS,
  // It goes on until the time is up.
  parameters: { time_ns: 0, jobs: 36 },
};

/** The compile of the host: as many processes as jobs, and no locks that anyone is preempted in. */
const TASKS = { burst: '8ms', block: '1500us' };

/** A guest with nothing to do: its one job waits for the disk until long after the end. */
const idleGuest = (index: number) => ({
  [`vms[${index}].vcpus`]: 1,
  [`vms[${index}].parameters.jobs`]: 1,
  [`vms[${index}].parameters.burst_ns`]: 1000,
  [`vms[${index}].parameters.block_ns`]: 1e12,
});
const NO_GUEST = idleGuest(0);
const NO_SECOND = idleGuest(1);

export const PARAVIRTUAL_LOCK: Experiment = {
  definition: {
    name: 'x2',
    title:
      'X2: test-and-set and paravirtual queued spin locks in guests, beside the host and alone',
    note:
      'The rates of useful computing in the parallel parts are simulated. Whole compiles, 13 % ' +
      'of which are serial when alone, follow from them; how much work a compile is, for the ' +
      'host and for a guest, is calibrated on the two that were alone (the guest with ' +
      'test-and-set). Both parties compile again and again; the seed says how they begin.',
    scenario: {
      host: {
        machine: 'e5-2660v4x2',
        kernel: 'linux-4.12',
        hz: 250,
        lookahead: 2000,
        placement: 'seed',
      },
      vms: [
        { ...WORKLOAD, name: 'first' },
        { ...WORKLOAD, name: 'second' },
      ],
      hogs: [{ count: 0, ...TASKS }],
      limits: { time: '4s', instructions: '9000000G' },
    },
    factors: {
      parties: {
        [BARE]: { ...NO_GUEST, ...NO_SECOND, 'hogs[0].count': 36 },
        [GUEST_J80]: { ...NO_SECOND, 'vms[0].parameters.jobs': 80 },
        [GUEST]: NO_SECOND,
        [BARE_AND_GUEST]: { ...NO_SECOND, 'hogs[0].count': 36 },
        [TWO_GUESTS]: {},
      },
      lock: {
        [TAS]: { 'vms[].defines.LOCK': 'virt-spin' },
        [PV]: { 'vms[].defines.LOCK': PV },
      },
    },
    exclude: [{ parties: BARE, lock: PV }],
    seeds: 20,
    // Alone, seeds hardly differ.
    seeds_of: [BARE, GUEST_J80, GUEST].map((parties) => ({ cell: { parties }, seeds: 5 })),
    endings: ['limit'],
    outputs: {
      host_rate: {
        value: 'hogs[0].cpuNs / virtualNs',
        title: 'rate of the host',
        unit: 'pCPUs',
        better: 'higher',
      },
      guest_rate: {
        value: 'sum(vms[first].results.work_cycles) / virtualCycles',
        title: 'rate of a guest',
        unit: 'pCPUs',
        better: 'higher',
      },
      second_rate: {
        value: 'sum(vms[second].results.work_cycles) / virtualCycles',
        title: 'rate of the second',
        unit: 'pCPUs',
        better: 'higher',
      },
      operations: {
        value:
          '(sum(vms[first].results.lock_operations) + sum(vms[second].results.lock_operations)) ' +
          '/ (virtualNs / 1e9)',
        title: 'locks taken',
        unit: '1/s',
      },
    },
    quick: { seeds: 4, set: { 'limits.time': '300ms' } },
  },
  report,
};

/** A kind of party, and what stands for it alone. */
interface Kind {
  readonly alone: string;
  readonly rate: 'host_rate' | 'guest_rate';
  readonly seconds: number;
}

const HOST_KIND: Kind = { alone: BARE, rate: 'host_rate', seconds: ALONE.host };
const GUEST_KIND: Kind = { alone: GUEST, rate: 'guest_rate', seconds: ALONE.guest };

/** Useful computing of a whole parallel part, in pCPU-seconds, from the cell it was measured in. */
function workOf(results: Results, kind: Kind): number {
  const parties = kind === HOST_KIND ? BARE : GUEST_J80;
  const [cell] = results.cellsOn({ parties, lock: TAS });
  if (cell === undefined) return Number.NaN;
  return (1 - SERIAL) * kind.seconds * meanOf(results.values(cell, kind.rate));
}

function partyOf(results: Results, run: Run, kind: Kind, rate: string): Party {
  const lock = kind === HOST_KIND ? TAS : run.cell.levels.lock;
  const [alone] = results.cellsOn({ parties: kind.alone, lock });
  return {
    serial: SERIAL * kind.seconds,
    parallel: workOf(results, kind),
    aloneRate: alone === undefined ? Number.NaN : meanOf(results.values(alone, kind.rate)),
    sharedRate: run.numbers[rate],
  };
}

/** Seconds of a compile of the host and of the guest, or of two guests, in a run; null: neither. */
function secondsOf(
  results: Results,
  run: Run,
  goesOn: boolean,
): readonly [number | null, number | null] {
  const aloneSeconds = (kind: Kind) =>
    SERIAL * kind.seconds + workOf(results, kind) / run.numbers[kind.rate];
  switch (run.cell.levels.parties) {
    case BARE:
      return [aloneSeconds(HOST_KIND), null];
    case GUEST_J80:
    case GUEST:
      return [null, aloneSeconds(GUEST_KIND)];
  }
  const isWithHost = run.cell.levels.parties === BARE_AND_GUEST;
  const first = partyOf(results, run, isWithHost ? HOST_KIND : GUEST_KIND, 'host_rate');
  const guest = partyOf(results, run, GUEST_KIND, 'guest_rate');
  const second = partyOf(results, run, GUEST_KIND, 'second_rate');
  const parties = isWithHost ? ([first, guest] as const) : ([guest, second] as const);
  const rates = parties.flatMap(({ parallel, aloneRate, sharedRate }) => [
    parallel,
    aloneRate,
    sharedRate,
  ]);
  if (!rates.every((rate) => rate > 0)) return [null, null];
  const offset = (new Prng(run.seed).next() / 2 ** 32) * ALONE.host;
  const seconds = compilesOfTwo(parties, { pcpus: PCPUS, rounds: ROUNDS, offset, goesOn });
  return isWithHost ? seconds : [null, (seconds[0] + seconds[1]) / 2];
}

const HOST_TIME = 'host_time';
const GUEST_TIME = 'guest_time';

function withCompiles(results: Results, goesOn: boolean): Results {
  const rest = { unit: 's', kind: 'number', better: 'lower', expression: null } as const;
  return results
    .withOutput({ name: HOST_TIME, title: 'compile of the host', ...rest }, (run) => {
      return secondsOf(results, run, goesOn)[0];
    })
    .withOutput({ name: GUEST_TIME, title: 'compile of a guest', ...rest }, (run) => {
      return secondsOf(results, run, goesOn)[1];
    });
}

function report(results: Results): Report {
  const timed = withCompiles(results, true);
  const standard = standardReport(timed);
  return {
    ...standard,
    tables: [
      timesTable(timed, 'Time of a compile, s: both go on until both have done ten', true),
      timesTable(withCompiles(results, false), 'The same, if each stops after ten', false),
      ...standard.tables,
    ],
    verdicts: verdicts(timed),
  };
}

function measuredOf({ levels }: Cell, output: string): number | null {
  if (output === HOST_TIME) {
    if (levels.parties === BARE) return ALONE.host;
    return levels.parties === BARE_AND_GUEST && levels.lock === TAS ? SHARED.host.seconds : null;
  }
  if (levels.lock !== TAS) return null;
  if (levels.parties === GUEST_J80) return ALONE.guest;
  return levels.parties === BARE_AND_GUEST ? SHARED.guest.seconds : null;
}

function timesTable(results: Results, title: string, isMain: boolean): Table {
  const shared = [BARE_AND_GUEST, TWO_GUESTS];
  const cells = results.study.cells.filter(
    ({ levels }) => isMain || shared.includes(levels.parties),
  );
  const rows = cells.map((cell): Value[] => [
    cell.levels.parties,
    cell.levels.parties === BARE ? '' : cell.levels.lock,
    ...[HOST_TIME, GUEST_TIME].flatMap((output) => [
      estimateOf(results, cell, output),
      isMain ? measuredOf(cell, output) : null,
    ]),
  ]);
  return {
    title,
    columns: ['parties', 'lock', 'host', 'measured', 'guest', 'measured'],
    rows,
    notes: [
      `Measured: ${SOURCE}. The two that had the machine for themselves are what the work of a ` +
        'compile is from.',
    ],
  };
}

/** Mean of an output with one lock. */
function timeOf(results: Results, parties: string, lock: string, output: string): number {
  return meanIn(results, cellOn(results, { parties, lock }), output);
}

/** Slowdown of a party beside another, with one lock. */
function slowdown(results: Results, lock: string, output: string): number {
  const [alone, itsLock] = output === HOST_TIME ? [BARE, TAS] : [GUEST_J80, lock];
  return timeOf(results, BARE_AND_GUEST, lock, output) / timeOf(results, alone, itsLock, output);
}

/** Slowdowns with the paravirtual lock to those with test-and-set, by seed. */
function lockEffect(results: Results, output: string): Shown {
  const [tas, pv] = [TAS, PV].map((lock) => cellOn(results, { parties: BARE_AND_GUEST, lock }));
  const [tasAlone, pvAlone] = [TAS, PV].map((lock) => {
    return output === HOST_TIME ? 1 : timeOf(results, GUEST_J80, lock, output);
  });
  const pairs = results.pairs(tas, pv, output);
  return shown(compareRatios(pairs.map(([a, b]) => [a / tasAlone, b / pvAlone] as const)));
}

function effectText({ effect, low, high }: Shown): string {
  const interval = `95 % from ${low.toFixed(3)} to ${high.toFixed(3)}`;
  return `PV / TAS ${effect.toFixed(3)}, ${interval}`;
}

function verdicts(results: Results): Report['verdicts'] {
  const slow = (lock: string) => [HOST_TIME, GUEST_TIME].map((o) => slowdown(results, lock, o));
  return [
    must('the host suffers less beside a guest with the paravirtual lock', () => {
      const effect = lockEffect(results, HOST_TIME);
      return [effect.sign < 0, effectText(effect)];
    }),
    must('beside the host, a guest suffers more with the paravirtual lock', () => {
      const effect = lockEffect(results, GUEST_TIME);
      return [effect.sign > 0, effectText(effect)];
    }),
    must('alone, the lock makes less than 2 % of difference', () => {
      const [tas, pv] = [TAS, PV].map((lock) => timeOf(results, GUEST_J80, lock, GUEST_TIME));
      return [Math.abs(pv / tas - 1) < 0.02, percent(pv / tas - 1)];
    }),
    must('what both get adds up to 1.0 to 1.3 machines', () => {
      const sums = [TAS, PV].map((lock) => slow(lock).reduce((sum, one) => sum + 1 / one, 0));
      const [tas, pv] = sums.map((sum) => sum.toFixed(3));
      const found = `${tas} with test-and-set, ${pv} with the paravirtual lock`;
      return [sums.every((sum) => sum >= 1 && sum <= 1.3), found];
    }),
    should('slowdowns with test-and-set are met within 25 %', () => slowdownFinding(slow(TAS))),
    should("a guest's times spread at least twice as much with the paravirtual lock", () => {
      const [tas, pv] = [TAS, PV].map((lock) => {
        return spreadIn(results, cellOn(results, { parties: BARE_AND_GUEST, lock }), GUEST_TIME);
      });
      return [pv >= 2 * tas, `sd ${pv.toFixed(1)} s and ${tas.toFixed(1)} s`];
    }),
  ];
}

/** Slowdowns with test-and-set beside those that were measured. */
function slowdownFinding([host, guest]: readonly number[]): Finding {
  const wanted = [SHARED.host.seconds / ALONE.host, SHARED.guest.seconds / ALONE.guest];
  const off = Math.max(Math.abs(host / wanted[0] - 1), Math.abs(guest / wanted[1] - 1));
  const found =
    `host ${host.toFixed(2)} (${wanted[0].toFixed(2)}), ` +
    `guest ${guest.toFixed(2)} (${wanted[1].toFixed(2)})`;
  return [off <= 0.25, found];
}
