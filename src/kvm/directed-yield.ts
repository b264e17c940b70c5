// Directed yield: whom a spinning or kicking vCPU gives its pCPU to. Linux virt/kvm/kvm_main.c,
// kvm_vcpu_on_spin and kvm_vcpu_eligible_for_directed_yield; arch/x86/kvm/x86.c, kvm_sched_yield.

import type { Pcpu, YieldResult } from '../host/index.ts';
import type { SpinHandler } from './parameters.ts';
import type { YieldCandidatePolicy } from './policies.ts';
import type { Vcpu } from './vcpu.ts';

/** What the thread of a spinner does. */
export type SpinResult = 'resume' | 'yield' | 'doze';

/** Failed attempts after which a spinner gives up the search. */
const TRIES = 3;

/** What the search does, in the order in which kernels learned it. */
interface SpinRules {
  /** The first pass begins behind the last boosted vCPU even if that is vCPU 0. */
  readonly passesZero: boolean;
  /** Who spins itself is helped only every other time it is asked about. */
  readonly eligibility: boolean;
  /** Three times -ESRCH end the search, one at the end of a pass does. */
  readonly tryLimit: boolean;
  /** Who is a candidate at all. */
  readonly candidates: 'notInGuest' | 'preempted' | 'ready';
  /** Not who was preempted in user mode. */
  readonly inKernel: boolean;
}

const TWO_PASS: SpinRules = {
  passesZero: false,
  eligibility: false,
  tryLimit: false,
  candidates: 'notInGuest',
  inKernel: false,
};
const ELIGIBLE: SpinRules = { ...TWO_PASS, passesZero: true, eligibility: true };
const TRY_LIMIT: SpinRules = { ...ELIGIBLE, tryLimit: true };
const PREEMPTED: SpinRules = { ...TRY_LIMIT, candidates: 'preempted' };
const IN_KERNEL: SpinRules = { ...PREEMPTED, inKernel: true };

const RULES: Readonly<Record<Exclude<SpinHandler, 'sleep'>, SpinRules>> = {
  'two-pass': TWO_PASS,
  eligible: ELIGIBLE,
  'try-limit': TRY_LIMIT,
  preempted: PREEMPTED,
  'in-kernel': IN_KERNEL,
  ready: { ...IN_KERNEL, candidates: 'ready' },
};

/**
 * A vCPU spins. What its thread does about it: sleep, give way to another vCPU of its machine, or
 * nothing. Who gives way stays in its spin loop until it runs again.
 * @param kernelPreferred skip candidates that were preempted in user mode
 */
export function vcpuOnSpin(me: Vcpu, pcpu: Pcpu, kernelPreferred: boolean): SpinResult {
  const { vm } = me;
  const { spinHandler } = vm.parameters;
  me.state.inSpinLoop = true;
  pcpu.spend(vm.costs.kvm.spin);
  const choose = vm.decisions.yieldCandidate;
  if (choose !== null) {
    if (yieldToChosen(me, pcpu, choose)) return 'yield';
    endSpin(me);
    return 'resume';
  }
  if (spinHandler !== 'sleep' && search(me, pcpu, RULES[spinHandler], kernelPreferred)) {
    return 'yield';
  }
  endSpin(me);
  return spinHandler === 'sleep' ? 'doze' : 'resume';
}

/**
 * Look for a vCPU that would do better with a pCPU, round-robin from the one behind the last that
 * was helped. True if the caller's thread must give way to it.
 */
function search(me: Vcpu, pcpu: Pcpu, rules: SpinRules, kernelPreferred: boolean): boolean {
  const { vm } = me;
  const last = vm.lastBoostedVcpu;
  const skipsFirst = rules.passesZero || last > 0;
  let result: YieldResult = 'refused';
  let tries = TRIES;
  // Two passes: behind the last boosted vCPU, then up to it. A refusal for want of other threads
  // at the end of the first pass ends the search.
  for (const pass of [0, 1]) {
    if (rules.tryLimit && (result !== 'refused' || tries === 0)) break;
    for (const candidate of vm.vcpus) {
      if (pass === 0 ? candidate.index <= last && skipsFirst : candidate.index > last) continue;
      pcpu.spend(vm.costs.kvm.spinCandidate);
      if (!isCandidate(candidate, me, rules, kernelPreferred)) continue;
      me.counters.ple_yield_attempted++;
      result = vm.host.scheduler.yieldTo(pcpu, candidate.thread);
      if (result === 'yielded') {
        vm.lastBoostedVcpu = candidate.index;
        me.counters.ple_yield_successful++;
        return true;
      }
      if (rules.tryLimit && result === 'alone' && --tries === 0) break;
    }
  }
  return false;
}

/** Let a policy choose among those that wait for a pCPU. True if the caller must give way. */
function yieldToChosen(me: Vcpu, pcpu: Pcpu, choose: YieldCandidatePolicy): boolean {
  const { vm } = me;
  const waiting = vm.vcpus.filter((vcpu) => vcpu !== me && isWaiting(vcpu, RULES.ready));
  pcpu.spend(vm.vcpus.length * vm.costs.kvm.spinCandidate);
  const chosen = choose(me, waiting);
  if (chosen === null) return false;
  me.counters.ple_yield_attempted++;
  if (vm.host.scheduler.yieldTo(pcpu, chosen.thread) !== 'yielded') return false;
  vm.lastBoostedVcpu = chosen.index;
  me.counters.ple_yield_successful++;
  return true;
}

/** The vCPU is back from, or done with, its search. */
export function endSpin(me: Vcpu): void {
  me.state.inSpinLoop = false;
  me.state.dyEligible = false;
}

function isCandidate(
  candidate: Vcpu,
  me: Vcpu,
  rules: SpinRules,
  kernelPreferred: boolean,
): boolean {
  const { state } = candidate;
  if (candidate === me || !isWaiting(candidate, rules)) return false;
  if (rules.inKernel && state.preempted && kernelPreferred && !state.preemptedInKernel) {
    return false;
  }
  return !rules.eligibility || isEligible(candidate);
}

function isWaiting(candidate: Vcpu, rules: SpinRules): boolean {
  const { state } = candidate;
  switch (rules.candidates) {
    case 'notInGuest':
      return !candidate.isBlocked && !candidate.isInGuest;
    case 'preempted':
      return state.preempted && !candidate.isBlocked;
    case 'ready':
      return state.ready && (!candidate.isBlocked || candidate.isDirectedYieldRunnable);
  }
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
