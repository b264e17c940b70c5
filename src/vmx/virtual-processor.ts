// A logical processor in VMX operation with one current VMCS: VM entry, non-root operation, VM
// exit. SDM 3, "VM Entries", "VMX Non-Root Operation", "VM Exits". Knows nothing of KVM: whoever
// calls `enter` and `run` is the host, which reads why the guest stopped from the VMCS.

import Long from 'long';
import {
  type AccessKind,
  Activity,
  Blocking,
  type BoundaryOutcome,
  type Delay,
  type DeliveredEvent,
  EMPTY_PLATFORM,
  type EventType,
  EventTypes,
  joinRelay,
  leaveRelay,
  OWNER_STOP,
  type PauseWatch,
  Processor,
  type ProcessorStop,
  Rflags,
  type TaskSourceNumber,
  type TranslationPurpose,
  Vector,
  type Virtualization,
  Word,
} from '../cpu/index.ts';
import type { Instruction } from '../isa/index.ts';
import type { PhysicalMemory } from '../memory/index.ts';
import { asDouble } from '../sim/index.ts';
import { readGuestControl, writeGuestControl } from './control-access.ts';
import { EntryControl, ExitControl, Pin, Primary } from './controls.ts';
import { Due, dueAfter, dueExit } from './due-exits.ts';
import { EntryChecker, type EntryOutcome } from './entry.ts';
import {
  ERROR_CODE_VALID,
  type ExitDetails,
  informationOf,
  OTHER_EVENT,
  recordExit,
  recordExitWith,
} from './exit-information.ts';
import { Exit } from './exit-reasons.ts';
import { fieldIndex } from './fields.ts';
import { decide, decideEarly, exitForTask, OwnPauseWatch, pauseWatch } from './intercepts.ts';
import { behindVirtualApic, translateOrExit } from './memory-exits.ts';
import { PauseLoopDetector } from './pause-loop.ts';
import { STANDARD_TIMER_RATE_SHIFT, timerDeadline, timerRemaining } from './preemption-timer.ts';
import {
  enterRarely,
  followLongMode,
  leaveRarely,
  type RareTransitions,
  rareTransitions,
} from './rare-transitions.ts';
import { type Quiet, SpinDetector } from './spin.ts';
import { guestTimeStamp } from './time-stamp.ts';
import { hasTprShadow, isBelowThreshold, THRESHOLD_CHECK } from './virtual-apic.ts';
import { hasApicPage } from './virtual-apic-checks.ts';
import type {
  RunOutcome,
  VirtualProcessorParts,
  VirtualProcessorState,
  VmxCosts,
} from './virtual-processor-parts.ts';
import { Stale, Vmcs, VmxError } from './vmcs.ts';

const LIMIT: RunOutcome = { kind: 'limit' };
const EXIT: RunOutcome = { kind: 'exit' };
const FAIL_INVALID: EntryOutcome = { kind: 'failInvalid' };
const ENTERED: EntryOutcome = { kind: 'entered' };

const NMI_UNBLOCKED = 1 << 12;

/** Exits as soon as the guest could take an event. */
const WINDOWS = Primary.NMI_WINDOW_EXITING | Primary.INTR_WINDOW_EXITING;

const F = {
  PIN: fieldIndex('PIN_BASED_VM_EXEC_CONTROL'),
  PRIMARY: fieldIndex('CPU_BASED_VM_EXEC_CONTROL'),
  SECONDARY: fieldIndex('SECONDARY_VM_EXEC_CONTROL'),
  EXIT_CONTROLS: fieldIndex('VM_EXIT_CONTROLS'),
  ENTRY_CONTROLS: fieldIndex('VM_ENTRY_CONTROLS'),
  EXCEPTION_BITMAP: fieldIndex('EXCEPTION_BITMAP'),
  PF_MASK: fieldIndex('PAGE_FAULT_ERROR_CODE_MASK'),
  PF_MATCH: fieldIndex('PAGE_FAULT_ERROR_CODE_MATCH'),
  EXIT_REASON: fieldIndex('VM_EXIT_REASON'),
  PLE_WINDOW: fieldIndex('PLE_WINDOW'),
  TIMER_VALUE: fieldIndex('VMX_PREEMPTION_TIMER_VALUE'),
  ENTRY_INTR_INFO: fieldIndex('VM_ENTRY_INTR_INFO_FIELD'),
  ENTRY_ERROR_CODE: fieldIndex('VM_ENTRY_EXCEPTION_ERROR_CODE'),
  ENTRY_LENGTH: fieldIndex('VM_ENTRY_INSTRUCTION_LEN'),
} as const;

