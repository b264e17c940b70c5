// The promise of determinism: the same scenario gives the same report, trace and state hash, byte
// for byte, run through or paused anywhere, restored from a snapshot or not, with its caches or
// without. And the state hash tells states apart.

import { describe, expect, test } from 'vitest';
import { NEXT_STEP } from '../../src/host/index.ts';
import { type Machine, type MachineSnapshot, reportOf } from '../../src/machine/index.ts';
import { Prng } from '../../src/sim/index.ts';
import type { TraceRecord } from '../../src/trace/index.ts';
import {
  assembleText,
  checkedScenario,
  exitCounts,
  type GuestSetup,
  guestProgram,
  scenarioOf,
  sourceOf,
  type TracedMachine,
  tracedMachine,
  traceText,
} from '../support/guest-run.ts';

/** What is compared: everything that anyone can see of a run. */
interface Outcome {
  readonly report: string;
  readonly trace: string;
  readonly hash: string;
}

interface Case {
  readonly name: string;
  /** A fresh machine with the given seed and lookahead. */
  readonly create: (change?: GuestSetup) => TracedMachine;
}

function single(name: string, setup: GuestSetup, iterations = 10): Case {
  const program = guestProgram(name, { ITERATIONS: String(iterations), ROUNDS: '10', TICKS: '3' });
  return {
    name: `${name} ${JSON.stringify(setup)}`,
    create: (change) => tracedMachine(scenarioOf({ ...setup, ...change }), [program]),
  };
}

/** Who holds the lock loses time in exits, and now and then his pCPU: others yield to him. */
function slowLock(): Case {
  const slow = sourceOf('lock-tas.asm').replace(/%%taken:|%macro release 0/g, '$&\nin al, 0x80\n');
  const program = assembleText(slow, { ITERATIONS: '600', HOLD: '1', THINK: '1' });
  return {
    name: 'a slow lock',
    create: (change) => tracedMachine(scenarioOf({ vcpus: 3, hz: 1000, ...change }), [program]),
  };
}

const SLOW_LOCK = slowLock();

/** Two machines, pinned and of different weights, and a thread that competes. */
const TWO_MACHINES: Case = {
  name: 'two machines',
  create: ({ seed = 7, lookahead = 300 } = {}) => {
    const vm = { program: 'test.asm', memory: '2M' };
    const scenario = checkedScenario({
      seed,
      host: { pcpus: 3, lookahead, hz: 1000 },
      vms: [
        { ...vm, name: 'first', vcpus: 3, pin: ['0', '1', '0-2'] },
        { ...vm, name: 'second', vcpus: 2, nice: 5, pin: ['1-2'], kvm: { ple_window: 8192 } },
      ],
      hogs: [{ count: 1, nice: 10 }],
    });
    const programs = ['lock-ticket-pv.asm', 'lock-tas.asm'];
    return tracedMachine(
      scenario,
      programs.map((name) => guestProgram(name, { ITERATIONS: '10' })),
    );
  },
};

const CASES: readonly Case[] = [
  single('lock-tas.asm', { vcpus: 5, pcpus: 4, hogs: 2, hz: 1000 }),
  single('lock-ticket.asm', { vcpus: 3, pcpus: 3, lookahead: 77 }),
  single('lock-ticket-pv.asm', { vcpus: 4, pcpus: 2, seed: 3 }),
  single('five-exits.asm', { vcpus: 2, pcpus: 2 }),
  single('ipi-pingpong.asm', { vcpus: 2, pcpus: 2 }),
  single('timer-deadline.asm', { hogs: 1 }),
  single('page-fault.asm', {}),
  single('triple-fault.asm', {}),
  SLOW_LOCK,
  TWO_MACHINES,
];

function outcomeOf({ machine, records }: TracedMachine): Outcome {
  const ending = machine.run();
  if (ending === null) throw new Error('the run did not end');
  const report = JSON.stringify(reportOf(machine, ending), null, 2);
  return {
    report,
    trace: traceText(records, machine.host.pcpus.length),
    hash: machine.stateHash(),
  };
}

/** Virtual time at which the run ends, and what it looks like then. */
const endOf = new Map<Case, Outcome & { readonly cycles: number }>();

