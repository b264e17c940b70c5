// One lock on every schedule: some vCPUs take it a few times in lock-stress, and are never in the
// section that it protects at the same time, lose no increment, and all come to an end.

import { EVERY_SCHEDULE, type ExploreReport, explore } from '../../src/explore/index.ts';
import type { LockWaitAction } from '../../src/kvm/index.ts';
import { SymbolMap } from '../../src/machine/index.ts';
import { workloadInput } from '../support/workload.ts';
import type { LockEntry } from './lock-table.ts';

/** How much of a lock is explored. */
export interface LockSearch {
  readonly vcpus: number;
  /** Times that each vCPU takes the lock. */
  readonly rounds: number;
  /** With the store buffers of x86-TSO; else memory is sequentially consistent. */
  readonly storeBuffers: boolean;
  /** Infinity for any number. */
  readonly preemptions: number;
}

/** What `npm run locks` does with each lock. What x86-TSO allows includes what SC does. */
export const SEARCHES: readonly LockSearch[] = [
  { vcpus: 2, rounds: 2, storeBuffers: false, preemptions: Number.POSITIVE_INFINITY },
  { vcpus: 2, rounds: 2, storeBuffers: true, preemptions: Number.POSITIVE_INFINITY },
  { vcpus: 3, rounds: 1, storeBuffers: true, preemptions: 2 },
];

/** The section in which nobody else may be, by its labels in lock-stress. */
const FROM = 'inside';
const TO = 'outside';

/** The action of the host for locks that ask: a kick that is missing is waited for. */
const LOCK_WAIT: LockWaitAction = 'block+kick';

/** What the host grants locks that want it to, in ns. */
const GRANT_NS = 50_000;

/** Keys of `vms[].kvm` that give a lock what it needs. */
function hostFor({ needs }: LockEntry) {
  if (needs === 'lock-wait') return { lock_wait: LOCK_WAIT };
  return needs === 'grants' ? { preempt_grant_ns: GRANT_NS } : {};
}

/** Explore a lock; `states` ends the search. More macros make another program of it. */
export function exploreLock(
  lock: LockEntry,
  wanted: LockSearch,
  states: number,
  defines: Readonly<Record<string, string>> = {},
): ExploreReport {
  const { vcpus, rounds, storeBuffers, preemptions } = wanted;
  const bounds = Object.fromEntries(lock.bounds.map((name) => [name, '1']));
  const input = workloadInput('workloads/lock-stress.asm', {
    defines: { LOCK: lock.name, ...bounds, ...defines },
    parameters: { rounds, hold: 0, gap: 0 },
    settings: { vcpus },
  });
  const { scenario, programs, modules, symbols } = input;
  const vms = scenario.vms.map((vm) => ({ ...vm, kvm: { ...vm.kvm, ...hostFor(lock) } }));
  const [start, end] = [FROM, TO].map((name) => labelIn(symbols[0], name));
  return explore(
    { ...scenario, vms },
    { programs, modules, symbols },
    {
      ...EVERY_SCHEDULE,
      storeBuffers,
      preemptions,
      states,
      expectations: { exclusive: [{ name: `${FROM}..${TO}`, start, end }], output: 'ok' },
    },
  );
}

function labelIn(symbols: SymbolMap | null | undefined, name: string) {
  const address = (symbols ?? SymbolMap.EMPTY).addressOf(name);
  if (address === null) throw new Error(`lock-stress has no label '${name}'`);
  return address.toUnsigned();
}
