// cyclictest in a guest, its deadlines on a host timer or on the VMX-preemption timer (2016, before
// Linux 4.8). The guest's own path and its noise are fitted to what was measured by the host timer;
// the other way differs by nothing but what the host's and KVM's paths cost (host.machine).

import { COST_PRESETS } from '../../machine/index.ts';
import type { Experiment } from '../experiment.ts';
import { countsOf, type Histogram, histogramMean, histogramQuantile } from '../histogram.ts';
import { type Report, standardReport, type Table, type Verdict } from '../report.ts';
import type { Results } from '../results.ts';
import { totalVariation } from '../statistics.ts';
import {
  cellOn,
  difference,
  must,
  NotJudged,
  percent,
  should,
  shown,
  spreadIn,
} from './verdicts.ts';

const SOURCE = 'cyclictest -i 1000 -l 600000 in a guest of an E5-2699 v3, host timers, 2016';

/** Loops by whole us, as measured by the host timer; the rest of 599,994 is not known. */
const MEASURED: Histogram = [
  [5, 169],
  [6, 804],
  [7, 17241],
  [8, 207048],
  [9, 271618],
  [10, 100960],
  [11, 507],
  [12, 562],
];

const HOST_TIMER = 'host-timer';
const PREEMPTION_TIMER = 'preemption-timer';

export const TIMER_PATH: Experiment = {
  definition: {
    name: 'x4',
    title: 'X4: timer deadlines in a guest by a host timer and by the VMX-preemption timer',
    note:
      'A guest that polls while it is idle waits for a deadline every millisecond. Calibrated on ' +
      'the histogram by the host timer: param_path and param_noise.',
    scenario: {
      host: { machine: 'e5-2699v3', kernel: 'linux-4.8', hz: 250 },
      vms: [
        {
          program: 'guest-programs/workloads/cyclic.asm',
          pin: ['1'],
          parameters: { loops: 30_000, path: 5750, noise: 8395 },
        },
      ],
      limits: { time: '3600s', instructions: '9000000G' },
    },
    factors: {
      timer: {
        [HOST_TIMER]: { 'vms[0].kvm.preemption_timer': false },
        [PREEMPTION_TIMER]: { 'vms[0].kvm.preemption_timer': true },
      },
    },
    seeds: 20,
    outputs: {
      latency: { value: 'vms[0].histograms.latency', kind: 'histogram', unit: 'us' },
      mean: { value: 'histogram_mean(vms[0].histograms.latency)', unit: 'us', better: 'lower' },
    },
    compare: [
      {
        factor: 'timer',
        from: HOST_TIMER,
        to: PREEMPTION_TIMER,
        output: 'mean',
        as: 'difference',
      },
    ],
    quick: { seeds: 3, set: { 'vms[0].parameters.loops': 3000 } },
  },
  report,
};

function report(results: Results): Report {
  const standard = standardReport(results);
  return {
    ...standard,
    tables: [...standard.tables, shareTable(results), costTable()],
    verdicts: verdicts(results),
  };
}

/** Part of all loops in each bin, in percent. */
function shareTable(results: Results): Table {
  const own = [HOST_TIMER, PREEMPTION_TIMER].map((timer) => {
    return results.cellsOn({ timer }).flatMap((cell) => results.histogram(cell, 'latency'));
  });
  const columns = [MEASURED, ...own];
  const shares = columns.map(sharesOf);
  const bins = [...new Set(columns.flatMap((histogram) => histogram.map(([bin]) => bin)))];
  return {
    title: 'Part of all loops',
    columns: ['us', 'measured, host timer', HOST_TIMER, PREEMPTION_TIMER],
    rows: bins
      .sort((a, b) => a - b)
      .map((bin) => [
        bin,
        ...shares.map((parts) => (parts.length === 0 ? '' : percent(parts[bin] ?? 0))),
      ]),
    notes: [`Measured: ${SOURCE}; of the listed bins.`],
  };
}

