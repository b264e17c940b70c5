// The local APIC's timer: one-shot, periodic and TSC-deadline, on the VMX-preemption timer while
// the vCPU runs and on a host timer while it sleeps. Linux arch/x86/kvm/lapic.c
// (restart_apic_timer, start_hv_timer, start_sw_timer) and vmx.c (vmx_set_hv_timer,
// vmx_update_hv_timer).

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { ApicRegister } from '../trace/index.ts';
import { scaleTimeStamp, unscaleCycles } from '../vmx/index.ts';
import { deliver } from './apic-ipi.ts';
import { LVT_MASKED } from './lapic.ts';
import { usesPreemptionTimer } from './parameters.ts';
import type { Vcpu } from './vcpu.ts';

/** Name of the host timer's handler. */
export function lapicTimerHandler(vcpu: Vcpu): string {
  return `kvm-lapic-${vcpu.vm.id}-${vcpu.index}`;
}

/** One undivided tick of the APIC bus clock, 1 GHz in KVM whatever the TSC does. */
const BUS_TICK_NS = 1;

/**
 * How far the timer fires early if KVM finds out by itself: at first and at most, in ns, what is
 * too little or too much of an error to learn from, in cycles of the guest's TSC, and the part of
 * it that is learnt. Linux arch/x86/kvm/lapic.c, LAPIC_TIMER_ADVANCE_*.
 */
const Advance = { INITIAL: 1000, MAX: 5000, LEAST: 100, MOST: 10_000, PART: 8 } as const;

/** The timer field is 32 bits wide. */
const MAX_TIMER_TICKS = 2 ** 32;

export type TimerMode = 'oneShot' | 'periodic' | 'tscDeadline' | 'reserved';

const MODES: readonly TimerMode[] = ['oneShot', 'periodic', 'tscDeadline', 'reserved'];

/** Plain data, saved and hashed with its vCPU. */
export interface LapicTimerState {
  /** Guest TSC of the next expiry, as two words; both 0 while disarmed. */
  deadlineLow: number;
  deadlineHigh: number;
  /** One-shot and periodic: host time of the next expiry, and the period, in ns. */
  targetNs: number;
  periodNs: number;
  /** Ns by which it fires early. */
  advanceNs: number;
  /** Guest TSC at which it should have fired last, until an entry has waited for it; else 0. */
  expiredLow: number;
  expiredHigh: number;
  /** Expired, not injected yet. */
  pending: boolean;
  /** Host TSC at which the VMX-preemption timer is to fire, or null while it is not used. */
  hvDeadline: number | null;
  /** Id of the host timer, or 0. */
  hostTimer: number;
}

export class LapicTimer {
  private readonly vcpu: Vcpu;
  /** Cycles in which the VMX-preemption timer counts once. */
  private readonly timerTick: number;
  state: LapicTimerState = {
    deadlineLow: 0,
    deadlineHigh: 0,
    targetNs: 0,
    periodNs: 0,
    advanceNs: 0,
    expiredLow: 0,
    expiredHigh: 0,
    pending: false,
    hvDeadline: null,
    hostTimer: 0,
  };

  constructor(vcpu: Vcpu) {
    this.vcpu = vcpu;
    this.timerTick = 2 ** vcpu.virtual.timerRateShift;
    const { lapicTimerAdvanceNs: ns } = vcpu.vm.parameters;
    this.state.advanceNs = ns < 0 ? Advance.INITIAL : ns;
  }

  get mode(): TimerMode {
    return MODES[(this.vcpu.lapic.lvt(ApicRegister.LVTT) >> 17) & 3];
  }

  /** True if the timer will fire some time, or an expiry waits that is not masked. */
  get isArmed(): boolean {
    return this.state.hvDeadline !== null || this.state.hostTimer !== 0 || this.hasPending;
  }

  /** True if an expiry waits that would become an interrupt now (apic_has_pending_timer). */
  get hasPending(): boolean {
    const { lapic } = this.vcpu;
    const unmasked = (lapic.lvt(ApicRegister.LVTT) & LVT_MASKED) === 0;
    return this.state.pending && lapic.isEnabled && unmasked;
  }

  /** Guest TSC of the deadline; zero while disarmed. */
  get deadline(): Long {
    return Long.fromBits(this.state.deadlineLow, this.state.deadlineHigh);
  }

  private setDeadline(deadline: Long): void {
    this.state.deadlineLow = deadline.low;
    this.state.deadlineHigh = deadline.high;
  }

