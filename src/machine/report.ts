// What a run has to show for itself, as one plain document: `vmxlab run --json` prints it as it is,
// report-text.ts makes a page of it. Same scenario, same bytes.

import Long from 'long';
import { modeOf, STATE_ITEMS } from '../cpu/index.ts';
import { donatedUpTo, type Pcpu } from '../host/index.ts';
import { addTimes, type ExitTimes, type Vcpu, type VcpuCounters } from '../kvm/index.ts';
import { decodeUtf8 } from '../sim/index.ts';
import { meanErrorPercent, type StatRow } from '../trace/index.ts';
import { exitReasonName } from '../vmx/index.ts';
import { type CgroupReport, cgroupReports } from './cgroups.ts';
import { costopsOf } from './coscheduling.ts';
import type { EndingStatus, MachineEnding } from './ending.ts';
import type { FaultCount } from './faults/injector.ts';
import { recentInstructions } from './history.ts';
import type { HogReport } from './hogs.ts';
import type { Machine } from './machine.ts';
import type { ResultValues } from './program-data.ts';
import type { AddressName } from './symbol-map.ts';

/** Changes whenever a reader of the document would have to change. */
export const REPORT_SCHEMA_VERSION = 1;

/** Times are from the exit to the next entry, sleep included. */
export interface ExitReport extends StatRow {
  readonly number: number;
}

export interface VcpuReport {
  readonly vm: number;
  readonly index: number;
  /** `halted`, `notStarted`, `running`, `ended`: what it was doing at the end. */
  readonly status: string;
  readonly instructions: number;
  /** Hexadecimal, by the SDM's names; outside 64-bit mode with the selectors of segments. */
  readonly registers: Readonly<Record<string, string>>;
  readonly exits: readonly ExitReport[];
  /** Under the names of kvm_stat, and two of our own for yields out of PAUSE loops. */
  readonly statistics: VcpuCounters;
  /** Where its time went, in ns: guest, host, waiting for a pCPU (steal), blocked. */
  readonly times: Readonly<Record<'guestNs' | 'hostNs' | 'stealNs' | 'blockedNs', number>>;
  /** Part of the steal time: behind its yields, while its slice would have lasted. */
  readonly donatedNs: number;
  /** How often co-scheduling stopped it, and how long that was: part of the steal time too. */
  readonly costops: number;
  readonly costopNs: number;
  /** The last exits, oldest first. */
  readonly recentExits: readonly RecentExitReport[];
  /** The last instructions, oldest first, if they are to be shown. */
  readonly recentInstructions: readonly string[];
  /**
   * What stands at RIP and at the addresses of the last exits and instructions, by address as
   * 0x100000: a name if the program has symbols, a source line if it has debug information.
   */
  readonly symbols: Readonly<Record<string, AddressName>>;
}

export interface RecentExitReport {
  readonly timeNs: number;
  readonly name: string;
  readonly rip: string;
  readonly qualification: string;
}

export interface PcpuReport {
  readonly index: number;
  readonly guestNs: number;
  readonly hostNs: number;
  readonly idleNs: number;
}

/** What became of one virtual machine. */
export interface VmReport {
  readonly name: string;
  /** How it ended; `running` if a limit came first. */
  readonly status: EndingStatus | 'running';
  readonly exitCode: number | null;
  readonly message: string;
  /** What its vCPUs donated by yielding, and how long they were co-stopped, together. */
  readonly donatedNs: number;
  readonly costopNs: number;
  /** What it wrote to the debug console (port E9H). */
  readonly output: string;
  /** What it sent by COM1. */
  readonly serial: string;
  /** What stands at its labels `result_NAME`: one word, or one for each vCPU. */
  readonly results: ResultValues;
  /** What stands at its labels `histogram_NAME`. */
  readonly histograms: ResultValues;
}