export class VirtualProcessor implements Virtualization {
  readonly memory: PhysicalMemory;
  readonly processor: Processor;
  readonly vmcs: Vmcs;
  readonly pauseLoop = new PauseLoopDetector();
  private readonly pauseWatch = new OwnPauseWatch();
  readonly spin: SpinDetector;
  /** A physical interrupt waits at the processor this runs on; the host sets and clears it. */
  interruptPending = false;
  private nonRoot = false;
  private readonly entryChecker: EntryChecker;
  /** When the VMX-preemption timer expires, in cycles; infinite while it does not run. */
  private deadline = Number.POSITIVE_INFINITY;
  private readonly costs: VmxCosts;
  /** Where {@link run} ends, in cycles. */
  private limit = asDouble(0);
  /** What the injection at the last entry led to, if it did not complete. */
  private injectionStop: ProcessorStop | null = null;
  private due = 0;
  private sipiVector = 0;
  /** When the preemption timer makes the guest exit, in cycles: never while it waits for a SIPI. */
  private expiry = Number.POSITIVE_INFINITY;
  /** What control fields ask for that few hosts want; null for nothing. */
  private rare: RareTransitions | null = null;
  readonly timerRateShift: number;
  /** What the TSC is ahead of the clock since an MSR list has loaded it; null for nothing. */
  tscAhead: Long | null = null;
  /** The last access found to be to a register of the virtual-APIC page; no state. */
  virtualizedGpa = -1;

  constructor(parts: VirtualProcessorParts) {
    this.memory = parts.memory;
    this.costs = parts.costs;
    this.timerRateShift = parts.timerRateShift ?? STANDARD_TIMER_RATE_SHIFT;
    this.processor = new Processor({
      memory: parts.memory,
      stateHpa: parts.hpa,
      codeCache: parts.codeCache,
      compiler: parts.compiler,
      costs: parts.instructionCosts,
      virtualization: this,
      platform: behindVirtualApic(this, parts.platform ?? EMPTY_PLATFORM),
    });
    this.vmcs = new Vmcs(parts.memory, this.processor.state);
    this.entryChecker = new EntryChecker(this.vmcs, this.processor);
    this.spin = new SpinDetector(this.processor, parts.memory, this.pauseLoop, this);
  }

  /** True between an entry and the next exit. */
  get inNonRoot(): boolean {
    return this.nonRoot;
  }

  /** When the VMX-preemption timer expires, in cycles; null while it does not run. */
  get timerDeadline(): number | null {
    return this.deadline === Number.POSITIVE_INFINITY ? null : this.deadline;
  }

  get state(): VirtualProcessorState {
    this.processor.settleLog();
    return {
      clock: this.processor.clock,
      instructions: this.processor.instructions,
      nonRoot: this.nonRoot,
      timerDeadline: this.timerDeadline,
      pauseLoop: { ...this.pauseLoop.state },
      injectionStop: this.injectionStop,
      due: this.due,
      sipiVector: this.sipiVector,
      ...(this.tscAhead === null ? {} : { tscAhead: [this.tscAhead.low, this.tscAhead.high] }),
    };
  }

  /** Restore; registers and VMCS must have been restored in memory before. */
  set state(saved: VirtualProcessorState) {
    this.processor.clock = saved.clock;
    // Whatever was executed last, it may be later than what is restored.
    this.processor.begun = 0;
    this.processor.instructions = saved.instructions;
    this.nonRoot = saved.nonRoot;
    this.deadline = saved.timerDeadline ?? Number.POSITIVE_INFINITY;
    Object.assign(this.pauseLoop.state, saved.pauseLoop);
    this.injectionStop = saved.injectionStop;
    this.due = saved.due;
    this.sipiVector = saved.sipiVector;
    this.tscAhead = saved.tscAhead === undefined ? null : Long.fromBits(...saved.tscAhead);
    this.setExpiry();
    this.rare = rareTransitions(this.vmcs);
    this.processor.blockLog.restored();
    this.stateChanged();
  }