  /** The LVT timer register was written: leaving or entering deadline mode disarms. */
  lvtWritten(old: number, pcpu: Pcpu): void {
    const oldMode = MODES[(old >> 17) & 3];
    if (oldMode === this.mode) return;
    if (oldMode !== 'tscDeadline' && this.mode !== 'tscDeadline') return;
    this.stop(pcpu);
    this.vcpu.lapic.state.initialCount = 0;
  }

  /** RDMSR of IA32_TSC_DEADLINE. */
  readDeadline(): Long {
    return this.mode === 'tscDeadline' ? this.deadline : Long.ZERO;
  }

  /** WRMSR of IA32_TSC_DEADLINE: ignored outside deadline mode; 0 disarms. */
  writeDeadline(value: Long, pcpu: Pcpu): void {
    if (this.mode !== 'tscDeadline') return;
    this.stop(pcpu);
    this.setDeadline(value);
    if (!value.isZero()) this.start(pcpu);
  }

  /** The initial count was written: ignored in deadline mode; 0 stops. */
  writeInitialCount(count: number, pcpu: Pcpu): void {
    if (this.mode === 'tscDeadline') return;
    this.stop(pcpu);
    this.vcpu.lapic.state.initialCount = count;
    if (count === 0) return;
    this.setPeriod();
    this.aim(pcpu, pcpu.nowNs + this.state.periodNs);
    this.start(pcpu);
  }

  private setPeriod(): void {
    const count = this.vcpu.lapic.state.initialCount >>> 0;
    const periodNs = count * this.divider * BUS_TICK_NS;
    const leastNs = 1000 * this.vcpu.vm.parameters.minTimerPeriodUs;
    this.state.periodNs = this.mode === 'periodic' ? Math.max(periodNs, leastNs) : periodNs;
  }

  /** The divide configuration was written: what is left of the count goes on at the new rate. */
  writeDivideConfiguration(value: number, pcpu: Pcpu): void {
    const old = this.divider;
    this.vcpu.lapic.state.divideConfiguration = value & 0xb;
    const { divider, state } = this;
    if (divider === old || state.periodNs === 0 || this.deadline.isZero()) return;
    const leftNs = Math.max(0, state.targetNs - pcpu.nowNs);
    this.setPeriod();
    this.aim(pcpu, pcpu.nowNs + Math.floor((leftNs * divider) / old));
    this.cancelHardware(pcpu);
    this.cancelHost();
    this.start(pcpu);
  }

  /** The guest's TSC has moved by `delta`: a deadline stays where it is, an expiry when it is. */
  tscMoved(delta: Long, pcpu: Pcpu): void {
    if (this.deadline.isZero() || this.state.pending) return;
    if (this.mode !== 'tscDeadline') {
      this.setDeadline(this.deadline.add(delta));
      return;
    }
    this.cancelHardware(pcpu);
    this.cancelHost();
    this.start(pcpu);
  }

  /** What is left of the count. */
  currentCount(pcpu: Pcpu): number {
    if (this.mode === 'tscDeadline' || this.state.periodNs === 0 || this.deadline.isZero())
      return 0;
    const left = Math.max(0, this.state.targetNs - pcpu.nowNs) % this.state.periodNs;
    return Math.floor(left / (this.divider * BUS_TICK_NS));
  }

  /** SDM 3, "Divide Configuration Register": bits 3, 1 and 0. */
  private get divider(): number {
    const bits = this.vcpu.lapic.state.divideConfiguration;
    const code = (bits & 3) | ((bits & 8) >> 1);
    return code === 7 ? 1 : 2 << code;
  }

  /** Set target and deadline for an expiry at a host time. */
  private aim(pcpu: Pcpu, targetNs: number): void {
    this.state.targetNs = targetNs;
    const cycles = pcpu.host.frequency.firstCycleAt(targetNs);
    const ahead = Long.fromNumber(Math.max(0, cycles - pcpu.now));
    const { tscMultiplier } = this.vcpu.vm;
    this.setDeadline(this.vcpu.guestTsc(pcpu.now).add(scaleTimeStamp(ahead, tscMultiplier)));
  }

  /** The local APIC is reset: the timer stops, whatever its mode. */
  reset(pcpu: Pcpu): void {
    this.stop(pcpu);
  }

  /** Forget the timer entirely. */
  private stop(pcpu: Pcpu): void {
    this.cancelHardware(pcpu);
    this.cancelHost();
    this.setDeadline(Long.ZERO);
    this.state.targetNs = 0;
    this.state.periodNs = 0;
    this.state.expiredLow = 0;
    this.state.expiredHigh = 0;
    this.state.pending = false;
  }

