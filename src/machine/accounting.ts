// Where the time of vCPUs and hogs went. What threads did is the host's own account, to the cycle;
// guest time is divided by what the guest says of its locks (labels lock_wait and lock_held: a word
// for each vCPU, the lock that it waits for or holds, or 0) and by who has a pCPU, looked at in
// fixed steps of virtual time. So the parts always add up to the whole; how guest time is divided
// is an estimate, finer with shorter steps.

import type { PcpuState } from '../host/index.ts';
import type { Vcpu } from '../kvm/index.ts';
import type { MachineEnding } from './ending.ts';
import type { Machine } from './machine.ts';
import { type ResultValue, wordAt } from './program-data.ts';

/** What time is spent on, in the order of tables. */
export const USES = {
  useful: 'guest code that waits for no lock',
  holderRuns: 'waiting for a lock whose holder has a pCPU',
  holderPreempted: 'waiting for a lock whose holder has none',
  waiterPreempted: 'waiting for a free lock behind a waiter without a pCPU',
  exits: 'exits, KVM and the kernel',
  polling: 'polling for the end of a halt',
  runQueue: 'runnable, without a pCPU',
  idle: 'asleep',
} as const;

export type Use = keyof typeof USES;

export const USE_NAMES = Object.keys(USES) as Use[];

/** Cycles by use. */
export type Uses = Readonly<Record<Use, number>>;

export interface ThreadAccount {
  /** Name of the thread. */
  readonly name: string;
  /** Name of its virtual machine, or `hogs`. */
  readonly party: string;
  /** Cycles of its life: those of the run, or more by a part of a turn. */
  readonly elapsed: number;
  /** They add up to that. */
  readonly uses: Uses;
}

export interface PcpuAccount {
  /** As of threads. */
  readonly elapsed: number;
  /** They add up to that. */
  readonly guest: number;
  readonly host: number;
  readonly idle: number;
}

export interface Account {
  /** Cycles. */
  readonly elapsed: number;
  readonly stepCycles: number;
  /** VCPUs, and then hogs. */
  readonly threads: readonly ThreadAccount[];
  /** Sums over the threads of each, in the order of the scenario. */
  readonly parties: readonly { readonly name: string; readonly uses: Uses }[];
  readonly pcpus: readonly PcpuAccount[];
}

type MutableUses = Record<Use, number>;

const HOGS = 'hogs';

const nothing = (): MutableUses =>
  Object.fromEntries(USE_NAMES.map((use) => [use, 0])) as MutableUses;

/** What a vCPU does with guest time. */
type GuestUse = 'useful' | 'holderRuns' | 'holderPreempted' | 'waiterPreempted';

interface Watched {
  readonly vcpu: Vcpu;
  guest: number;
  readonly uses: MutableUses;
}

/** Run a machine to its end or its limits, with a look in every so many cycles. */
export function accountMachine(
  machine: Machine,
  stepCycles: number,
): { readonly account: Account; readonly ending: MachineEnding } {
  const accountant = new Accountant(machine);
  let ending: MachineEnding | null = null;
  for (let until = stepCycles; ending === null; until += stepCycles) {
    ending = machine.run(until);
    accountant.look();
  }
  const account = accountant.account(stepCycles);
  assertAccounted(account);
  return { account, ending };
}

/**
 * Divides guest time from where it is made on. Who runs the machine calls {@link look} at fixed
 * steps of virtual time, also at the end; what {@link account} tells of all other time is since the
 * beginning of the run.
 */
export class Accountant {
  private readonly machine: Machine;
  private readonly watched: readonly Watched[];
  private readonly locks: readonly (LockTables | null)[];

  constructor(machine: Machine) {
    this.machine = machine;
    this.watched = machine.vcpus.map((vcpu) => {
      return { vcpu, guest: vcpu.thread.state.times.guest, uses: nothing() };
    });
    this.locks = machine.vms.map(({ id, vcpus }) => {
      const data = machine.programData[id];
      const wait = data.tableOf('lock_wait', vcpus.length);
      const held = data.tableOf('lock_held', vcpus.length);
      return wait === null || held === null ? null : { wait, held };
    });
  }

  /** Whether a program says what its vCPUs wait for. */
  get knowsLocks(): boolean {
    return this.locks.some((tables) => tables !== null);
  }

