// What a waiter should tell the host (proposals of 2014 for queued locks on KVM): nothing, who is
// before it in the queue, who holds the lock, or everybody in line. No table of measurements is
// known; what was expected is tested.

import type { Experiment } from '../experiment.ts';
import { estimateOf, type Report, standardReport, type Table, type Value } from '../report.ts';
import type { Results } from '../results.ts';
import { compareRatios } from '../statistics.ts';
import { cellsOn, percent, type Shown, should, shown, some } from './verdicts.ts';

const UNFAIR = 'unfair';
const BLIND = 'blind';
const PREDECESSOR = 'predecessor';
const HOLDER = 'holder';
const LIST = 'list';

/** Locks, and what the host does when a waiter asks. */
const PAYLOADS: Readonly<Record<string, readonly [lock: string, action: string]>> = {
  [UNFAIR]: ['byte-yield', 'block+kick'],
  [BLIND]: ['mcs-yield', 'directed'],
  [PREDECESSOR]: ['mcs-predecessor', 'hint'],
  [HOLDER]: ['qspinlock-holder', 'hint'],
  [LIST]: ['ticket-yield', 'list'],
};

const VCPUS = [8, 16, 32, 64];
const OVERCOMMIT = [1, 2, 4];

const sizeOf = (vcpus: number, overcommit: number) => `${vcpus} on ${vcpus / overcommit}`;

const SIZES = VCPUS.flatMap((vcpus) =>
  OVERCOMMIT.map((overcommit) => ({ vcpus, overcommit, name: sizeOf(vcpus, overcommit) })),
);

const isOvercommitted = (size: string) =>
  SIZES.some(({ name, overcommit }) => name === size && overcommit > 1);

export const HYPERCALL_PAYLOAD: Experiment = {
  definition: {
    name: 'x3',
    title: 'X3: what a waiter tells the host: nothing, its predecessor, the holder, all in line',
    note:
      'A guest that compiles, on as many pCPUs as it has vCPUs, a half and a quarter of that; ' +
      'always enough jobs for all vCPUs. Waiters ask the host after 1024 looks. The lock that is ' +
      'not fair blocks and is kicked.',
    scenario: {
      host: { machine: 'e5-2660v4', kernel: 'linux-3.15', hz: 1000, pcpus: 8, lookahead: 2000 },
      vms: [
        {
          program: 'guest-programs/workloads/kc412.asm',
          vcpus: 8,
          parameters: { time_ns: 0, jobs: 16 },
        },
      ],
      limits: { time: '1s', instructions: '9000000G' },
    },
    factors: {
      size: Object.fromEntries(
        SIZES.map(({ name, vcpus, overcommit }) => [
          name,
          {
            'vms[0].vcpus': vcpus,
            'vms[0].parameters.jobs': 2 * vcpus,
            'host.pcpus': vcpus / overcommit,
          },
        ]),
      ),
      payload: Object.fromEntries(
        Object.entries(PAYLOADS).map(([payload, [lock, action]]) => [
          payload,
          { 'vms[0].defines.LOCK': lock, 'vms[0].kvm.lock_wait': action },
        ]),
      ),
    },
    seeds: 20,
    // A guest that has as many pCPUs as vCPUs is alone there.
    seeds_of: SIZES.filter(({ overcommit }) => overcommit === 1).map(({ name }) => {
      return { cell: { size: name }, seeds: 5 };
    }),
    endings: ['limit'],
    outputs: {
      rate: {
        value: 'sum(vms[0].results.work_cycles) / virtualCycles / count(pcpus[*].guestNs)',
        title: 'useful computing for each pCPU',
        better: 'higher',
      },
      operations: {
        value: 'sum(vms[0].results.lock_operations) / (virtualNs / 1e9)',
        title: 'locks taken',
        unit: '1/s',
      },
      hypercalls: {
        value: '1000 * sum(exits[VMCALL].count) / sum(vms[0].results.lock_operations)',
        title: 'hypercalls for 1000 locks',
        better: 'lower',
      },
    },
    figures: [
      { kind: 'heat', output: 'rate', x: 'payload', y: 'size' },
      { kind: 'heat', output: 'hypercalls', x: 'payload', y: 'size' },
    ],
    quick: {
      seeds: 3,
      set: { 'limits.time': '300ms' },
      factors: { size: ['8 on 8', '8 on 4', '8 on 2', '16 on 4'] },
    },
  },
  report,
};

function report(results: Results): Report {
  const standard = standardReport(results);
  return {
    ...standard,
    tables: [gainTable(results), ...standard.tables],
    verdicts: verdicts(results),
  };
}

/** Of an output on one payload to the same on another, where pCPUs are overcommitted. */
function effectOf(results: Results, output: string, from: string, to: string): Shown {
  const [cells] = [from, to].map((payload) => {
    const all = cellsOn(results, { payload });
    return some(
      all.filter(({ levels }) => isOvercommitted(levels.size)),
      'no cell is overcommitted',
    );
  });
  const pairs = cells.flatMap((cell) => {
    const other = results.sibling(cell, { payload: to });
    return other === null ? [] : results.pairs(cell, other, output);
  });
  return shown(compareRatios(pairs));
}

function gainTable(results: Results): Table {
  const fair = Object.keys(PAYLOADS).filter((payload) => payload !== UNFAIR);
  const rows = results.cellsOn({ payload: UNFAIR }).map((cell): Value[] => [
    cell.levels.size,
    estimateOf(results, cell, 'rate'),
    ...fair.map((payload) => {
      const other = results.sibling(cell, { payload });
      const effect = other === null ? null : results.compare(cell, other, 'rate', 'ratio').effect;
      return effect === null ? null : effect.toFixed(3);
    }),
  ]);
  return {
    title: 'Useful computing, as part of that with the lock that is not fair',
    columns: ['vCPUs on pCPUs', 'not fair, for each pCPU', ...fair],
    rows,
    notes: ['On the same seeds, geometric means.'],
  };
}

function found({ effect, low, high }: Shown): string {
  return `${percent(effect - 1)} (${percent(low - 1)} to ${percent(high - 1)})`;
}

/** What was expected in 2014; nothing of it was measured. */
function verdicts(results: Results): Report['verdicts'] {
  return [
    should('overcommitted, to name the holder is slower than to name the predecessor', () => {
      const holder = effectOf(results, 'rate', PREDECESSOR, HOLDER);
      return [holder.sign < 0, found(holder)];
    }),
    should(
      'a fair lock that names the predecessor is then as good as one that is not fair (5 %)',
      () => {
        const predecessor = effectOf(results, 'rate', UNFAIR, PREDECESSOR);
        return [predecessor.low >= 0.95, found(predecessor)];
      },
    ),
    should('to name the predecessor is faster than to yield blindly', () => {
      const blind = effectOf(results, 'rate', BLIND, PREDECESSOR);
      return [blind.sign > 0, found(blind)];
    }),
    should('and takes fewer hypercalls for a lock', () => {
      const calls = effectOf(results, 'hypercalls', BLIND, PREDECESSOR);
      return [calls.sign < 0, found(calls)];
    }),
  ];
}
