// One virtual CPU: its virtual processor, local APIC, timer, requests and statistics. What it does
// next is decided in run-loop.ts; this file is what the handlers work with.
// Linux struct kvm_vcpu and struct kvm_vcpu_arch.

import Long from 'long';
import {
  Blocking,
  type Mode,
  modeOf,
  PendingDebug,
  Rflags,
  recordDebugException,
  Vector,
  wordOf,
} from '../cpu/index.ts';
import type { Pcpu, Thread } from '../host/index.ts';
import { Gpr } from '../isa/index.ts';
import { asDouble } from '../sim/index.ts';
import { fieldIndex, type VirtualProcessor, type VirtualProcessorState } from '../vmx/index.ts';
import { adoptControlRegisters } from './control-registers.ts';
import type { CpuidEntry } from './cpuid.ts';
import { EmulationSurroundings } from './emulation-surroundings.ts';
import type { KvmExit } from './kvm-exit.ts';
import { Lapic, type LapicState } from './lapic.ts';
import { LapicTimer, type LapicTimerState } from './lapic-timer.ts';
import { initialPvState, type PvState } from './pv-msrs.ts';
import {
  ExitStatistics,
  type ExitStatisticsState,
  newCounters,
  type VcpuCounters,
} from './statistics.ts';
import { isSingleStepping, type UserControl } from './user-control.ts';
import type { Vm } from './vm.ts';

/** Where the vCPU's thread is in KVM_RUN. */
export type Phase =
  /** At the top of the run loop, in host mode. */
  | 'loop'
  /** In non-root operation. */
  | 'guest'
  /** Preempted between a VM exit and its handler. */
  | 'preempted'
  /** Has left the guest by a VM exit, which is handled at once. */
  | 'exited'
  /** Halted, and waiting on its pCPU for something to happen. */
  | 'polling'
  /** Asleep, or just woken, with the vCPU halted. */
  | 'blocked'
  /** Asleep, or just woken, in the handler of a PAUSE-loop exit. */
  | 'dozing'
  /** Gave its pCPU away in a handler (PAUSE-loop exit, hypercall), and has it back now. */
  | 'yielded'
  /** User space has the exit in `userExit` to look at. */
  | 'userSpace'
  /** User space has looked, and has not called KVM_RUN again yet. */
  | 'outside'
  /** Will not run any more. */
  | 'ended';

/** An event that a VM exit interrupted on its way into the guest, to be delivered again. */
export interface PendingEvent {
  /** Interruption information, without the valid bit. */
  readonly information: number;
  readonly errorCode: number;
  readonly instructionLengthBytes: number;
}

/** Plain data, saved and hashed as it is. */
export interface VcpuState {
  phase: Phase;
  /**
   * KVM_MP_STATE_*: an uninitialized vCPU has not received an INIT yet, and one in `initReceived`
   * waits for its start-up IPI.
   */
  mpState: 'runnable' | 'halted' | 'uninitialized' | 'initReceived';
  /** An INIT that has not been acted on. */
  initPending: boolean;
  /** Vector of a start-up IPI that has not been acted on, or null. */
  sipiVector: number | null;
  /** KVM_REQ_EVENT: events must be looked at before the next entry. */
  eventRequested: boolean;
  /** Kicked by a hypercall: the next HLT ends at once. */
  pvUnhalted: boolean;
  /** NMIs that have arrived since events were looked at (nmi_queued). */
  nmiQueued: number;
  /** NMIs to inject: one, or two if none is in service (nmi_pending). */
  nmiPending: number;
  /** An exception to inject, raised by an emulated instruction. */
  exception: PendingEvent | null;
  /** An event to deliver again. */
  reinject: PendingEvent | null;
  /** Was switched out while runnable, or woken, and has not run since. */
  ready: boolean;
  /** Was switched out while runnable. */
  preempted: boolean;
  /** Nothing has happened since an interrupt of the host ended the guest's turn. */
  atInstructionBoundary: boolean;
  /** CPL was 0 when it was switched out. */
  preemptedInKernel: boolean;
  inSpinLoop: boolean;
  /** Directed-yield eligible, although it is itself in a spin loop. */
  dyEligible: boolean;
  pleWindow: number;
  /** How long the next halt is polled for, in ns, before the ceiling is applied. */
  pollWindowNs: number;
  /** The halt that is under way, or was last: since when, until when it was polled for, in cycles. */
  haltStart: number;
  pollEnd: number;
  /** It is polled for, or was at first. */
  isPolling: boolean;
  /** Id of the host timer that ends phase `dozing`, or 0. */
  dozeTimer: number;
  /** The port or device access that user space has to complete, and what the guest waits for. */
  completion: 'none' | 'in' | 'out' | 'emulate';
  /** Device reads that user space has answered, in order, while an instruction is emulated. */
  readonly answers: { low: number; high: number }[];
  /** The paravirtual interface. */
  readonly pv: PvState;
  /** pCPU it was loaded on last, or -1. */
  cpu: number;
  /** The guest has been entered since: what the host has in the same MSRs is put away. */
  guestStateLoaded: boolean;
  /** Why it cannot go on, if the guest asked for something that does not exist here. */
  notImplemented: string | null;
}