  /** Arm on the preemption timer if it can be used, else on a host timer. */
  private start(pcpu: Pcpu): void {
    if (!this.startHardware(pcpu)) this.startHost(pcpu);
  }

  private startHardware(pcpu: Pcpu): boolean {
    if (!this.mayUseHardware || this.deadline.isZero()) return false;
    const cycles = this.cyclesLeft(pcpu, this.state.advanceNs);
    if (cycles / this.timerTick >= MAX_TIMER_TICKS) return false;
    this.cancelHost();
    // A periodic timer that is late runs all the same: its exit finds out when it is due again.
    if (cycles === 0 && this.mode !== 'periodic') {
      this.noteExpiry();
      this.expire(pcpu, false);
      this.traceUse(pcpu, false);
      return true;
    }
    this.state.hvDeadline = pcpu.now + cycles;
    this.traceUse(pcpu, true);
    return true;
  }

  private get mayUseHardware(): boolean {
    const { parameters } = this.vcpu.vm;
    if (!usesPreemptionTimer(parameters)) return false;
    return parameters.hvTimer === 'all' || this.mode === 'tscDeadline';
  }

  private startHost(pcpu: Pcpu): void {
    this.state.hvDeadline = null;
    // Only a deadline is anticipated: the others are kept in host time.
    const advanceNs = this.mode === 'tscDeadline' ? this.state.advanceNs : 0;
    const isDue = this.cyclesLeft(pcpu, advanceNs) === 0;
    const isPeriodic = this.mode === 'periodic';
    if (isDue) {
      if (this.mode === 'tscDeadline') this.noteExpiry();
      this.expire(pcpu, false);
    }
    if (isDue && isPeriodic) this.advance(pcpu);
    if (!isDue || isPeriodic) {
      const { timers } = pcpu.host;
      const expires = pcpu.now + this.cyclesLeft(pcpu, advanceNs);
      this.state.hostTimer = timers.start(lapicTimerHandler(this.vcpu), expires, pcpu);
    }
    this.traceUse(pcpu, false);
  }

  private traceUse(pcpu: Pcpu, inUse: boolean): void {
    if (pcpu.traced) pcpu.trace('kvm_hv_timer_state', { vcpu: this.vcpu.index, inUse });
  }

  /**
   * Host cycles until `advanceNs` before the deadline, 0 if that has passed. A number beyond all
   * bounds may be any.
   */
  private cyclesLeft(pcpu: Pcpu, advanceNs: number): number {
    const now = this.vcpu.guestTsc(pcpu.now).toUnsigned();
    const lateness = this.vcpu.vm.disturbance?.timerLateness(this.vcpu, this.deadline, pcpu) ?? 0;
    const deadline = this.deadline.toUnsigned().add(lateness);
    if (deadline.lte(now)) return 0;
    const left = deadline.sub(now);
    const advance = this.guestCycles(advanceNs);
    if (left.lte(advance)) return 0;
    const cycles = unscaleCycles(left.sub(advance), this.vcpu.vm.tscMultiplier);
    return Math.min(cycles, Number.MAX_SAFE_INTEGER / 2);
  }

  /** Cycles of the guest's TSC in a time. */
  private guestCycles(ns: number): number {
    return Math.floor((ns * this.vcpu.vm.tscKhz) / 1e6);
  }

  /** The deadline that has passed is to be waited for at the next entry. */
  private noteExpiry(): void {
    this.state.expiredLow = this.state.deadlineLow;
    this.state.expiredHigh = this.state.deadlineHigh;
  }

  /**
   * At an entry: if the timer's interrupt goes into the guest early, wait, and learn from how early
   * or late it is (kvm_wait_lapic_expire).
   */
  waitForExpiry(pcpu: Pcpu): void {
    if ((this.state.expiredLow | this.state.expiredHigh) !== 0) this.waitForDeadline(pcpu);
  }

  private waitForDeadline(pcpu: Pcpu): void {
    const { state, vcpu } = this;
    if (vcpu.vm.parameters.lapicTimerAdvanceNs === 0) return;
    const vector = vcpu.lapic.lvt(ApicRegister.LVTT) & 0xff;
    if (!vcpu.lapic.isPresent || !vcpu.lapic.isInService(vector)) return;
    const delta = vcpu.guestTsc(pcpu.now).sub(Long.fromBits(state.expiredLow, state.expiredHigh));
    state.expiredLow = 0;
    state.expiredHigh = 0;
    if (pcpu.traced) pcpu.trace('kvm_wait_lapic_expire', { vcpu: vcpu.index, delta });
    const cycles = delta.toSigned().toNumber();
    if (vcpu.vm.parameters.lapicTimerAdvanceNs < 0) this.learn(cycles);
    if (cycles >= 0) return;
    const wait = Math.min(-cycles, this.guestCycles(state.advanceNs));
    pcpu.spend(Math.floor(unscaleCycles(Long.fromNumber(wait), vcpu.vm.tscMultiplier)));
  }

