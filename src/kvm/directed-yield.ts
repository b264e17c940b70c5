// Directed yield: whom a spinning or kicking vCPU gives its pCPU to. Linux virt/kvm/kvm_main.c,
// kvm_vcpu_on_spin and kvm_vcpu_eligible_for_directed_yield; arch/x86/kvm/x86.c, kvm_sched_yield.

import type { Pcpu, YieldResult } from '../host/index.ts';
import type { Vcpu } from './vcpu.ts';

/** Failed attempts after which a spinner gives up the search. */
const TRIES = 3;

/**
 * A vCPU spins: look for another one of its VM that would do better with a pCPU, round-robin from
 * the one behind the last that was helped. True if it yielded; the thread must then give way, and
 * stays in its spin loop until it runs again.
 * @param kernelPreferred skip candidates that were preempted in user mode
 */
export function vcpuOnSpin(me: Vcpu, pcpu: Pcpu, kernelPreferred: boolean): boolean {
  const { vm } = me;
  const { kvm } = vm.costs;
  const last = vm.lastBoostedVcpu;
  me.state.inSpinLoop = true;
  pcpu.spend(kvm.spin);
  let result: YieldResult = 'refused';
  let tries = TRIES;
  // Two passes: behind the last boosted vCPU, then up to it. A refusal for want of other threads
  // at the end of the first pass ends the search.
  for (const pass of [0, 1]) {
    if (result !== 'refused' || tries === 0) break;
    for (const candidate of vm.vcpus) {
      if (pass === 0 ? candidate.index <= last : candidate.index > last) continue;
      pcpu.spend(kvm.spinCandidate);
      if (!isCandidate(candidate, me, kernelPreferred)) continue;
      me.counters.ple_yield_attempted++;
      result = vm.host.scheduler.yieldTo(pcpu, candidate.thread);
      if (result === 'yielded') {
        vm.lastBoostedVcpu = candidate.index;
        me.counters.ple_yield_successful++;
        return true;
      }
      if (result === 'alone' && --tries === 0) break;
    }
  }
  endSpin(me);
  return false;
}

/** The vCPU is back from, or done with, its search. */
export function endSpin(me: Vcpu): void {
  me.state.inSpinLoop = false;
  me.state.dyEligible = false;
}

function isCandidate(candidate: Vcpu, me: Vcpu, kernelPreferred: boolean): boolean {
  const { state } = candidate;
  if (!state.ready || candidate === me) return false;
  if (candidate.isBlocked && !candidate.isDirectedYieldRunnable) return false;
  if (state.preempted && kernelPreferred && !state.preemptedInKernel) return false;
  return isEligible(candidate);
}

/** A vCPU that spins itself is helped only every other time it is asked about. */
function isEligible(candidate: Vcpu): boolean {
  const { state } = candidate;
  const eligible = !state.inSpinLoop || state.dyEligible;
  if (state.inSpinLoop) state.dyEligible = !state.dyEligible;
  return eligible;
}

/**
 * Yield to the vCPU with an APIC id, for the hypercalls KICK_CPU and SCHED_YIELD. True if the
 * caller's thread must give way.
 */
export function schedYield(me: Vcpu, apicId: number, pcpu: Pcpu): boolean {
  me.counters.directed_yield_attempted++;
  if (pcpu.queue.runningCount === 1) return false;
  const target = me.vm.vcpuByApicId(apicId);
  if (target === undefined || !target.state.ready || target === me) return false;
  if (me.vm.host.scheduler.yieldTo(pcpu, target.thread) !== 'yielded') return false;
  me.counters.directed_yield_successful++;
  return true;
}