function sharesOf(histogram: Histogram): number[] {
  const counts = countsOf(histogram);
  const all = counts.reduce((sum, count) => sum + count, 0);
  return counts.map((count) => count / all);
}

/** What the ways of both timers are made of, from a deadline to the entry into the guest. */
function costTable(): Table {
  const { host, vm, khz } = COST_PRESETS['e5-2699v3'];
  const { vmx, kvm } = vm;
  const us = (cycles: number) => Math.round((1e5 * cycles) / khz) / 100;
  const both = [
    ['VM exit', vmx.exit],
    ['to the handler', kvm.exitPath],
    ['to the entry', kvm.entryPath],
    ['VM entry', vmx.entry],
  ] as const;
  const hostOnly = [
    ['interrupt of the host', host.interrupt],
    ['expiry of its timer', host.timerExpiry],
    ['programming it for the next event', host.timerProgram],
  ] as const;
  const sum = (rows: readonly (readonly [string, number])[]) =>
    rows.reduce((total, [, cycles]) => total + cycles, 0);
  const row = ([what, cycles]: readonly [string, number], isBoth: boolean) => [
    what,
    cycles,
    us(cycles),
    isBoth ? us(cycles) : '',
  ];
  const all = sum(both) + sum(hostOnly);
  return {
    title: 'What the ways cost',
    columns: ['part', 'cycles', `${HOST_TIMER}, us`, `${PREEMPTION_TIMER}, us`],
    rows: [
      ...both.map((part) => row(part, true)),
      ...hostOnly.map((part) => row(part, false)),
      ['sum', all, us(all), us(sum(both))],
    ],
    notes: ['The preemption timer counts from the end of the entry, in steps of 32 cycles.'],
  };
}

/** All loops by the host timer, or by the other one. */
function latencies(results: Results, timer: string): Histogram {
  const histogram = results.histogram(cellOn(results, { timer }), 'latency');
  if (histogram.length > 0) return histogram;
  throw new NotJudged(`timer=${timer} has no results`);
}

function verdicts(results: Results): Verdict[] {
  const both = () => [HOST_TIMER, PREEMPTION_TIMER].map((timer) => latencies(results, timer));
  return [
    must('the median is lower by at least 2 us with the preemption timer', () => {
      const [slow, fast] = both().map((histogram) => histogramQuantile(histogram, 0.5));
      return [slow - fast >= 2, `${slow} us and ${fast} us`];
    }),
    must('the means differ by at least 1.5 us, which is what the ways cost', () => {
      const [slow, fast] = both().map(histogramMean);
      const [host, preemption] = [HOST_TIMER, PREEMPTION_TIMER].map((timer) => {
        return cellOn(results, { timer });
      });
      const { sign } = shown(results.compare(host, preemption, 'mean', 'difference'));
      const sd = spreadIn(results, host, 'mean');
      const found = `${difference(slow - fast, 'us')}; sd of means over seeds ${sd.toFixed(3)} us`;
      return [slow - fast >= 1.5 && sign < 0, found];
    }),
    should('every bin by the host timer is within 10 pp of what was measured', () => {
      const [own, measured] = [latencies(results, HOST_TIMER), MEASURED].map(sharesOf);
      const bins = Math.max(own.length, measured.length);
      const errors = Array.from({ length: bins }, (_, bin) =>
        Math.abs((own[bin] ?? 0) - (measured[bin] ?? 0)),
      );
      const worst = Math.max(...errors);
      const found = `the worst is off by ${percent(worst)}, at ${errors.indexOf(worst)} us`;
      return [worst <= 0.1, found];
    }),
    should('total variation to what was measured is at most 0.15', () => {
      const counts = [latencies(results, HOST_TIMER), MEASURED].map(countsOf);
      const variation = totalVariation(counts[0], counts[1]);
      return [variation <= 0.15, variation.toFixed(3)];
    }),
  ];
}
