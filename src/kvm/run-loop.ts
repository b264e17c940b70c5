// KVM_RUN: the thread of a vCPU between user space, the run loop, the guest and sleep. It is a
// state machine, not a call stack, so that a machine can be saved at any moment. Linux
// arch/x86/kvm/x86.c, vcpu_run, vcpu_enter_guest, vcpu_block.

import Long from 'long';
import type { BodyOutcome, Pcpu, ThreadBody } from '../host/index.ts';
import { Gpr } from '../isa/index.ts';
import type { Relay } from '../sim/index.ts';
import {
  ENTRY_FAILURE,
  type EntryExplanation,
  type EntryOutcome,
  Exit,
  exitReasonName,
  explainEntry,
  fieldIndex,
  type RunOutcome,
} from '../vmx/index.ts';
import { acceptApicEvents } from './apic-events.ts';
import { endSpin } from './directed-yield.ts';
import { emulateRepeatedly } from './emulate.ts';
import { tracePort } from './emulation-surroundings.ts';
import { takeDebugRegisters } from './exits/dr-access.ts';
import type { HandlerResult } from './exits/handler.ts';
import { setPleWindow } from './exits/pause-instruction.ts';
import { updateTprThreshold } from './flexpriority.ts';
import { readGuestBytes } from './guest-memory.ts';
import { halt, poll, wokenUp } from './halt.ts';
import { finishHypercall } from './hypercall-exit.ts';
import { completeInterruptedEvent, injectEvents } from './inject.ts';
import { deliveryLoss, emulationFailure, unexpectedExit } from './internal-error.ts';
import { KVM_EXIT_NUMBERS, type KvmExit } from './kvm-exit.ts';
import { finishMsr } from './msr-exits.ts';
import { defersPreemption, endGrant } from './preempt-grant.ts';
import { updateClock } from './pv-clock.ts';
import { offerPvEoi, takePvEoi } from './pv-eoi.ts';
import { countReturn } from './statistics.ts';
import { markPreempted, recordStealTime, requestStealUpdate } from './steal-time.ts';
import { requestedExit } from './user-control.ts';
import type { Vcpu } from './vcpu.ts';

const F = {
  EXIT_REASON: fieldIndex('VM_EXIT_REASON'),
  QUALIFICATION: fieldIndex('EXIT_QUALIFICATION'),
  INTR_INFO: fieldIndex('VM_EXIT_INTR_INFO'),
  ERROR_CODE: fieldIndex('VM_EXIT_INTR_ERROR_CODE'),
  IDT_INFO: fieldIndex('IDT_VECTORING_INFO_FIELD'),
  PLE_WINDOW: fieldIndex('PLE_WINDOW'),
  RIP: fieldIndex('GUEST_RIP'),
  TIMER_VALUE: fieldIndex('VMX_PREEMPTION_TIMER_VALUE'),
} as const;

/** MSRs whose writes KVM handles with interrupts off, right after the exit. */
const FAST_PATH_MSRS = [0x6e0, 0x830];

/** So long a spinner sleeps before there was directed yield. */
const DOZE_NS = 100_000;

/** Name of the handler of the timer that ends a spinner's sleep. */
export function dozeTimerHandler(vcpu: Vcpu): string {
  return `kvm-spin-${vcpu.vm.id}-${vcpu.index}`;
}

export class VcpuThread implements ThreadBody {
  private readonly vcpu: Vcpu;

  constructor(vcpu: Vcpu) {
    this.vcpu = vcpu;
  }

  run(pcpu: Pcpu): BodyOutcome {
    const { state, vm } = this.vcpu;
    if (vm.isShutDown) {
      state.phase = 'ended';
      return 'exit';
    }
    for (;;) {
      const outcome = this.advance(pcpu);
      if (outcome !== null) return outcome;
      // What user space has to look at is not part of a saved state, so it does so at once.
      if (state.phase === 'userSpace') continue;
      // No turn ends between an exit and its handler.
      if (state.phase === 'exited' ? pcpu.mustPause : !pcpu.mayGoOn()) return 'limit';
    }
  }

  get isMidway(): boolean {
    return this.vcpu.state.phase === 'exited';
  }