export interface RunReport {
  readonly schemaVersion: number;
  readonly status: EndingStatus;
  readonly exitCode: number;
  readonly message: string;
  readonly virtualCycles: number;
  readonly virtualNs: number;
  readonly instructions: number;
  readonly stateHash: string;
  /** What the first virtual machine wrote to the debug console (port E9H). */
  readonly output: string;
  /** What that one sent by COM1. */
  readonly serial: string;
  readonly vms: readonly VmReport[];
  /** Of all vCPUs together, most frequent first. */
  readonly exits: readonly ExitReport[];
  readonly vcpus: readonly VcpuReport[];
  readonly pcpus: readonly PcpuReport[];
  /** For each entry of the scenario's `hogs`. */
  readonly hogs: readonly HogReport[];
  /** How often each fault of the scenario has happened. */
  readonly faults: readonly FaultCount[];
  /** The control groups of the host, as in their cpu.stat; left out if there are none. */
  readonly cgroups?: readonly CgroupReport[];
}

/** The report on a machine that has ended. */
export function reportOf(machine: Machine, ending: MachineEnding): RunReport {
  const { frequency } = machine.host;
  const vms = machine.vms.map((_, id) => vmReport(machine, id));
  const all = new Map<number, ExitTimes>();
  for (const vcpu of machine.vcpus) {
    for (const [reason, times] of vcpu.exits.timesAt(machine.now)) {
      all.set(reason, addTimes(all.get(reason), times));
    }
  }
  return {
    schemaVersion: REPORT_SCHEMA_VERSION,
    status: ending.status,
    exitCode: ending.exitCode,
    message: ending.message,
    virtualCycles: machine.now,
    virtualNs: frequency.toNs(machine.now),
    instructions: machine.instructions,
    stateHash: machine.stateHash(),
    output: vms[0].output,
    serial: vms[0].serial,
    vms,
    exits: exitReports(machine, all),
    vcpus: machine.vcpus.map((vcpu) => vcpuReport(machine, vcpu, ending)),
    pcpus: machine.host.pcpus.map((pcpu) => pcpuReport(machine, pcpu)),
    hogs: machine.hogs.reports,
    faults: machine.faults?.counts ?? [],
    ...(machine.host.groups.length === 0 ? {} : { cgroups: cgroupReports(machine.host) }),
  };
}

/** The clock of an idle pCPU stands where it fell idle: the rest is idle time too. */
function pcpuReport(machine: Machine, { index, isIdle, state }: Pcpu): PcpuReport {
  const { frequency } = machine.host;
  const rest = isIdle ? Math.max(0, machine.now - state.now) : 0;
  return {
    index,
    guestNs: frequency.toNs(state.times.guest),
    hostNs: frequency.toNs(state.times.host),
    idleNs: frequency.toNs(state.times.idle + rest),
  };
}

function vmReport(machine: Machine, id: number): VmReport {
  const ending = machine.endings[id];
  const { state } = machine.devices[id];
  const { vcpus } = machine.vms[id];
  const toNs = (cycles: number) => machine.host.frequency.toNs(cycles);
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return {
    name: machine.scenario.vms[id].name,
    status: ending?.status ?? 'running',
    exitCode: ending?.exitCode ?? null,
    message: ending?.message ?? 'still running',
    donatedNs: sum(vcpus.map(({ thread }) => toNs(donatedUpTo(machine.now, thread)))),
    costopNs: sum(vcpus.map((vcpu) => costopsOf(vcpu, machine.now).costopNs)),
    output: decodeUtf8(Uint8Array.from(state.console.output)),
    serial: decodeUtf8(Uint8Array.from(state.com1.sent)),
    results: machine.programData[id].results(machine.vms[id]),
    histograms: machine.programData[id].histograms(machine.vms[id]),
  };
}

function exitReports(machine: Machine, all: ReadonlyMap<number, ExitTimes>): ExitReport[] {
  const ns = (cycles: number) => (cycles * 1e6) / machine.host.frequency.khz;
  return [...all]
    .sort(([a, x], [b, y]) => y.count - x.count || a - b)
    .map(([number, times]) => ({
      name: exitReasonName(number),
      number,
      count: times.count,
      totalNs: Math.round(ns(times.total)),
      minNs: Math.round(ns(times.min)),
      maxNs: Math.round(ns(times.max)),
      meanNs: Math.round(ns(times.total / times.count)),
      meanErrorPercent: Math.round(meanErrorPercent(times) * 100) / 100,
    }));
}

