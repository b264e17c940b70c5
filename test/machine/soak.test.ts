// 64 vCPUs over 8 pCPUs under a mixed load of locks, interrupts, timers and halts, on a kernel with
// each fair class: no wake-up is lost, nobody starves, no event is in the past, time is conserved.
// SOAK_ROUNDS in the environment makes it longer, and says how long it was: `npm run soak` is more
// than ten virtual seconds on each kernel. Waits are read from the trace, each in full: samples of
// who waits would miss those between two of them, which are all of them where spinners sleep.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Machine, reportOf } from '../../src/machine/index.ts';
import type { TraceRecord, TraceSink } from '../../src/trace/index.ts';
import { assembleText, checkedScenario } from '../support/guest-run.ts';

const VCPUS = 64;
const PCPUS = 8;
const ROUNDS = Number(process.env.SOAK_ROUNDS ?? '4');
const SOURCE = readFileSync(new URL('soak.asm', import.meta.url), 'utf8');

/** With 8 pCPUs and 250 Hz: a sleeper's credit is half of the latency of 24 ms. */
const CREDIT_NS = 12e6;
const WAKEUP_GRANULARITY_NS = 4e6;
const TICK_NS = 4e6;
/** pid of whom a pCPU runs that has nobody to run. */
const IDLE = 0;

/** How long threads wait for a pCPU: from their beginning, a wake-up or a preemption. */
class Waits implements TraceSink {
  longestNs = 0;
  count = 0;
  private readonly since = new Map<number, number>();

  begin(pid: number, timeNs: number): void {
    if (pid !== IDLE) this.since.set(pid, timeNs);
  }

  record({ name, fields, timeNs }: TraceRecord): void {
    if (name === 'sched_wakeup') this.begin(fields.pid, timeNs);
    if (name !== 'sched_switch') return;
    if (fields.prevState.startsWith('R')) this.begin(fields.prev.pid, timeNs);
    const since = this.since.get(fields.next.pid);
    if (since === undefined) return;
    this.since.delete(fields.next.pid);
    this.count++;
    this.longestNs = Math.max(this.longestNs, timeNs - since);
  }
}

test.each(['linux-6.1', 'linux-6.6', 'linux-2.6.38'])('on %s', (kernel) => {
  const program = assembleText(SOURCE, { ROUNDS: String(ROUNDS) });
  const scenario = checkedScenario({
    host: { pcpus: PCPUS, kernel },
    vms: [{ program: 'soak.asm', vcpus: VCPUS, memory: '4M' }],
    limits: { time: '60s', instructions: '100G' },
  });
  const waits = new Waits();
  const machine = new Machine(scenario, { programs: [program], sink: waits });
  const { host } = machine;
  for (const { pid } of host.threads) waits.begin(pid, 0);
  let until = 0;
  let boundNs = 0;
  while (machine.run(until) === null) {
    for (const { time } of host.pendingEvents) expect(time).toBeGreaterThanOrEqual(until);
    // Each of the others on a pCPU may wake up with its credit, be a granularity out of turn, and
    // run on to the next tick.
    const crowd = Math.max(...host.pcpus.map(({ queue }) => queue.runningCount));
    const outOfTurnNs = CREDIT_NS + WAKEUP_GRANULARITY_NS + TICK_NS;
    boundNs = Math.max(boundNs, (crowd - 1) * outOfTurnNs);
    until += host.frequency.toCycles(1e6);
  }
  const report = reportOf(machine, machine.ending as NonNullable<typeof machine.ending>);
  expect([report.status, report.output]).toEqual(['halted', String(VCPUS * ROUNDS)]);
  for (const { statistics } of report.vcpus) {
    // Every timer, and of the other interrupts at least one.
    expect(statistics.irq_injections).toBeGreaterThan(ROUNDS);
  }
  // Each vCPU sleeps in each round, and waits afterwards, be it for no time.
  expect(waits.count).toBeGreaterThan(VCPUS * ROUNDS);
  const { longestNs } = waits;
  expect(longestNs).toBeGreaterThan(0);
  expect(longestNs).toBeLessThanOrEqual(boundNs);
  if (process.env.SOAK_ROUNDS !== undefined) {
    const ms = [report.virtualNs, longestNs, boundNs].map((ns) => (ns / 1e6).toFixed(1));
    console.info(`${kernel}: ${ms[0]} ms; longest wait ${ms[1]} ms, bound ${ms[2]} ms`);
  }
});
