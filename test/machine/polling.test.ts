// Waits of the host are left out without a trace: guests that halt, kick and interrupt each other,
// on hosts with every kernel, with everything executed and with waits left out, in one go, paused,
// and from a snapshot.

import { describe, expect, test } from 'vitest';
import { KERNELS, type Machine, type Scenario } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';
import { checkedScenario, guestProgram, runToEnd, tracedMachine } from '../support/guest-run.ts';

type Skip = Scenario['skip'];

const PROGRAMS = [
  ['ipi-pingpong.asm', { ROUNDS: '30' }],
  ['lock-ticket-pv.asm', { ITERATIONS: '20', SPINS: '100' }],
  ['timer-deadline.asm', { TICKS: '5' }],
] as const;

function caseOf(seed: number, kernel: string) {
  const prng = new Prng(seed);
  const [name, defines] = PROGRAMS[seed % PROGRAMS.length];
  const vcpus = name === 'lock-ticket-pv.asm' ? 2 + prng.below(4) : 2;
  const document = {
    seed,
    host: {
      kernel,
      pcpus: 1 + prng.below(vcpus + 1),
      lookahead: [40, 500, 3000][prng.below(3)],
      hz: [250, 1000, 5000][prng.below(3)],
      scheduler: { preemption: ['none', 'full'][prng.below(2)] },
    },
    vms: [
      {
        program: name,
        vcpus,
        memory: '2M',
        cpu_weight: 100 * prng.below(2),
        kvm: { ple_window: 512 },
      },
    ],
    hogs: [{ count: prng.below(2), cpu_weight: 50 * prng.below(2) }],
    limits: { time: '30ms' },
  };
  const program = guestProgram(name, defines);
  return (skip: Skip) => tracedMachine(checkedScenario({ ...document, skip }), [program]);
}

function wholeRun({ machine, records }: { machine: Machine; records: readonly TraceRecord[] }) {
  const { report } = runToEnd(machine);
  return { report, records };
}

const CASES = KERNELS.flatMap((kernel, i) =>
  [0, 1, 2].map((each) => [kernel, 3 * i + each + 1] as const),
);

describe.each(CASES)('on %s (%i)', (kernel, seed) => {
  const create = caseOf(seed, kernel);
  const executed = wholeRun(create('off'));

  test('the same happens with waits left out', () => {
    const skipped = wholeRun(create('on'));
    expect(skipped.records).toEqual(executed.records);
    expect(skipped.report).toEqual(executed.report);
  });

  test('the same happens in pieces, and from a snapshot', () => {
    const { machine } = create('on');
    const step = 20_011 * seed;
    for (let i = 1; i <= 20; i++) machine.run(i * step);
    const other = create('on').machine;
    other.restore(machine.snapshot());
    expect(other.stateHash()).toBe(machine.stateHash());
    expect(runToEnd(other).report).toEqual(executed.report);
    expect(runToEnd(machine).report).toEqual(executed.report);
  });
});

test('polling is among what happens', () => {
  const { report } = wholeRun(caseOf(18, 'linux-6.1')('on'));
  const polls = report.vcpus.reduce(
    (sum, { statistics }) => sum + statistics.halt_attempted_poll,
    0,
  );
  expect(polls).toBeGreaterThan(5);
});