  /** To be called after registers, VMCS fields or memory were changed by hand. */
  stateChanged(): void {
    this.spin.abandon();
    this.vmcs.makeStale(Stale.ALL);
    this.processor.stateChanged();
  }

  get primary(): number {
    return this.vmcs.get32(F.PRIMARY);
  }

  /** The secondary controls, 0 while they are not activated. */
  get secondary(): number {
    return this.primary < 0 ? this.vmcs.get32(F.SECONDARY) : 0;
  }

  /**
   * VMLAUNCH or VMRESUME at a time in cycles. After `entered`, call {@link run}.
   * @param launch VMLAUNCH, for a VMCS in the clear state
   */
  enter(clock: number, launch: boolean): EntryOutcome {
    const { vmcs, processor } = this;
    if (launch === vmcs.launched || !vmcs.isCurrent) return this.cannotEnter(launch);
    const isBelow = hasTprShadow(this) && isBelowThreshold(this);
    if (isBelow && !hasApicPage(vmcs)) {
      return this.entryChecker.failValid(VmxError.ENTRY_INVALID_CONTROL, THRESHOLD_CHECK);
    }
    const failure = this.entryChecker.failure();
    if (failure !== null) return failure;
    if (vmcs.isStale(Stale.CONTROLS)) this.rare = rareTransitions(vmcs);
    if (this.rare !== null) {
      processor.clock = clock;
      const failed = enterRarely(this, this.rare);
      if (failed !== null) return failed;
    }
    if (launch) vmcs.launched = true;
    this.nonRoot = true;
    processor.clock = clock + this.costs.entry;
    if ((vmcs.get32(F.ENTRY_CONTROLS) & EntryControl.LOAD_IA32_EFER) === 0) followLongMode(this);
    if (vmcs.isStale(Stale.GUEST)) processor.stateChanged();
    else processor.mmu.updatePrivilege();
    vmcs.becomeFresh();
    processor.requestAttention();
    this.pauseLoop.enter();
    const hasTimer = (vmcs.get32(F.PIN) & Pin.VMX_PREEMPTION_TIMER) !== 0;
    const value = vmcs.get32(F.TIMER_VALUE) >>> 0;
    this.deadline = hasTimer
      ? timerDeadline(processor.clock, value, this.timerRateShift)
      : Number.POSITIVE_INFINITY;
    this.setExpiry();
    if (isBelow) this.due |= Due.TPR;
    this.injectionStop = null;
    const information = vmcs.get32(F.ENTRY_INTR_INFO);
    const isPending = processor.state.words[Word.PENDING_DEBUG] !== 0;
    if (information < 0 || isPending) this.inject(information);
    return ENTERED;
  }

  /** VMLAUNCH of what is launched, VMRESUME of what is not, or neither for want of a VMCS. */
  private cannotEnter(launch: boolean): EntryOutcome {
    if (!this.vmcs.isCurrent) return FAIL_INVALID;
    const error = launch ? VmxError.VMLAUNCH_NOT_CLEAR : VmxError.VMRESUME_NOT_LAUNCHED;
    return this.entryChecker.failValid(error, null);
  }

  /** PLE_Window. */
  get pauseWindow(): number {
    return this.vmcs.get32(F.PLE_WINDOW) >>> 0;
  }

  /**
   * Guest execution until the clock reaches `limit` at an instruction boundary, or an exit.
   * @param maySkip find out whether the guest only waits
   */
  run(limit: number, maySkip = false): RunOutcome {
    const { processor, spin } = this;
    if (this.interruptPending) spin.abandon();
    spin.pass(limit);
    spin.isEnabled = maySkip;
    this.limit = limit;
    // A turn that ended for want of time goes on where it was, unless somebody did something.
    if (this.interruptPending || this.vmcs.isStale(Stale.ALL)) processor.requestAttention();
    if (maySkip && processor.isUndisturbed && this.advances()) return spin.quiet as Quiet;
    for (;;) {
      // They come before the timer. SDM 3, "Priority Among Concurrent Events".
      if (this.due !== 0 && this.injectionStop === null && this.recordDue()) return this.leave();
      const until = Math.min(this.limit, this.expiry);
      const stop = this.injectionStop ?? this.execute(until);
      this.injectionStop = null;
      if (stop.kind === 'owner') {
        return spin.quiet ?? this.leave();
      }
      if (stop.kind === 'notImplemented') return stop;
      if (stop.kind === 'inactive') this.passInactive(until);
      if (processor.clock >= this.expiry && this.dueReason === null) {
        recordExit(this, Exit.PREEMPTION_TIMER);
        return this.leave();
      }
      if (processor.clock >= this.limit) return LIMIT;
    }
  }