  /** Cycles of the guest's TSC that an entry was late, or early if negative. */
  private learn(cycles: number): void {
    const { state } = this;
    const error = Math.abs(cycles);
    if (error < Advance.LEAST || error > Advance.MOST) return;
    const part = Math.floor(Math.floor((error * 1e6) / this.vcpu.vm.tscKhz) / Advance.PART);
    const next = state.advanceNs + (cycles < 0 ? -part : part);
    state.advanceNs = next < 0 || next > Advance.MAX ? Advance.INITIAL : next;
  }

  private cancelHardware(pcpu: Pcpu): void {
    if (this.state.hvDeadline === null) return;
    this.state.hvDeadline = null;
    this.traceUse(pcpu, false);
  }

  private cancelHost(): void {
    if (this.state.hostTimer === 0) return;
    this.vcpu.vm.host.timers.cancel(this.state.hostTimer);
    this.state.hostTimer = 0;
  }

  /** The value for the VMX-preemption timer field at an entry at time `now`. */
  timerFieldAt(now: number): number {
    const { hvDeadline } = this.state;
    if (hvDeadline === null) return SOFT_DISABLED;
    return Math.floor(Math.max(0, hvDeadline - now) / this.timerTick);
  }

  /** Before the vCPU blocks: the preemption timer does not count then. */
  switchToHost(pcpu: Pcpu): void {
    if (this.state.hvDeadline === null) return;
    this.startHost(pcpu);
  }

  /** After the vCPU has blocked: back to the preemption timer, if it is still running. */
  switchToHardware(pcpu: Pcpu): void {
    if (this.state.hostTimer !== 0) this.startHardware(pcpu);
  }

  /** The vCPU runs on another pCPU now: its timer follows it. */
  migrate(pcpu: Pcpu): void {
    if (this.state.hvDeadline !== null) {
      // The deadline is in the other pCPU's TSC.
      this.start(pcpu);
      return;
    }
    if (this.state.hostTimer === 0) return;
    this.cancelHost();
    this.startHost(pcpu);
  }

  /** The VMX-preemption timer or the host timer has fired. */
  fired(pcpu: Pcpu, from: 'preemptionTimer' | 'hostTimer'): void {
    if (from === 'preemptionTimer' || this.mode === 'tscDeadline') this.noteExpiry();
    if (from === 'hostTimer') this.state.hostTimer = 0;
    else this.cancelHardware(pcpu);
    this.expire(pcpu, from === 'hostTimer');
    if (this.mode !== 'periodic') return;
    this.advance(pcpu);
    // Whoever sleeps goes on to do so on the host timer.
    if (from === 'hostTimer') this.startHost(pcpu);
    else this.start(pcpu);
  }

  /** To the next period; missed ones are dropped, not made up for. */
  private advance(pcpu: Pcpu): void {
    const { targetNs, periodNs } = this.state;
    this.aim(pcpu, Math.max(targetNs + periodNs, pcpu.nowNs));
  }

  private expire(pcpu: Pcpu, fromHostTimer: boolean): void {
    if (this.state.pending) return;
    this.state.pending = true;
    if (fromHostTimer) this.vcpu.kick(pcpu);
  }

  /**
   * Turn an expiry into an interrupt request; a masked one is lost. lapic.c,
   * kvm_inject_apic_timer_irqs.
   */
  injectPending(pcpu: Pcpu): void {
    if (this.state.pending) this.injectExpired(pcpu);
  }

  private injectExpired(pcpu: Pcpu): void {
    const { state, vcpu } = this;
    if (this.hasPending) {
      const vector = vcpu.lapic.lvt(ApicRegister.LVTT) & 0xff;
      deliver(vcpu, { vector, mode: 'Fixed', levelTriggered: false, assert: true }, pcpu);
    }
    state.pending = false;
    if (this.mode !== 'periodic') {
      this.setDeadline(Long.ZERO);
      state.targetNs = 0;
    }
  }
}

/** Field value while no deadline is set: expires too late to matter, and is ignored if it does. */
export const SOFT_DISABLED = 0xffffffff;
