// What a debugger shows of a vCPU beside registers: its local APIC, its thread on the host, its
// last exits and why the last one happened. Names and values, for whoever lays them out.

import Long from 'long';
import type { Vcpu } from '../kvm/index.ts';
import type { Machine } from '../machine/index.ts';
import { exitReasonName } from '../vmx/index.ts';

/** A value with its name, to be shown as it is. */
export interface NamedValue {
  readonly name: string;
  readonly value: string;
}

function hex(value: number): string {
  return `0x${(value >>> 0).toString(16)}`;
}

/** The vectors in a set of eight words. */
function vectors(words: readonly number[]): string {
  const found = words.flatMap((word, i) =>
    Array.from({ length: 32 }, (_, bit) => bit)
      .filter((bit) => ((word >>> bit) & 1) !== 0)
      .map((bit) => hex(32 * i + bit)),
  );
  return found.length === 0 ? 'none' : found.join(' ');
}

/** The registers of the local APIC, under the names of the SDM. */
export function lapicValues({ lapic, timer }: Vcpu): readonly NamedValue[] {
  const { state } = lapic;
  const mode = !lapic.isPresent ? 'off' : lapic.isX2apic ? 'x2APIC' : 'xAPIC';
  const { deadlineLow, deadlineHigh, targetNs } = timer.state;
  return [
    { name: 'mode', value: mode },
    { name: 'id', value: hex(lapic.id) },
    { name: 'pending (IRR)', value: vectors(state.irr) },
    { name: 'in service (ISR)', value: vectors(state.isr) },
    { name: 'trigger mode (TMR)', value: vectors(state.tmr) },
    { name: 'task priority (TPR)', value: hex(lapic.taskPriority) },
    { name: 'processor priority (PPR)', value: hex(lapic.processorPriority) },
    { name: 'spurious vector (SVR)', value: hex(state.spurious) },
    { name: 'logical destination (LDR)', value: hex(lapic.logicalId) },
    { name: 'interrupt command (ICR)', value: `${hex(state.icrHigh)}:${hex(state.icrLow)}` },
    { name: 'error status (ESR)', value: hex(state.errorStatus) },
    ...Object.entries(state.lvt).map(([offset, entry]) => {
      return { name: `LVT at offset ${hex(Number(offset))}`, value: hex(entry) };
    }),
    { name: 'initial count', value: hex(state.initialCount) },
    { name: 'divide configuration', value: hex(state.divideConfiguration) },
    { name: 'TSC deadline', value: Long.fromBits(deadlineLow, deadlineHigh, true).toString() },
    { name: 'timer expires at', value: `${targetNs} ns` },
  ];
}

/** What the host knows of the vCPU's thread. Times are in cycles, but where they say ns. */
export function hostValues(machine: Machine, { thread, state }: Vcpu): readonly NamedValue[] {
  const { times, vruntime, runDelayNs, status, pcpu } = thread.state;
  const { now, current } = machine.host.pcpus[pcpu].state;
  return [
    { name: 'thread', value: `${thread.name}, pid ${thread.pid}` },
    { name: 'status', value: status },
    { name: 'pCPU', value: String(pcpu) },
    { name: 'pCPU clock', value: String(now) },
    { name: 'pCPU runs', value: current < 0 ? 'nothing' : machine.host.threads[current].name },
    { name: 'in KVM_RUN', value: state.phase },
    { name: 'mp state', value: state.mpState },
    { name: 'vruntime', value: `${vruntime} ns` },
    { name: 'nice', value: String(thread.nice) },
    { name: 'guest', value: String(times.guest) },
    { name: 'host', value: String(times.host) },
    { name: 'waiting', value: String(times.waiting) },
    { name: 'blocked', value: String(times.blocked) },
    { name: 'run delay', value: `${runDelayNs} ns` },
    { name: 'PLE window', value: String(state.pleWindow) },
  ];
}

/** What a vCPU is doing, in a few words. */
export function activityOf({ state, thread }: Vcpu): string {
  const { status, pcpu } = thread.state;
  if (state.phase === 'ended' || status === 'exited') return 'ended';
  if (status === 'blocked') {
    return state.mpState === 'uninitialized' ? 'waits for INIT' : 'blocked in HLT';
  }
  if (status === 'runnable') return `waits for pCPU ${pcpu}`;
  return state.phase === 'guest' ? `in the guest on pCPU ${pcpu}` : `in the host on pCPU ${pcpu}`;
}

/** The last exits of a vCPU, oldest first: time in cycles, reason, RIP, qualification. */
export function exitLines({ exits }: Vcpu): string[] {
  return exits.recent.map(({ time, reason, rip, qualification }) => {
    const name = exitReasonName(reason).padEnd(20);
    return `${String(time).padStart(12)}  ${name} rip 0x${rip}  qualification 0x${qualification}`;
  });
}