/** Everything about a vCPU that changes, outside memory. */
export interface VcpuSnapshot {
  readonly vcpu: VcpuState;
  readonly virtual: VirtualProcessorState;
  readonly lapic: LapicState;
  readonly timer: LapicTimerState;
  readonly counters: VcpuCounters;
  readonly exits: ExitStatisticsState;
}

const GUEST_RIP = fieldIndex('GUEST_RIP');
const GUEST_RFLAGS = fieldIndex('GUEST_RFLAGS');
const INTERRUPTIBILITY = fieldIndex('GUEST_INTERRUPTIBILITY_INFO');
const EXIT_LENGTH = fieldIndex('VM_EXIT_INSTRUCTION_LEN');

const CS_BASE = wordOf('csBase');

const SHADOWS = Blocking.STI | Blocking.MOV_SS;

export class Vcpu {
  readonly vm: Vm;
  readonly index: number;
  readonly virtual: VirtualProcessor;
  readonly lapic: Lapic;
  readonly timer: LapicTimer;
  counters: VcpuCounters = newCounters();
  readonly exits = new ExitStatistics();
  state: VcpuState;
  /** What user space has to deal with in phase `userSpace`. */
  userExit: KvmExit | null = null;
  /** Further accesses of the same instruction, which user space sees one after the other. */
  readonly furtherExits: KvmExit[] = [];
  /** What a program asks by way of KVM_RUN's page and ioctls; null if nothing ever does. */
  user: UserControl | null = null;
  /** CPUID as KVM_SET_CPUID2 has set it, or null for the virtual machine's own. */
  cpuidEntries: readonly CpuidEntry[] | null = null;
  /** KVM_CAP_ENFORCE_PV_FEATURE_CPUID of this vCPU, or null: as the virtual machine says. */
  enforcesPvFeatures: boolean | null = null;
  /** Of an instruction that is emulated. */
  readonly emulation = new EmulationSurroundings(this);
  private ownThread: Thread | null = null;

  constructor(vm: Vm, index: number, virtual: VirtualProcessor) {
    this.vm = vm;
    this.index = index;
    this.virtual = virtual;
    this.lapic = new Lapic(index);
    this.timer = new LapicTimer(this);
    this.state = {
      phase: 'loop',
      mpState: 'runnable',
      initPending: false,
      sipiVector: null,
      eventRequested: true,
      pvUnhalted: false,
      nmiQueued: 0,
      nmiPending: 0,
      exception: null,
      reinject: null,
      ready: false,
      preempted: false,
      atInstructionBoundary: false,
      preemptedInKernel: false,
      inSpinLoop: false,
      dyEligible: false,
      pleWindow: vm.parameters.pleWindow,
      pollWindowNs: 0,
      haltStart: asDouble(0),
      pollEnd: asDouble(0),
      isPolling: false,
      dozeTimer: 0,
      completion: 'none',
      answers: [],
      pv: initialPvState(),
      cpu: -1,
      guestStateLoaded: false,
      notImplemented: null,
    };
  }

  get thread(): Thread {
    if (this.ownThread === null) throw new Error(`vCPU ${this.index} has no thread`);
    return this.ownThread;
  }

  set thread(thread: Thread) {
    this.ownThread = thread;
  }

  get rip(): Long {
    return this.virtual.vmcs.get64(GUEST_RIP);
  }

  /** The guest executes 64-bit code. */
  get in64BitMode(): boolean {
    return modeOf(this.virtual.processor.state) === '64-bit';
  }

  /** The linear address of the instruction at RIP. */
  get linearRip(): Long {
    if (this.in64BitMode) return this.rip;
    const { state } = this.virtual.processor;
    return Long.fromBits(state.words[CS_BASE] + this.rip.low, 0);
  }