function vcpuReport(machine: Machine, vcpu: Vcpu, ending: MachineEnding): VcpuReport {
  const { frequency } = machine.host;
  const { times, status, sinceCycles } = vcpu.thread.state;
  // What a thread that waits or sleeps is at now has not been counted yet.
  const rest = Math.max(0, machine.now - sinceCycles);
  const isConcerned = ending.vcpu?.vm === vcpu.vm.id && ending.vcpu.index === vcpu.index;
  const instructions = isConcerned ? recentInstructions(vcpu) : [];
  return {
    vm: vcpu.vm.id,
    index: vcpu.index,
    status: statusOf(vcpu),
    instructions: vcpu.virtual.processor.instructions,
    registers: registersOf(vcpu),
    exits: exitReports(machine, vcpu.exits.timesAt(machine.now)),
    statistics: { ...vcpu.counters },
    times: {
      guestNs: frequency.toNs(times.guest),
      hostNs: frequency.toNs(times.host),
      stealNs: frequency.toNs(times.waiting + (status === 'runnable' ? rest : 0)),
      blockedNs: frequency.toNs(times.blocked + (status === 'blocked' ? rest : 0)),
    },
    donatedNs: frequency.toNs(donatedUpTo(machine.now, vcpu.thread)),
    ...costopsOf(vcpu, machine.now),
    recentExits: vcpu.exits.recent.map(({ time, reason, rip, qualification }) => ({
      timeNs: frequency.toNs(time),
      name: exitReasonName(reason),
      rip,
      qualification,
    })),
    recentInstructions: instructions,
    symbols: symbolsOf(machine, vcpu, instructions),
  };
}

/** Names of the addresses that a vCPU's report shows, in order of address. */
function symbolsOf(
  machine: Machine,
  vcpu: Vcpu,
  instructions: readonly string[],
): Record<string, AddressName> {
  const shown = new Set([
    `0x${hex(vcpu.linearRip)}`,
    ...vcpu.exits.recent.map(({ rip }) => `0x${rip}`),
    ...instructions.map(addressOf),
  ]);
  const named: (readonly [string, AddressName])[] = [];
  for (const address of shown) {
    const name = machine.symbols[vcpu.vm.id].nameOf(Long.fromString(address.slice(2), true, 16));
    if (name !== null) named.push([address, name]);
  }
  return Object.fromEntries(named.sort(([a], [b]) => a.length - b.length || (a < b ? -1 : 1)));
}

/** The address that the text of an instruction in a report begins with. */
export function addressOf(instruction: string): string {
  return /^0x[\da-f]+/.exec(instruction)?.[0] ?? '';
}

function statusOf(vcpu: Vcpu): string {
  if (vcpu.state.mpState === 'halted') return 'halted';
  if (!vcpu.isStarted) return 'notStarted';
  return vcpu.state.phase === 'ended' ? 'ended' : vcpu.thread.state.status;
}

/** State items that a report shows: general registers, RIP, RFLAGS, control registers, EFER. */
const SHOWN = STATE_ITEMS.filter(({ name }) =>
  /^(r[a-ds][xip]|r[sb]p|r[sd]i|r\d+|rip|rflags|cr[0234]|efer)$/.test(name),
);

/** Their selectors are shown as well where they matter to every access. */
const SEGMENTS = ['cs', 'ss', 'ds', 'es', 'fs', 'gs'];

function registersOf(vcpu: Vcpu): Record<string, string> {
  const { state } = vcpu.virtual.processor;
  const segments = modeOf(state) === '64-bit' ? [] : SEGMENTS;
  return Object.fromEntries([
    ...SHOWN.map(({ name }) => [name, hex(state.get(name))]),
    ...segments.map((name) => [name, hex(state.get(`${name}Selector`))]),
  ]);
}

function hex(value: Long): string {
  return value.toUnsigned().toString(16);
}