function through(of: Case): Outcome & { readonly cycles: number } {
  const known = endOf.get(of);
  if (known !== undefined) return known;
  const traced = of.create();
  const outcome = { ...outcomeOf(traced), cycles: traced.machine.now };
  endOf.set(of, outcome);
  return outcome;
}

const seen = ({ report, trace, hash }: Outcome): Outcome => ({ report, trace, hash });

/** Run in steps of random lengths; `between` may do what must not matter. */
function runInSteps(machine: Machine, end: number, prng: Prng, between: () => void): number {
  let pauses = 0;
  for (let at = 0; machine.ending === null; pauses++) {
    at += 1 + prng.below(Math.ceil(end / 20));
    machine.run(at);
    between();
  }
  return pauses;
}

describe.each(CASES)('$name', (of) => {
  test('is the same again', () => {
    expect(outcomeOf(of.create())).toEqual(seen(through(of)));
  });

  test('does not notice where it is paused, nor that somebody looks', () => {
    const traced = of.create();
    const { machine } = traced;
    const pauses = runInSteps(machine, through(of).cycles, new Prng(5), () => {
      machine.snapshot();
      machine.stateHash();
    });
    expect(pauses).toBeGreaterThan(10);
    expect(outcomeOf(traced)).toEqual(seen(through(of)));
  });

  test('does not notice steps of a few cycles', () => {
    const traced = of.create();
    const start = Math.floor(through(of).cycles / 3);
    for (let at = start; at < start + 3000; at += 7) traced.machine.run(at);
    expect(outcomeOf(traced)).toEqual(seen(through(of)));
  });

  test('does not notice single steps, nor pauses between an exit and its handler', () => {
    const traced = of.create();
    const { machine } = traced;
    const { host } = machine;
    const prng = new Prng(8);
    const end = through(of).cycles;
    let midway = 0;
    const { sink } = host;
    host.sink = {
      record: (record) => {
        sink?.record(record);
        if (record.name === 'kvm_exit' && prng.below(3) === 0) host.pause();
      },
    };
    for (let at = 0; machine.ending === null; at += Math.ceil(end / 8)) {
      machine.run(at);
      for (let i = 0; i < 700 && machine.ending === null; i++) {
        const pcpu = prng.below(host.pcpus.length);
        const time = host.pcpus[pcpu].now + prng.below(100);
        machine.advance(time + 5000, prng.below(2) === 0 ? { pcpu, time } : NEXT_STEP);
        if (machine.vcpus.some(({ state }) => state.phase === 'exited')) midway++;
        if (prng.below(50) === 0) machine.restore(machine.snapshot());
      }
    }
    expect(midway).toBeGreaterThan(0);
    expect(outcomeOf(traced)).toEqual(seen(through(of)));
  });

  test('pauses where one pCPU has come so far, and finds the way there again', () => {
    const traced = of.create();
    const { machine } = traced;
    const { host } = machine;
    const prng = new Prng(9);
    const end = through(of).cycles;
    const places: { pcpu: number; time: number; hash: string }[] = [];
    machine.run(Math.ceil(end / 8));
    const start = machine.snapshot();
    for (let i = 0; i < 60 && machine.ending === null; i++) {
      const time = machine.now + prng.below(Math.ceil(end / 40));
      machine.advance(time + 20_000, { pcpu: prng.below(host.pcpus.length), time });
      if (machine.advance(Number.POSITIVE_INFINITY, NEXT_STEP) !== 'paused') continue;
      const pcpu = host.pausedOn;
      places.push({ pcpu, time: host.pcpus[pcpu].now, hash: machine.stateHash() });
    }
    expect(places.length).toBeGreaterThan(0);
    for (const { pcpu, time, hash } of places.reverse()) {
      machine.restore(start);
      machine.advance(Number.POSITIVE_INFINITY, { pcpu, time });
      expect(machine.stateHash()).toBe(hash);
    }
  });

  test('needs neither translations nor decoded blocks that it has cached', () => {
    const traced = of.create();
    const { machine } = traced;
    runInSteps(machine, through(of).cycles, new Prng(6), () => {
      for (const { virtual } of machine.vcpus) virtual.invalidateTranslations();
      for (const vm of machine.vms) vm.dropCode();
    });
    expect(outcomeOf(traced)).toEqual(seen(through(of)));
  });

  test('goes on in a fresh machine, here, and again, as if it had not been saved', () => {
    const prng = new Prng(7);
    const { cycles } = through(of);
    for (let i = 0; i < 3; i++) {
      const saved = of.create();
      saved.machine.run(1 + prng.below(cycles));
      const before = [...saved.records];
      const snapshot = saved.machine.snapshot();
      const hash = saved.machine.stateHash();
      expect(outcomeOf(saved)).toEqual(seen(through(of)));

      const fresh = of.create();
      for (const other of [fresh, fresh, saved]) {
        goBack(other, snapshot, before);
        expect(other.machine.stateHash()).toBe(hash);
        expect(outcomeOf(other)).toEqual(seen(through(of)));
      }
    }
  });
});