  /**
   * Take part in a relay, which begins at a time in cycles; false if anything is due but compiled
   * code.
   * @param maySkip as for {@link run}
   * @param place in the list of the relay
   * @param number what decides whose turn is first
   */
  joinRelay(base: number, maySkip: boolean, place: number, number: number): boolean {
    const { spin } = this;
    if (!this.nonRoot || this.due !== 0 || this.injectionStop !== null || spin.isBusy) return false;
    if (this.vmcs.isStale(Stale.ALL) || this.isTrapping) return false;
    spin.isEnabled = maySkip;
    const horizon = Math.min(this.expiry, spin.nextAdvance);
    return joinRelay(this.processor, base, horizon, place, number);
  }

  /** Take over what was done in it; whether it was stopped for want of something for this one. */
  leaveRelay(base: number, isStopped: boolean): void {
    leaveRelay(this.processor, base, isStopped);
  }

  private get isTrapping(): boolean {
    return (this.primary & Primary.MONITOR_TRAP_FLAG) !== 0;
  }

  /** Nothing changes but registers, past the end of this turn. */
  private advances(): boolean {
    if (this.due !== 0 || this.injectionStop !== null) return false;
    if (this.isTrapping) return false;
    return this.spin.advance(this.limit, this.expiry);
  }

  /**
   * Guest execution until the clock reaches a time, or something else is to be done; under the
   * monitor trap flag, one instruction, iteration or delivery. SDM 3, "Monitor Trap Flag".
   */
  private execute(until: number): ProcessorStop {
    const { processor } = this;
    if (!this.isTrapping) return processor.run(until);
    const { clock } = processor;
    processor.holdsTraps = true;
    const stop = processor.run(Math.min(until, clock + 1));
    processor.holdsTraps = false;
    if (stop.kind === 'limit' && processor.clock > clock) this.due |= Due.MONITOR_TRAP;
    return stop;
  }

  /** The run that is under way ends earlier. */
  hurry(limit: number): void {
    this.limit = Math.min(this.limit, limit);
    this.processor.hurry(limit);
  }

  /** Time passes in an inactive activity state, cycle by cycle. */
  private passInactive(until: number): void {
    const { processor } = this;
    if (processor.clock >= until) return;
    processor.clock = until;
    processor.begun = until - 1;
  }

  /** Record an exit in the middle of something, and stop the processor there. */
  exit(reason: number, details: ExitDetails): never {
    recordExitWith(this, reason, details);
    throw OWNER_STOP;
  }

  /** Drop cached translations, after EPT tables were changed (INVEPT). */
  invalidateTranslations(): void {
    this.processor.mmu.flush();
  }

  private leave(): RunOutcome {
    const { processor, vmcs } = this;
    if ((vmcs.get32(F.EXIT_CONTROLS) & ExitControl.SAVE_VMX_PREEMPTION_TIMER) !== 0) {
      const left = timerRemaining(this.timerDeadline ?? 0, processor.clock, this.timerRateShift);
      vmcs.set32(F.TIMER_VALUE, left);
    }
    this.spin.abandon();
    const abort = this.rare === null ? 0 : leaveRarely(this, this.rare);
    if (this.due !== 0) this.due = dueAfter(this.due, vmcs.get32(F.EXIT_REASON));
    this.nonRoot = false;
    this.deadline = Number.POSITIVE_INFINITY;
    this.expiry = Number.POSITIVE_INFINITY;
    processor.clock += this.costs.exit;
    if (abort === 0) return EXIT;
    vmcs.abortIndicator = abort;
    return { kind: 'abort', indicator: abort };
  }

