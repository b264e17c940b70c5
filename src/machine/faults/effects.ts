// What a fault does that happens at a moment, in host context of the pCPU that was interrupted for
// it; and to which vCPUs it can happen.

import Long from 'long';
import type { Host, Pcpu } from '../../host/index.ts';
import { deliver, moveTsc, type Vcpu } from '../../kvm/index.ts';
import type { Fault, FaultName } from './catalogue.ts';
import type { Chance } from './chance.ts';
import type { EntryFailures } from './entry-failures.ts';
import type { FaultThreads } from './fault-threads.ts';

export interface Happening {
  readonly fault: Fault;
  /** Which of the scenario's faults it is. */
  readonly index: number;
  readonly chance: Chance;
  readonly threads: FaultThreads;
  readonly entries: EntryFailures;
  /** To whom it happens; null if to a pCPU. */
  readonly vcpu: Vcpu | null;
  readonly pcpu: Pcpu;
  /** How much or how long. */
  readonly ns: number;
}

const hasEnded = ({ state }: Vcpu) => state.phase === 'ended';

function isAsleep({ state, isBlocked }: Vcpu): boolean {
  return isBlocked && (state.phase === 'blocked' || state.phase === 'dozing');
}

/** True if a fault could happen to a vCPU now. */
export function canHappen(name: FaultName, vcpu: Vcpu, host: Host): boolean {
  switch (name) {
    case 'spurious-wake':
      return isAsleep(vcpu);
    case 'spurious-exit':
      return vcpu.isInGuest && isRunning(vcpu, host.pcpus[vcpu.thread.state.pcpu]);
    case 'preempt':
      return isRunning(vcpu, host.pcpus[vcpu.thread.state.pcpu]);
    case 'spurious-kick':
    case 'spurious-ipi':
      return vcpu.isStarted && !hasEnded(vcpu);
    case 'migrate':
      return !hasEnded(vcpu) && othersOf(vcpu).length > 0;
    default:
      return !hasEnded(vcpu);
  }
}

function isRunning({ thread }: Vcpu, pcpu: Pcpu): boolean {
  return pcpu.current === thread;
}

/** pCPUs that it may use beside the one that it is on. */
function othersOf({ thread }: Vcpu): readonly number[] {
  return thread.affinity.filter((index) => index !== thread.state.pcpu);
}

/** Make it happen; false if it cannot any more. */
export function happen(happening: Happening): boolean {
  const { fault, vcpu, pcpu, threads, index, ns } = happening;
  if (vcpu === null) return happenToPcpu(happening);
  if (hasEnded(vcpu)) return false;
  switch (fault.fault) {
    case 'spurious-wake':
      return isAsleep(vcpu) && pcpu.host.scheduler.wake(vcpu.thread, pcpu);
    case 'spurious-kick':
      deliver(vcpu, { vector: 0, mode: 'Res3', levelTriggered: false, assert: true }, pcpu);
      return true;
    case 'spurious-ipi': {
      const { vector } = fault;
      deliver(vcpu, { vector, mode: 'Fixed', levelTriggered: false, assert: true }, pcpu);
      return true;
    }
    case 'spurious-exit':
      return true;
    case 'preempt':
      if (!isRunning(vcpu, pcpu)) return false;
      threads.preempt(pcpu, ns);
      return true;
    case 'migrate':
      return migrate(happening, vcpu);
    case 'clock-forward':
    case 'clock-back': {
      const cycles = Math.floor((ns * vcpu.vm.tscKhz) / 1e6);
      moveTsc(vcpu, Long.fromNumber(fault.fault === 'clock-back' ? -cycles : cycles), pcpu);
      return true;
    }
    case 'fail-entry':
    case 'fail-msr-load':
      happening.entries.request(vcpu, fault);
      return true;
    default:
      throw new Error(`${fault.fault} (fault ${index}) does not happen to a vCPU at a moment`);
  }
}

function happenToPcpu({ fault, index, pcpu, threads, ns }: Happening): boolean {
  if (fault.fault === 'steal') threads.steal(index, pcpu, ns);
  else threads.stop(pcpu, ns);
  return true;
}

function migrate({ fault, chance, pcpu, threads }: Happening, vcpu: Vcpu): boolean {
  const others = othersOf(vcpu);
  const allowed = fault.to < 0 ? others : others.filter((other) => other === fault.to);
  if (allowed.length === 0) return false;
  const to = chance.pick(allowed);
  const { scheduler, pcpus } = pcpu.host;
  if (isRunning(vcpu, pcpu)) threads.moveAway(pcpu, vcpu.thread, to);
  else if (!scheduler.move(vcpu.thread, pcpus[to], pcpu)) return false;
  return true;
}