  /** One step of the state machine; null to go on with the next. */
  private advance(pcpu: Pcpu): BodyOutcome | null {
    const { state } = this.vcpu;
    switch (state.phase) {
      case 'loop':
        return this.loop(pcpu);
      case 'guest':
        return this.guest(pcpu);
      case 'exited':
        return this.handle(pcpu);
      case 'yielded':
        if (state.inSpinLoop) endSpin(this.vcpu);
        state.phase = 'loop';
        return null;
      case 'preempted':
        return this.handleExit(pcpu);
      case 'polling':
        return poll(this.vcpu, pcpu);
      case 'blocked':
        return wokenUp(this.vcpu, pcpu);
      case 'dozing':
        return this.awake();
      case 'userSpace':
        return this.userSpace(pcpu);
      case 'outside':
        return this.outside(pcpu);
      case 'ended':
        return 'exit';
    }
  }

  /** The top of the run loop: sleep, make way, or enter the guest. */
  private loop(pcpu: Pcpu): BodyOutcome | null {
    const { vcpu } = this;
    const { state, timer } = vcpu;
    if (state.notImplemented !== null) {
      this.leaveTo(emulationFailure(vcpu, state.notImplemented));
      return null;
    }
    timer.injectPending(pcpu);
    if (vcpu.hasApicEvents) acceptApicEvents(vcpu, pcpu);
    if (state.mpState !== 'runnable') {
      if (!vcpu.isRunnable) {
        const exit = requestedExit(vcpu);
        if (exit === null) return halt(vcpu, pcpu);
        this.leaveTo(exit);
        return null;
      }
      state.pvUnhalted = false;
      state.mpState = 'runnable';
    }
    if (!pcpu.needResched) endGrant(vcpu);
    else if (!defersPreemption(vcpu, pcpu)) {
      const { entryResched } = pcpu.host.parameters;
      return entryResched === 'cond_resched' || isPreempted(pcpu) ? 'preempt' : 'resched';
    }
    this.enter(pcpu);
    return null;
  }

  private enter(pcpu: Pcpu): void {
    const { vcpu } = this;
    const { virtual, state } = vcpu;
    const { vmcs } = virtual;
    if (state.pv.stealRequested) recordStealTime(vcpu, pcpu);
    if (state.eventRequested && !this.lookAtEvents(pcpu)) return;
    pcpu.spend(vcpu.vm.costs.kvm.entryPath);
    vmcs.set32(F.PLE_WINDOW, state.pleWindow);
    vmcs.set32(F.TIMER_VALUE, vcpu.timer.timerFieldAt(pcpu.state.now));
    if (pcpu.traced) traceEntry(vcpu, pcpu);
    vcpu.exits.close(pcpu.state.now);
    vcpu.timer.waitForExpiry(pcpu);
    const outcome = virtual.enter(pcpu.state.now, !vmcs.launched);
    if (outcome.kind !== 'entered') {
      this.notEntered(pcpu, outcome);
      return;
    }
    pcpu.advanceTo(virtual.processor.clock, 'host');
    state.phase = 'guest';
    state.guestStateLoaded = true;
  }

  /** False if user space wants the vCPU instead of its next entry. */
  private lookAtEvents(pcpu: Pcpu): boolean {
    const { vcpu } = this;
    const exit = requestedExit(vcpu);
    if (exit !== null) {
      this.leaveTo(exit);
      return false;
    }
    vcpu.state.eventRequested = false;
    vcpu.counters.req_event++;
    injectEvents(vcpu, pcpu);
    updateTprThreshold(vcpu);
    offerPvEoi(vcpu);
    vcpu.vm.disturbance?.beforeEntry(vcpu, pcpu);
    return true;
  }

  private notEntered(pcpu: Pcpu, outcome: EntryOutcome): void {
    if (outcome.kind === 'entryFailure') this.account(pcpu, outcome.reason, true);
    const why = explainEntry(this.vcpu.virtual.vmcs, outcome) as EntryExplanation;
    this.leaveTo({ reason: 'FAIL_ENTRY', hardwareReason: hardwareReasonOf(why), why });
  }

  private guest(pcpu: Pcpu): BodyOutcome | null {
    const { vcpu } = this;
    const { virtual } = vcpu;
    virtual.interruptPending = pcpu.interruptPending;
    const outcome = virtual.run(pcpu.limit, pcpu.maySkip);
    const { clock } = virtual.processor;
    this.look(pcpu);
    if (outcome.kind === 'exit') {
      pcpu.advanceTo(clock - vcpu.vm.costs.vmx.exit, 'guest');
      pcpu.advanceTo(clock, 'host');
      this.exited(pcpu);
      return null;
    }
    pcpu.advanceTo(clock, outcome.kind === 'abort' ? 'host' : 'guest');
    if (outcome.kind === 'limit') return null;
    if (outcome.kind === 'quiet') {
      // The last instruction of a turn goes past its end; where the run pauses, it is executed.
      pcpu.quietUntil = Math.min(outcome.until, pcpu.pauseTime - outcome.step);
      return 'quiet';
    }
    this.leaveTo(this.whyStopped(outcome));
    return null;
  }