  /** Deliver the event that the VM-entry interruption information names, then what is pending. */
  private inject(information: number): void {
    const { processor } = this;
    if (information < 0) this.injectionStop = this.injectEvent(information);
    const { words } = processor.state;
    // Nothing is pending in a state that it would not end.
    const isAsleep = words[Word.ACTIVITY] >= Activity.SHUTDOWN;
    if (isAsleep && information >= 0) words[Word.PENDING_DEBUG] = 0;
    const isDebug = words[Word.PENDING_DEBUG] !== 0;
    if (isDebug) this.injectionStop ??= processor.deliverPendingDebug();
    const isDelivered = information < 0 || (isDebug && words[Word.PENDING_DEBUG] === 0);
    if (this.isTrapping && isDelivered) this.due |= Due.MONITOR_TRAP;
  }

  private injectEvent(information: number): ProcessorStop | null {
    const { vmcs, processor } = this;
    if (((information >> 8) & 7) === OTHER_EVENT) {
      this.due |= Due.MONITOR_TRAP;
      return null;
    }
    const type = ((information >> 8) & 7) as EventType;
    const hasError = (information & ERROR_CODE_VALID) !== 0;
    if (type === EventTypes.NMI) {
      processor.state.words[Word.INTERRUPTIBILITY] |= Blocking.NMI;
    }
    return processor.inject({
      vector: information & 0xff,
      type,
      errorCode: hasError ? vmcs.get32(F.ENTRY_ERROR_CODE) : null,
      instructionLengthBytes: vmcs.get32(F.ENTRY_LENGTH),
    });
  }

  private setExpiry(): void {
    const waits = this.processor.state.words[Word.ACTIVITY] === Activity.WAIT_FOR_SIPI;
    this.expiry = waits ? Number.POSITIVE_INFINITY : this.deadline;
  }

  /** Of the exit that is due now, or null. */
  private get dueReason(): number | null {
    if (this.due === 0) return null;
    return dueExit(this.due, this.processor.state.words[Word.ACTIVITY]);
  }

  private recordDue(): boolean {
    const reason = this.dueReason;
    if (reason === null) return false;
    recordExit(this, reason, 0, reason === Exit.SIPI_SIGNAL ? this.sipiVector : 0);
    return true;
  }

  /** An INIT signal arrives: the guest exits, as soon as it does not wait for a start-up IPI. */
  signalInit(): void {
    this.due |= Due.INIT;
    this.spin.abandon();
  }

  /** A start-up IPI arrives; false, and nothing happens, unless a guest waits for it. */
  signalSipi(vector: number): boolean {
    const activity = this.processor.state.words[Word.ACTIVITY];
    if (!this.nonRoot || activity !== Activity.WAIT_FOR_SIPI) return false;
    this.due |= Due.SIPI;
    this.sipiVector = vector;
    return true;
  }

  /** VTPR has fallen below the threshold: the instruction that did it is followed by an exit. */
  taskPriorityFell(): void {
    this.due |= Due.TPR;
    this.processor.requestAttention();
  }

  // What the processor asks of its owner

  beforePrivilege(instruction: Instruction): boolean {
    const { intercept } = instruction.row;
    return intercept !== undefined && decideEarly(this, intercept, instruction);
  }

  intercept(instruction: Instruction): boolean {
    const { intercept } = instruction.row;
    return intercept !== undefined && decide(this, intercept, instruction);
  }

  pauses(): PauseWatch | null {
    return pauseWatch(this, this.pauseWatch);
  }

  delays(delay: Delay, iterations: number): boolean {
    return this.spin.delays(delay, iterations, this.limit);
  }

  /** SDM 3, "Exceptions" under "Other Causes of VM Exits". */
  exception(event: DeliveredEvent, linear: Long): void {
    const { vmcs } = this;
    this.spin.abandon();
    if (event.type === EventTypes.SOFTWARE_INTERRUPT) return;
    const selected = (vmcs.get32(F.EXCEPTION_BITMAP) & (1 << event.vector)) !== 0;
    const inverted = event.vector === Vector.PF && !this.pageFaultMatches(event.errorCode ?? 0);
    if (selected === inverted) return;
    const hasAddress = event.vector === Vector.PF || event.vector === Vector.DB;
    // Undefined for a double fault, here 0.
    const unblocking = event.vector === Vector.DF ? 0 : this.nmiUnblocking;
    this.exit(Exit.EXCEPTION_NMI, {
      interruption: {
        information: informationOf(event) | unblocking,
        errorCode: event.errorCode,
      },
      instructionLengthBytes: event.instructionLengthBytes,
      qualification: hasAddress ? linear : Long.ZERO,
    });
  }