function goBack({ machine, records }: TracedMachine, to: MachineSnapshot, old: TraceRecord[]) {
  machine.restore(to);
  records.splice(0, records.length, ...old);
}

test('between them the runs have every kind of exit, yields, moves and preemptions', () => {
  const traces = CASES.map((of) => through(of).trace).join('');
  for (const what of [
    'reason PAUSE_INSTRUCTION',
    'reason EXTERNAL_INTERRUPT',
    'reason PREEMPTION_TIMER',
    'reason HLT',
    'reason VMCALL',
    'reason IO_INSTRUCTION',
    'reason EXCEPTION_NMI',
    'sched_migrate_task',
    'kvm_ple_window_update',
    'kvm_vcpu_wakeup',
    'kvm_apic_ipi',
  ]) {
    expect(traces).toContain(what);
  }
  const yields = CASES.flatMap((of) => JSON.parse(through(of).report).vcpus).map(
    ({ statistics }) => statistics.ple_yield_successful,
  );
  expect(Math.max(...yields)).toBeGreaterThan(0);
});

describe('snapshots', () => {
  const of = CASES[2];

  test('are plain data: saving a restored machine gives the same', () => {
    const { machine } = of.create();
    machine.run(100_000);
    const snapshot = machine.snapshot();
    const other = of.create().machine;
    other.restore(snapshot);
    expect(other.snapshot()).toEqual(snapshot);
    const text = (saved: MachineSnapshot) => JSON.stringify({ ...saved, memory: null });
    expect(JSON.parse(text(snapshot))).toEqual({ ...snapshot, memory: null });
  });

  test('do not change when the machine goes on', () => {
    const { machine } = of.create();
    machine.run(100_000);
    const snapshot = machine.snapshot();
    const before = structuredClone(snapshot);
    machine.run();
    expect(snapshot).toEqual(before);
    machine.restore(snapshot);
    machine.run();
    expect(snapshot).toEqual(before);
  });

  test('of an ended machine are ended', () => {
    const { machine } = of.create();
    const ending = machine.run();
    const other = of.create().machine;
    other.restore(machine.snapshot());
    expect(other.run()).toEqual(ending);
    expect(other.stateHash()).toBe(machine.stateHash());
  });

  test('keep a limit that was reached', () => {
    const spin = assembleText('bits 64\nspin: mfence\njmp spin');
    const scenario = scenarioOf({ limits: { time: '1ms' } });
    const [machine, other] = [0, 1].map(() => tracedMachine(scenario, [spin]).machine);
    const ending = machine.run();
    expect(ending?.status).toBe('limit');
    other.restore(machine.snapshot());
    expect(other.ending).toEqual(ending);
    expect(other.now).toBe(machine.now);
  });
});

