// What a vCPU waits for that does not execute guest code, or does so in vain.

import type { Vcpu } from '../kvm/index.ts';
import type { Machine } from '../machine/index.ts';

/** To be read behind "it", without a full stop; null if it goes on. Times are in cycles. */
export function waitOf(machine: Machine, vcpu: Vcpu): string | null {
  const { state, thread } = vcpu;
  const { status, pcpu, sinceCycles } = thread.state;
  if (state.phase === 'ended' || status === 'exited') return null;
  const elapsed = Math.max(0, machine.host.pcpus[pcpu].state.now - sinceCycles);
  if (status === 'blocked') {
    return `sleeps on the host since ${sinceCycles}: ${reasonToSleep(machine, vcpu)}`;
  }
  if (status === 'runnable') {
    const { current, queue } = machine.host.pcpus[pcpu];
    const others = queue.waiting.filter((other) => other !== thread).map(({ name }) => name);
    const beside = others.length === 0 ? '' : `, and ${others.join(', ')} wait there too`;
    const runs = current === null ? 'which is idle' : `where ${current.name} runs`;
    const how = state.preempted ? 'was preempted' : 'was woken';
    return `${how} and waits for pCPU ${pcpu} for ${elapsed} cycles, ${runs}${beside}`;
  }
  if (state.phase === 'polling') {
    const end = state.haltStart + machine.host.frequency.toCycles(state.pollWindowNs);
    return `polls since ${state.haltStart}, up to ${end}: ${wakers(vcpu)}`;
  }
  return state.phase === 'guest' ? pauses(vcpu) : null;
}

/** A loop of PAUSEs that goes on. */
function pauses({ virtual, vm }: Vcpu): string | null {
  const { pauseLoop, processor } = virtual;
  const { first, last } = pauseLoop.state;
  if (last < 0 || processor.clock - last > vm.parameters.pleGap) return null;
  const window = virtual.pauseWindow;
  return `spins with PAUSE since ${first}, and exits if that lasts for more than ${window}`;
}

function reasonToSleep(machine: Machine, vcpu: Vcpu): string {
  const { state } = vcpu;
  switch (state.phase) {
    case 'dozing':
      return 'a PAUSE-loop exit is answered with a sleep of 100 us';
    case 'outside':
      return 'user space has to call KVM_RUN again';
    default:
      switch (state.mpState) {
        case 'uninitialized':
          return 'no INIT has come yet';
        case 'initReceived':
          return 'no start-up IPI has come yet';
        default:
          return `halted, ${wakers(vcpu)}${clock(machine, vcpu)}`;
      }
  }
}

/** What would end a HLT. */
function wakers(vcpu: Vcpu): string {
  const kick = vcpu.vm.parameters.features.pv_unhalt ? ' or a kick by hypercall' : '';
  return vcpu.interruptAllowed
    ? `until an interrupt${kick} comes`
    : `with interrupts off: until an NMI, INIT${kick} comes`;
}

function clock(machine: Machine, vcpu: Vcpu): string {
  const { hostTimer, targetNs } = vcpu.timer.state;
  if (hostTimer === 0) return '; its timer is not set';
  if (vcpu.timer.mode === 'tscDeadline') {
    return `; its timer is due at TSC ${vcpu.timer.deadline.toUnsigned()}`;
  }
  return `; its timer is due at ${machine.host.frequency.toCycles(targetNs)}`;
}