  /**
   * Bit 12 of what is recorded: an IRET that does not complete has ended the blocking of NMIs.
   * Undefined, here 0, if another event was being delivered.
   */
  get nmiUnblocking(): number {
    const { nmisUnblocked, delivering } = this.processor;
    return nmisUnblocked && delivering === null ? NMI_UNBLOCKED : 0;
  }

  private pageFaultMatches(errorCode: number): boolean {
    const mask = this.vmcs.get32(F.PF_MASK);
    return (errorCode & mask) === this.vmcs.get32(F.PF_MATCH);
  }

  tripleFault(): void {
    this.exit(Exit.TRIPLE_FAULT, {});
  }

  taskSwitch(selector: number, source: TaskSourceNumber): never {
    return exitForTask(this, selector, source);
  }

  translate(
    gpa: number,
    access: AccessKind,
    purpose: TranslationPurpose,
    linearLow: number,
    linearHigh: number,
  ): number {
    return translateOrExit(this, gpa, access, purpose, linearLow, linearHigh);
  }

  /** Without virtual NMIs, IRET leaves alone what the guest state says of NMIs that exit. */
  iretUnblocksNmis(): boolean {
    return (this.vmcs.get32(F.PIN) & (Pin.NMI_EXITING | Pin.VIRTUAL_NMIS)) !== Pin.NMI_EXITING;
  }

  readControl(number: number, real: Long): Long {
    return readGuestControl(this, number, real);
  }

  writeControl(number: number, real: Long, written: Long): Long {
    return writeGuestControl(this, number, real, written);
  }

  timeStamp(clock: number): Long {
    return guestTimeStamp(this, clock);
  }

  /**
   * Events in the order of their priority. SDM 3, "Priority Among Concurrent Events". The
   * preemption timer comes before all of these: {@link run} ends the processor's turn with it.
   */
  boundary(): BoundaryOutcome {
    const isAsked = (this.primary & WINDOWS) !== 0 || this.interruptPending;
    return isAsked || (this.due & Due.TPR) !== 0 ? this.lookAround() : 'proceed';
  }

  private lookAround(): BoundaryOutcome {
    const { words } = this.processor.state;
    const activity = words[Word.ACTIVITY];
    if (activity === Activity.WAIT_FOR_SIPI) return 'proceed';
    if ((this.due & Due.TPR) !== 0 && activity < Activity.SHUTDOWN) {
      return this.stopFor(Exit.TPR_BELOW_THRESHOLD);
    }
    const blocking = words[Word.INTERRUPTIBILITY];
    const shadow = (blocking & (Blocking.STI | Blocking.MOV_SS)) !== 0;
    const wantsNmiWindow = (this.primary & Primary.NMI_WINDOW_EXITING) !== 0;
    if (wantsNmiWindow && (blocking & (Blocking.MOV_SS | Blocking.NMI)) === 0) {
      return this.stopFor(Exit.NMI_WINDOW);
    }
    if (activity === Activity.SHUTDOWN) return 'proceed';
    const interruptible = (words[Word.RFLAGS] & Rflags.IF) !== 0 && !shadow;
    if ((this.primary & Primary.INTR_WINDOW_EXITING) !== 0 && interruptible) {
      return this.stopFor(Exit.INTERRUPT_WINDOW);
    }
    const interruptsExit = (this.vmcs.get32(F.PIN) & Pin.EXT_INTR_MASK) !== 0;
    if (this.interruptPending && !shadow && interruptsExit) {
      return this.stopFor(Exit.EXTERNAL_INTERRUPT);
    }
    return 'proceed';
  }

  private stopFor(reason: number): BoundaryOutcome {
    recordExit(this, reason);
    return 'stop';
  }
}