  look(): void {
    for (const watched of this.watched) {
      const { vcpu, uses } = watched;
      const { guest } = vcpu.thread.state.times;
      if (guest > watched.guest) uses[this.guestUse(vcpu)] += guest - watched.guest;
      watched.guest = guest;
    }
  }

  private guestUse({ vm, index }: Vcpu): GuestUse {
    const tables = this.locks[vm.id];
    if (tables === null) return 'useful';
    const wordOf = (table: number, i: number): ResultValue => wordAt(vm, table + 8 * i);
    const lock = wordOf(tables.wait, index);
    if (lock === 0) return 'useful';
    const holder = vm.vcpus.find((other) => wordOf(tables.held, other.index) === lock);
    if (holder !== undefined) return hasPcpu(holder) ? 'holderRuns' : 'holderPreempted';
    const isWaiterAway = vm.vcpus.some(
      (other) => wordOf(tables.wait, other.index) === lock && !hasPcpu(other),
    );
    return isWaiterAway ? 'waiterPreempted' : 'holderRuns';
  }

  account(stepCycles: number): Account {
    const { machine } = this;
    const { host } = machine;
    const vcpuThreads = new Set(machine.vcpus.map(({ thread }) => thread));
    const vcpus = this.watched.map(({ vcpu, uses }) => {
      const { halt_poll_success_ns: success, halt_poll_fail_ns: fail } = vcpu.counters;
      const polling = host.frequency.toCycles(success + fail);
      const party = machine.scenario.vms[vcpu.vm.id].name;
      return { name: vcpu.thread.name, party, ...this.whole(vcpu.thread, uses, polling) };
    });
    const hogs = host.threads
      .filter((thread) => !vcpuThreads.has(thread))
      .map((thread) => {
        const { elapsed, uses } = this.whole(thread, nothing(), 0);
        // All they do is of use to them; there is no telling the kernel's part.
        const ownUses = { ...uses, useful: uses.exits, exits: 0 };
        return { name: thread.name, party: HOGS, elapsed, uses: ownUses };
      });
    const threads = [...vcpus, ...hogs];
    const names = [...new Set(threads.map(({ party }) => party))];
    return {
      elapsed: machine.now,
      stepCycles,
      threads,
      parties: names.map((name) => {
        return { name, uses: sumOf(threads.filter(({ party }) => party === name)) };
      }),
      pcpus: host.pcpus.map(({ state }) => this.pcpu(state)),
    };
  }

  /** All of a thread's time up to now. */
  private whole(
    { state }: Vcpu['thread'],
    guestUses: Uses,
    polling: number,
  ): Pick<ThreadAccount, 'elapsed' | 'uses'> {
    const { times, status, sinceCycles } = state;
    // What it waits or sleeps for now has not been counted yet.
    const rest = Math.max(0, this.machine.now - sinceCycles);
    const isWaiting = status === 'runnable';
    const uses = {
      ...guestUses,
      exits: times.host - polling,
      polling,
      runQueue: times.waiting + (isWaiting ? rest : 0),
      idle: times.blocked + (isWaiting ? 0 : rest),
    };
    return { elapsed: sinceCycles + rest, uses };
  }

  /** The clock of an idle pCPU stands where it fell idle. */
  private pcpu({ times, now }: PcpuState): PcpuAccount {
    const rest = Math.max(0, this.machine.now - now);
    return { elapsed: now + rest, guest: times.guest, host: times.host, idle: times.idle + rest };
  }
}

interface LockTables {
  readonly wait: number;
  readonly held: number;
}

function hasPcpu({ thread }: Vcpu): boolean {
  return thread.state.status === 'running';
}

function sumOf(threads: readonly ThreadAccount[]): Uses {
  const sum = nothing();
  for (const { uses } of threads) for (const use of USE_NAMES) sum[use] += uses[use];
  return sum;
}

/** Throw unless every cycle of each thread and pCPU is in one of its parts. */
function assertAccounted({ threads, pcpus }: Account): void {
  for (const { name, uses, elapsed } of threads) {
    const sum = USE_NAMES.reduce((total, use) => total + uses[use], 0);
    if (sum !== elapsed) throw new Error(`${name}: ${sum} cycles are not ${elapsed}`);
  }
  for (const [i, { guest, host, idle, elapsed }] of pcpus.entries()) {
    const sum = guest + host + idle;
    if (sum !== elapsed) throw new Error(`pCPU ${i}: ${sum} cycles are not ${elapsed}`);
  }
}