  /** The guest cannot go on. */
  private whyStopped(outcome: Extract<RunOutcome, { kind: 'notImplemented' | 'abort' }>): KvmExit {
    const { vcpu } = this;
    if (outcome.kind === 'notImplemented') {
      return emulationFailure(vcpu, this.describe(outcome.what));
    }
    return unexpectedExit(vcpu, `VMX abort, indicator ${outcome.indicator}`);
  }

  private describe(what: string): string {
    const { vcpu } = this;
    const bytes = readGuestBytes(vcpu, vcpu.linearRip, 15) ?? new Uint8Array();
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    return `${what}, ${vcpu.place}, bytes ${hex}`;
  }

  /** A VM exit: account for it. */
  private exited(pcpu: Pcpu): void {
    const { vcpu } = this;
    vcpu.state.phase = 'exited';
    this.account(pcpu, vcpu.virtual.vmcs.get32(F.EXIT_REASON) & 0xffff, false);
  }

  /** Let the host have its interrupts, and handle the exit. */
  private handle(pcpu: Pcpu): BodyOutcome | null {
    const { vcpu } = this;
    const { virtual } = vcpu;
    const reason = virtual.vmcs.get32(F.EXIT_REASON) & 0xffff;
    vcpu.state.phase = 'loop';
    vcpu.state.atInstructionBoundary = reason === Exit.EXTERNAL_INTERRUPT;
    if (pcpu.interruptPending) pcpu.handleInterrupts();
    virtual.interruptPending = false;
    takeDebugRegisters(vcpu);
    if (isPreempted(pcpu) && !defersPreemption(vcpu, pcpu)) {
      vcpu.state.phase = 'preempted';
      return 'preempt';
    }
    return this.handleExit(pcpu);
  }

  /** The second half, in which the kernel may be preempted before. */
  private handleExit(pcpu: Pcpu): BodyOutcome | null {
    const { vcpu } = this;
    const reason = vcpu.virtual.vmcs.get32(F.EXIT_REASON) & 0xffff;
    vcpu.state.phase = 'loop';
    if (vcpu.state.pv.eoiOffered) takePvEoi(vcpu, pcpu);
    const endsDelivery = vcpu.virtual.vmcs.get32(F.IDT_INFO) < 0;
    if (endsDelivery) completeInterruptedEvent(vcpu);
    const { kvm } = vcpu.vm.costs;
    pcpu.spend(this.isFast(reason) ? kvm.fastPath : kvm.exitPath);
    if (endsDelivery && this.leaveForLoss(reason)) return null;
    const handler = vcpu.vm.handlers[reason];
    if (handler === undefined) {
      this.leaveTo(unhandledExit(vcpu, reason));
      return null;
    }
    const result = handler(vcpu, pcpu);
    return result === 'resume' ? null : this.continueAs(result, pcpu);
  }

  /** True if the event whose delivery the exit has ended cannot be delivered again. */
  private leaveForLoss(reason: number): boolean {
    const loss = deliveryLoss(this.vcpu, reason);
    if (loss !== null) this.leaveTo(loss);
    return loss !== null;
  }

  /**
   * Count and trace an exit. Of an entry that failed behind its first checks there is one, too; it
   * says nothing of events (Linux vmx_vcpu_run, vmx_get_exit_info).
   */
  private account(pcpu: Pcpu, reason: number, entryFailed: boolean): void {
    const { vcpu } = this;
    vcpu.counters.exits++;
    const { vmcs } = vcpu.virtual;
    vcpu.exits.open(
      pcpu.state.now,
      reason,
      vmcs.get32(F.RIP),
      vmcs.getHigh(F.RIP),
      vmcs.get32(F.QUALIFICATION),
      vmcs.getHigh(F.QUALIFICATION),
    );
    if (pcpu.traced) traceExit(vcpu, pcpu, reason, entryFailed);
  }

  private isFast(reason: number): boolean {
    if (!this.vcpu.vm.parameters.fastpath) return false;
    return reason === Exit.MSR_WRITE ? this.writesFastMsr() : reason === Exit.PREEMPTION_TIMER;
  }