describe('what may differ', () => {
  const contended = single('lock-tas.asm', { vcpus: 5, pcpus: 4, hogs: 2, hz: 1000 });

  test('another seed is another schedule, with the same result for the guest', () => {
    const outcomes = [1, 2].map((seed) => outcomeOf(SLOW_LOCK.create({ seed })));
    expect(new Set(outcomes.map(({ trace }) => trace)).size).toBe(2);
    expect(new Set(outcomes.map(({ hash }) => hash)).size).toBe(2);
    for (const { report } of outcomes) expect(JSON.parse(report).output).toBe('1800\n');
  });

  test.each([1, 60, 500, 5000])(
    'a lookahead of %i leaves the result for the guest',
    (lookahead) => {
      const report = JSON.parse(outcomeOf(contended.create({ lookahead })).report);
      expect(report).toMatchObject({ status: 'halted', output: '50\n' });
    },
  );

  // One pCPU has nobody to run ahead of.
  test.each(['timer-deadline.asm', 'page-fault.asm'])('%s has no lookahead', (name) => {
    const alone = single(name, { pcpus: 1 });
    const [one, many] = [1, 100_000].map((lookahead) => outcomeOf(alone.create({ lookahead })));
    expect(many).toEqual(one);
  });

  // Two vCPUs that meet only by interrupts exit as often, whatever the order of their accesses.
  test.each([1, 500, 5000])('five-exits exits as often with a lookahead of %i', (lookahead) => {
    const { report } = outcomeOf(CASES[3].create({ lookahead }));
    expect(exitCounts(JSON.parse(report))).toEqual(
      exitCounts(JSON.parse(through(CASES[3]).report)),
    );
  });
});

describe('the state hash', () => {
  function paused(): Machine {
    const { machine } = CASES[2].create();
    machine.run(100_000);
    return machine;
  }

  /** Each changes one thing. */
  const CHANGES: readonly (readonly [string, (machine: Machine) => void])[] = [
    ['one bit of the last byte of RAM', ({ vms: [vm] }) => flip(vm, vm.ramBytes - 1)],
    ['one bit of the first byte of RAM', ({ vms: [vm] }) => flip(vm, 0)],
    ['one bit of code', ({ vms: [vm] }) => flip(vm, 0x100000)],
    ['a general register', ({ vcpus }) => add(vcpus[1], 'r9', 1)],
    ['the upper half of a register', ({ vcpus }) => add(vcpus[3], 'rsp', 2 ** 32)],
    ['RIP', ({ vcpus }) => add(vcpus[0], 'rip', 1)],
    ['a flag', ({ vcpus }) => add(vcpus[0], 'rflags', 2 ** 18)],
    ['CR2', ({ vcpus }) => add(vcpus[0], 'cr2', 1)],
    ['a VMCS field', ({ vcpus }) => vcpus[2].virtual.vmcs.write('TSC_OFFSET', 1)],
    ['a bit of the local APIC', ({ vcpus }) => void vcpus[0].lapic.state.irr[1]++],
    ['what a device was told', ({ devices }) => void devices[0].state.console.output.push(0)],
    ['a counter', ({ vcpus }) => void vcpus[0].counters.exits++],
    ['the clock of a pCPU', ({ host }) => void host.pcpus[1].state.now++],
    ['a virtual run time', ({ host }) => void host.threads[2].state.vruntime++],
    ['chance', ({ host }) => void host.prng.next()],
  ];

  function flip(vm: Machine['vms'][number], gpa: number): void {
    const hpa = vm.ramHpa + gpa;
    vm.memory.write(hpa, Uint8Array.of(vm.memory.bytes[hpa] ^ 0x40));
  }

  function add(vcpu: Machine['vcpus'][number], name: string, value: number): void {
    const { state } = vcpu.virtual.processor;
    state.set(name, state.get(name).add(value));
  }

  test('is 128 bits in hexadecimal, and the same when asked twice', () => {
    const machine = paused();
    expect(machine.stateHash()).toMatch(/^[0-9a-f]{32}$/);
    expect(machine.stateHash()).toBe(machine.stateHash());
    expect(machine.stateHash()).toBe(paused().stateHash());
  });

  test.each(CHANGES)('changes with %s', (_what, change) => {
    const machine = paused();
    const before = machine.stateHash();
    change(machine);
    expect(machine.stateHash()).not.toBe(before);
  });

  test('tells all of them apart', () => {
    const hashes = CHANGES.map(([, change]) => {
      const machine = paused();
      change(machine);
      return machine.stateHash();
    });
    expect(new Set(hashes).size).toBe(CHANGES.length);
  });

  test('does not see what is cached or was touched', () => {
    const machine = paused();
    const before = machine.stateHash();
    const [vm] = machine.vms;
    vm.memory.write(vm.ramHpa + vm.ramBytes - 4096, new Uint8Array(4096));
    for (const { virtual } of machine.vcpus) virtual.invalidateTranslations();
    expect(machine.stateHash()).toBe(before);
  });
});
