// A vCPU that has nothing to do: it polls on its pCPU for a while, and then sleeps. Linux
// virt/kvm/kvm_main.c, kvm_vcpu_halt and kvm_vcpu_block. Polling is one wait whose end can be
// computed (a reason to go on, company on the pCPU, the window), so that it can be left out.

import type { BodyOutcome, Pcpu } from '../host/index.ts';
import type { Vcpu } from './vcpu.ts';

/** The vCPU is not runnable. Polls if it is halted and a window is open, else sleeps. */
export function halt(vcpu: Vcpu, pcpu: Pcpu): BodyOutcome | null {
  const { state, vm } = vcpu;
  state.atInstructionBoundary = false;
  // The preemption timer counts in guests only; a host timer takes over, also while polling.
  vcpu.timer.switchToHost(pcpu);
  state.pollWindowNs = Math.min(state.pollWindowNs, vm.parameters.haltPollNs);
  state.haltStart = pcpu.now;
  state.pollEnd = pcpu.now;
  state.isPolling = polls(vcpu);
  if (!state.isPolling) return sleep(vcpu, pcpu);
  state.phase = 'polling';
  return null;
}

/** Only HLT is polled for, and only if the guest does not do so itself. */
function polls({ state }: Vcpu): boolean {
  return state.mpState === 'halted' && state.pv.pollControl && state.pollWindowNs > 0;
}

/** One look at what may end polling, and time passes up to the next. */
export function poll(vcpu: Vcpu, pcpu: Pcpu): BodyOutcome | null {
  const { state, vm } = vcpu;
  const end = state.haltStart + vm.host.frequency.toCycles(state.pollWindowNs);
  if (!pcpu.isMakingUp) {
    // Preempted, it goes on polling when it runs again, and finds out that the window is over.
    const isPreempted = pcpu.needResched && vm.host.parameters.preemption === 'full';
    if (isPreempted && !vcpu.hasWakeCondition) return 'preempt';
    const hasCompany = pcpu.queue.runningCount > 1 || pcpu.needResched;
    if (vcpu.hasWakeCondition || hasCompany || pcpu.now >= end) {
      // Not at each look: where those are must not show.
      state.pollEnd = pcpu.now;
      return sleep(vcpu, pcpu);
    }
  }
  if (pcpu.maySkip && end >= pcpu.limit) {
    pcpu.quietUntil = end;
    return 'quiet';
  }
  pcpu.advanceTo(Math.min(pcpu.limit, end), 'host');
  return null;
}

function sleep(vcpu: Vcpu, pcpu: Pcpu): BodyOutcome | null {
  // The deadline may have passed on the way here.
  if (vcpu.hasWakeCondition) return goOn(vcpu, pcpu, false);
  pcpu.spend(vcpu.vm.costs.kvm.block);
  vcpu.state.phase = 'blocked';
  return 'block';
}

/** Running again after sleep. */
export function wokenUp(vcpu: Vcpu, pcpu: Pcpu): BodyOutcome | null {
  return vcpu.hasWakeCondition ? goOn(vcpu, pcpu, true) : 'block';
}

/** The halt is over: back to the run loop, and choose the window of the next one. */
function goOn(vcpu: Vcpu, pcpu: Pcpu, waited: boolean): null {
  const { state, vm } = vcpu;
  const haltNs = count(vcpu, pcpu, waited);
  const { parameters } = vm;
  if (state.pv.pollControl && parameters.haltPollNs > 0) {
    const old = state.pollWindowNs;
    const windowNs = vm.decisions.haltPoll({ windowNs: old, haltNs }, parameters);
    if (windowNs !== null) {
      state.pollWindowNs = windowNs;
      if (pcpu.traced) {
        const fields = { grow: windowNs >= old, vcpu: vcpu.index, new: windowNs, old };
        pcpu.trace('kvm_halt_poll_ns', fields);
      }
    }
  }
  if (pcpu.traced) pcpu.trace('kvm_vcpu_wakeup', { ns: haltNs, waited, valid: true });
  vcpu.timer.switchToHardware(pcpu);
  state.phase = 'loop';
  return null;
}

/** Note a halt under the names of kvm_stat; returns how long it was, in ns. */
function count({ state, counters, vm }: Vcpu, pcpu: Pcpu, waited: boolean): number {
  const { frequency } = vm.host;
  const { haltStart, pollEnd } = state;
  if (waited) counters.halt_wait_ns += frequency.toNs(pcpu.now - pollEnd);
  if (state.isPolling) {
    const pollNs = frequency.toNs(pollEnd - haltStart);
    counters.halt_attempted_poll++;
    if (waited) counters.halt_poll_fail_ns += pollNs;
    else {
      counters.halt_successful_poll++;
      counters.halt_poll_success_ns += pollNs;
    }
  }
  return frequency.toNs(pcpu.now - haltStart);
}