  private writesFastMsr(): boolean {
    const index = this.vcpu.virtual.processor.state.get64(2 * Gpr.RCX).low;
    return FAST_PATH_MSRS.includes(index);
  }

  private continueAs(result: Exclude<HandlerResult, 'resume'>, pcpu: Pcpu): BodyOutcome | null {
    if (result === 'yield') {
      this.vcpu.state.phase = 'yielded';
      return 'yield';
    }
    if (result === 'doze') return this.doze(pcpu);
    this.leaveTo(result);
    return null;
  }

  /** Sleep for a while, or until somebody wakes the vCPU. */
  private doze(pcpu: Pcpu): BodyOutcome {
    const { vcpu } = this;
    const { timers, frequency } = pcpu.host;
    const expires = pcpu.now + frequency.toCycles(DOZE_NS);
    vcpu.state.dozeTimer = timers.start(dozeTimerHandler(vcpu), expires, pcpu);
    vcpu.state.phase = 'dozing';
    return 'block';
  }

  private awake(): null {
    const { state, vm } = this.vcpu;
    vm.host.timers.cancel(state.dozeTimer);
    state.dozeTimer = 0;
    state.phase = 'loop';
    return null;
  }

  private leaveTo(exit: KvmExit): void {
    this.vcpu.userExit = exit;
    this.vcpu.state.phase = 'userSpace';
  }

  /** KVM_RUN returns, user space looks, and calls it again. */
  private userSpace(pcpu: Pcpu): BodyOutcome | null {
    const { vcpu } = this;
    const exit = vcpu.userExit as KvmExit;
    if (pcpu.traced) {
      pcpu.trace('kvm_userspace_exit', {
        reason: exit.reason,
        number: KVM_EXIT_NUMBERS[exit.reason],
      });
    }
    countReturn(vcpu.counters, exit);
    this.unloadGuestState();
    pcpu.spend(vcpu.vm.costs.kvm.userSpace);
    switch (vcpu.vm.userSpace.handleExit(vcpu, exit)) {
      case 'stop':
        vcpu.exits.close(pcpu.now);
        vcpu.state.phase = 'ended';
        return 'exit';
      case 'wait':
        this.settleOutput();
        vcpu.state.phase = 'outside';
        return 'block';
      case 'run':
        this.comeBack(pcpu);
        return null;
    }
  }

  /** Who looks at the guest from outside sees it behind an OUT; the trap of a step is lost. */
  private settleOutput(): void {
    const { vcpu } = this;
    if (vcpu.state.completion !== 'out') return;
    vcpu.state.completion = 'none';
    vcpu.advance();
  }

  /** Until KVM_RUN is called again; whatever else wakes the thread does not count. */
  private outside(pcpu: Pcpu): BodyOutcome | null {
    const { user } = this.vcpu;
    if (user === null || !user.runRequested) return 'block';
    user.runRequested = false;
    this.comeBack(pcpu);
    return null;
  }

  private comeBack(pcpu: Pcpu): void {
    const { vcpu } = this;
    const exit = vcpu.userExit;
    vcpu.userExit = null;
    vcpu.state.phase = 'loop';
    vcpu.state.atInstructionBoundary = false;
    requestStealUpdate(vcpu);
    const next = vcpu.furtherExits.shift();
    if (next !== undefined) this.leaveTo(next);
    else if (exit !== null) this.complete(pcpu, exit);
  }

  /** What an access was waiting for has happened: finish the instruction. */
  private complete(pcpu: Pcpu, exit: KvmExit): void {
    const { vcpu } = this;
    const { completion } = vcpu.state;
    vcpu.state.completion = 'none';
    if (completion === 'out') vcpu.skipInstruction();
    else if (completion === 'in' && exit.reason === 'IO') {
      vcpu.setAccumulator(exit.sizeBytes, exit.data);
      tracePort(pcpu, false, exit.port, exit.sizeBytes, exit.data);
      vcpu.skipInstruction();
    } else if (completion === 'emulate' && (exit.reason === 'MMIO' || exit.reason === 'IO')) {
      const data = exit.reason === 'MMIO' ? exit.data : Long.fromNumber(exit.data);
      vcpu.state.answers.push({ low: data.low, high: data.high });
      if (exit.reason === 'IO') vcpu.user?.readAhead.push(...(exit.ahead ?? []));
      const next = emulateRepeatedly(vcpu, pcpu);
      if (next !== null) this.leaveTo(next);
    } else if (exit.reason === 'HYPERCALL') finishHypercall(vcpu, exit.ret);
    else if (exit.reason === 'X86_RDMSR' || exit.reason === 'X86_WRMSR') finishMsr(vcpu, exit);
  }