  /** Where it is, for messages. */
  get place(): string {
    const mode = MODE_NAMES[modeOf(this.virtual.processor.state)];
    return `at 0x${this.linearRip.toUnsigned().toString(16)} in ${mode}`;
  }

  /** A general register, of which 32 bits count outside 64-bit mode. */
  register(number: number): Long {
    const value = this.virtual.processor.state.get64(2 * number);
    return this.in64BitMode ? value : Long.fromBits(value.low, 0);
  }

  get cpl(): number {
    return this.virtual.processor.state.cpl;
  }

  /** The time stamp that the guest would read at a time in cycles. */
  guestTsc(now: number): Long {
    return this.virtual.timeStamp(now);
  }

  /**
   * The instruction that exited is done: go past it, with the trap if it was a single step. Linux
   * kvm_skip_emulated_instruction.
   */
  skipInstruction(lengthBytes = this.virtual.vmcs.get32(EXIT_LENGTH)): void {
    this.advance(lengthBytes);
    this.finishStep();
  }

  /** An instruction that was done for the guest is over: if it was a single step, say so. */
  finishStep(): void {
    const isStepping = (this.virtual.vmcs.get32(GUEST_RFLAGS) & Rflags.TF) !== 0;
    if (!isStepping) return;
    if (this.user !== null && isSingleStepping(this)) {
      this.user.stepped = true;
      this.requestEvent();
    } else this.queueDebugException(PendingDebug.BS);
  }

  /** Go past the instruction that exited; what blocked events for it is over. */
  advance(lengthBytes = this.virtual.vmcs.get32(EXIT_LENGTH)): void {
    const { vmcs } = this.virtual;
    const next = (vmcs.get32(GUEST_RIP) >>> 0) + lengthBytes;
    const carry = next > 0xffffffff ? 1 : 0;
    vmcs.setHalves(GUEST_RIP, next, this.in64BitMode ? vmcs.getHigh(GUEST_RIP) + carry : 0);
    vmcs.set32(INTERRUPTIBILITY, vmcs.get32(INTERRUPTIBILITY) & ~SHADOWS);
  }

  /** AL, AX or EAX, which clears the upper half. */
  setAccumulator(sizeBytes: number, data: number): void {
    const { state } = this.virtual.processor;
    const old = state.get64(2 * Gpr.RAX);
    if (sizeBytes === 4) state.set64(2 * Gpr.RAX, Long.fromBits(data | 0, 0));
    else {
      const mask = sizeBytes === 1 ? 0xff : 0xffff;
      state.set64(2 * Gpr.RAX, Long.fromBits((old.low & ~mask) | (data & mask), old.high));
    }
  }

  /** True if the guest would take a maskable interrupt now. */
  get interruptAllowed(): boolean {
    const { vmcs } = this.virtual;
    const enabled = (vmcs.get32(GUEST_RFLAGS) & Rflags.IF) !== 0;
    return enabled && (vmcs.get32(INTERRUPTIBILITY) & SHADOWS) === 0;
  }

  get nmiAllowed(): boolean {
    const blocked = Blocking.NMI | SHADOWS;
    return (this.virtual.vmcs.get32(INTERRUPTIBILITY) & blocked) === 0;
  }

  /** Events have to be looked at before the next entry. */
  requestEvent(): void {
    this.state.eventRequested = true;
  }

  /** Inject an exception at the next entry. */
  queueException(vector: number, errorCode: number | null = null): void {
    const information = vector | HARDWARE_EXCEPTION | (errorCode === null ? 0 : HAS_ERROR_CODE);
    this.state.exception = { information, errorCode: errorCode ?? 0, instructionLengthBytes: 0 };
    this.requestEvent();
  }

  /** Inject #DB for conditions in DR6's layout (kvm_queue_exception_p). */
  queueDebugException(conditions: number): void {
    recordDebugException(this.virtual.processor.state, conditions);
    this.queueException(Vector.DB);
  }

  /** INIT or a start-up IPI waits to be acted on. */
  get hasApicEvents(): boolean {
    return this.state.initPending || this.state.sipiVector !== null;
  }

  /** False while nothing but INIT and a start-up IPI count. */
  get isStarted(): boolean {
    const { mpState } = this.state;
    return mpState === 'runnable' || mpState === 'halted';
  }

