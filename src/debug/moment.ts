// What is noted beside a trace record, for questions about the past: where the times of the vCPU's
// thread stood, and what led to an exit. Only what the record does not say and is soon gone.

import type { Vcpu } from '../kvm/index.ts';
import type { Machine } from '../machine/index.ts';
import type { TraceRecord } from '../trace/index.ts';

/** Times are in cycles. */
export interface Moment {
  /** Virtual time of the pCPU. */
  readonly now: number;
  /** What the vCPU's thread has spent in each way. */
  readonly guest: number;
  readonly host: number;
  readonly waiting: number;
  readonly blocked: number;
  /** The first PAUSE of the loop that the detector has seen, and the last one; -1 if none. */
  readonly firstPause: number;
  readonly lastPause: number;
  /** The PLE window of the stay in the guest that begins or ends. */
  readonly pleWindow: number;
  /** VMX_PREEMPTION_TIMER_VALUE, unsigned. */
  readonly timerValue: number;
  /** When the local APIC's timer wants the preemption timer to expire; null if it does not. */
  readonly timerWanted: number | null;
  /** Of a halt that is over: how long it was polled for. */
  readonly polled: number;
  /** Interrupts that wait at the pCPU, in words. */
  readonly due: readonly string[];
}

const NONE: readonly string[] = [];

/** The moment of a record, if it is one of those that questions are about. */
export function momentOf(machine: Machine, record: TraceRecord, vcpu: Vcpu): Moment | null {
  const { name } = record;
  if (name !== 'kvm_exit' && name !== 'kvm_entry' && name !== 'kvm_vcpu_wakeup') return null;
  const { virtual, state, thread, timer } = vcpu;
  const { times } = thread.state;
  const { vmcs, pauseLoop } = virtual;
  const pcpu = machine.host.pcpus[record.pcpu];
  return {
    now: pcpu.state.now,
    guest: times.guest,
    host: times.host,
    waiting: times.waiting,
    blocked: times.blocked,
    firstPause: pauseLoop.state.first,
    lastPause: pauseLoop.state.last,
    pleWindow: vmcs.read('PLE_WINDOW').low >>> 0,
    timerValue: vmcs.read('VMX_PREEMPTION_TIMER_VALUE').low >>> 0,
    timerWanted: timer.state.hvDeadline,
    polled: state.isPolling ? state.pollEnd - state.haltStart : 0,
    due: name === 'kvm_exit' ? dueAt(machine, record.pcpu) : NONE,
  };
}

function dueAt({ host }: Machine, index: number): readonly string[] {
  const { pending } = host.pcpus[index].state;
  return pending.length === 0
    ? NONE
    : pending.map(({ kind, detail }) => {
        return kind === 'timer'
          ? `timer ${host.timers.handlerOf(detail) ?? 'that was stopped'}`
          : kind;
      });
}