  look(pcpu: Pcpu): void {
    pcpu.boundary = Math.max(pcpu.boundary, this.vcpu.virtual.processor.begun);
  }

  hurry(limit: number): void {
    this.vcpu.virtual.hurry(limit);
  }

  interrupted(pcpu: Pcpu): boolean {
    const { vcpu } = this;
    if (!vcpu.isInGuest) return false;
    vcpu.virtual.interruptPending = pcpu.interruptPending;
    return true;
  }

  get relay(): Relay | null {
    return this.vcpu.vm.compiler?.relay ?? null;
  }

  joinRelay(pcpu: Pcpu, base: number, place: number): boolean {
    const { vm, virtual, state } = this.vcpu;
    if (state.phase !== 'guest' || pcpu.interruptPending || vm.isShutDown) return false;
    return virtual.joinRelay(base, pcpu.maySkip, place, pcpu.index);
  }

  leaveRelay(pcpu: Pcpu, base: number, isStopped: boolean): void {
    const { virtual } = this.vcpu;
    virtual.leaveRelay(base, isStopped);
    pcpu.advanceTo(virtual.processor.clock, 'guest');
  }

  schedIn(pcpu: Pcpu): void {
    const { vcpu } = this;
    const { state } = vcpu;
    state.preempted = false;
    state.ready = false;
    setPleWindow(vcpu, false, pcpu);
    requestStealUpdate(vcpu);
    if (state.cpu !== pcpu.index) {
      vcpu.counters.tlb_flush++;
      if (state.cpu >= 0) vcpu.timer.migrate(pcpu);
      state.cpu = pcpu.index;
      if (vcpu.vm.runsOldClock) updateClock(vcpu, pcpu);
    }
  }

  schedOut(_pcpu: Pcpu, runnable: boolean): void {
    const { vcpu } = this;
    endGrant(vcpu);
    this.unloadGuestState();
    if (runnable) {
      vcpu.state.preempted = true;
      vcpu.state.ready = true;
      vcpu.state.preemptedInKernel = vcpu.cpl === 0;
      markPreempted(vcpu);
    } else if (vcpu.vm.isStuck(vcpu)) vcpu.vm.userSpace.allBlocked(vcpu.vm);
  }

  /** Linux arch/x86/kvm/vmx/vmx.c, vmx_prepare_switch_to_host. */
  private unloadGuestState(): void {
    const { state, counters } = this.vcpu;
    if (state.guestStateLoaded) counters.host_state_reload++;
    state.guestStateLoaded = false;
  }
}

/** A VM-instruction error, or an exit reason with bit 31. */
function hardwareReasonOf({ report }: EntryExplanation): number {
  if (report.kind === 'entryFailure') return (report.reason | ENTRY_FAILURE) >>> 0;
  return report.kind === 'VMfailValid' ? report.error : 0;
}

/** A kernel with full preemption does not wait for a place at which it calls the scheduler. */
function isPreempted({ needResched, host }: Pcpu): boolean {
  return needResched && host.parameters.preemption === 'full';
}

// Made rarely, and apart from what is executed at every exit: V8 puts small functions into others.

function unhandledExit(vcpu: Vcpu, reason: number): KvmExit {
  const message = `no handler for VM exit ${exitReasonName(reason)} (${reason})`;
  return unexpectedExit(vcpu, message);
}

function traceEntry(vcpu: Vcpu, pcpu: Pcpu): void {
  pcpu.trace('kvm_entry', { vcpu: vcpu.index, rip: vcpu.rip, immediateExit: false });
}

function traceExit(vcpu: Vcpu, pcpu: Pcpu, reason: number, entryFailed: boolean): void {
  const { vmcs } = vcpu.virtual;
  pcpu.trace('kvm_exit', {
    vcpu: vcpu.index,
    reason: exitReasonName(reason),
    rip: vcpu.rip,
    info1: vmcs.get64(F.QUALIFICATION),
    info2: entryFailed ? Long.UZERO : Long.fromInt(vmcs.get32(F.IDT_INFO), true),
    intrInfo: entryFailed ? 0 : vmcs.get32(F.INTR_INFO),
    errorCode: entryFailed ? 0 : vmcs.get32(F.ERROR_CODE),
    entryFailed,
  });
}