  /** Linux kvm_arch_vcpu_runnable: whether a vCPU that sleeps has a reason to go on. */
  get isRunnable(): boolean {
    const { state } = this;
    if (this.hasApicEvents) return true;
    if (!this.isStarted) return false;
    if (state.mpState === 'runnable' || state.pvUnhalted || state.exception !== null) return true;
    if (state.nmiQueued > 0 || (state.nmiPending > 0 && this.nmiAllowed)) return true;
    return this.interruptAllowed && this.hasInterrupt;
  }

  /** The PIC's interrupts come here: LINT0 says so, or there is no APIC (kvm_apic_accept_pic_intr). */
  get acceptsPic(): boolean {
    return !this.lapic.isPresent || this.lapic.acceptsExternal;
  }

  /** The PIC has an interrupt for this vCPU (kvm_cpu_has_extint). */
  get hasPicInterrupt(): boolean {
    return this.vm.irqchip?.pic.output === true && this.acceptsPic;
  }

  /** There is a maskable interrupt to take (kvm_cpu_has_interrupt). */
  get hasInterrupt(): boolean {
    return this.lapic.deliverable >= 0 || this.hasPicInterrupt;
  }

  /**
   * Make the control registers that the guest has been given its own view of them: VMX operation
   * needs bits set that the guest does not see. Protected mode and paging are not among them, as
   * guests are unrestricted.
   */
  adoptControlRegisters(): void {
    adoptControlRegisters(this);
  }

  /** What ends blocking: being runnable, or a timer that has to be turned into an interrupt. */
  get hasWakeCondition(): boolean {
    const { user } = this;
    if (user !== null && user.leave !== 'none') return true;
    return this.isRunnable || this.timer.hasPending || this.state.notImplemented !== null;
  }

  /** A directed yield may go to it although it sleeps (kvm_arch_dy_runnable). */
  get isDirectedYieldRunnable(): boolean {
    return this.state.pvUnhalted || this.state.eventRequested || this.state.nmiQueued > 0;
  }

  get isBlocked(): boolean {
    return this.thread.state.status === 'blocked';
  }

  /** Asleep, there is nothing outside the other vCPUs that would wake it. */
  get isUnattended(): boolean {
    return !this.timer.isArmed && this.state.dozeTimer === 0;
  }

  get isInGuest(): boolean {
    return this.state.phase === 'guest';
  }

  /**
   * Make the vCPU look at its requests: wake it if it sleeps, interrupt it if it is in the guest on
   * another pCPU; who polls looks anyway. Linux kvm_vcpu_kick. `pcpu` is where the caller runs.
   */
  kick(pcpu: Pcpu): void {
    if (this.state.phase === 'outside') return;
    const { host, disturbance } = this.vm;
    if (this.state.phase === 'polling') host.stir(host.pcpus[this.thread.state.pcpu]);
    if (disturbance !== null && this.isBlocked && disturbance.takesWakeUp(this, pcpu)) return;
    this.wakeOrInterrupt(pcpu);
  }

  /** The kick itself, which nothing holds back. */
  wakeOrInterrupt(pcpu: Pcpu): void {
    const { host } = this.vm;
    if (host.scheduler.wake(this.thread, pcpu)) {
      this.state.ready = true;
      this.counters.halt_wakeup++;
      return;
    }
    const own = host.pcpus[this.thread.state.pcpu];
    if (this.isInGuest && own !== pcpu) host.sendIpi(pcpu, own);
  }

  get snapshot(): VcpuSnapshot {
    return {
      vcpu: this.state,
      virtual: this.virtual.state,
      lapic: this.lapic.state,
      timer: this.timer.state,
      counters: this.counters,
      exits: this.exits.state,
    };
  }

  /** Restore; takes over the given objects. */
  set snapshot(saved: VcpuSnapshot) {
    this.state = saved.vcpu;
    this.virtual.state = saved.virtual;
    this.lapic.state = saved.lapic;
    this.timer.state = saved.timer;
    this.counters = saved.counters;
    this.exits.state = saved.exits;
  }
}

const MODE_NAMES: Readonly<Record<Mode, string>> = {
  real: 'real mode',
  virtual8086: 'virtual-8086 mode',
  protected: 'protected mode',
  compatibility: 'compatibility mode',
  '64-bit': '64-bit mode',
};

const HARDWARE_EXCEPTION = 3 << 8;
const HAS_ERROR_CODE = 1 << 11;
