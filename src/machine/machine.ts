// A scenario made into a wired machine: the one place where the layers are put together. Runs it,
// says how it ended, saves and restores it, and identifies its state by a hash.

import Long from 'long';
import { compilableMemory, STATE_BYTES } from '../cpu/index.ts';
import {
  Host,
  type HostState,
  type HostStop,
  type Order,
  type PausePoint,
  type SchedulerParameters,
} from '../host/index.ts';
import {
  type Decisions,
  InternalError,
  type KvmExit,
  type KvmParameters,
  type UserSpace,
  type Vcpu,
  Vm,
  type VmSnapshot,
} from '../kvm/index.ts';
import { PAGE_SIZE, PhysicalMemory, type SavedPages } from '../memory/index.ts';
import { copyPlain, Hash, PolicyError, PolicyWatch } from '../sim/index.ts';
import { TraceFormat, type TraceSink } from '../trace/index.ts';
import { armAffinityChanges } from './affinity-changes.ts';
import { Cgroups } from './cgroups.ts';
import { coschedule } from './coscheduling.ts';
import { costsOf } from './cost-keys.ts';
import { pinOf } from './cpu-list.ts';
import { Devices } from './devices/devices.ts';
import type { DevicesState } from './devices/ports.ts';
import { Ending, endingOfHalt, type MachineEnding } from './ending.ts';
import { FaultInjector, type FaultsState } from './faults/injector.ts';
import { guestInterfaceOf } from './guest-interface.ts';
import type { NamedRam } from './guest-places.ts';
import { Hogs, type HogsState } from './hogs.ts';
import { bootRequestOf, loadProgram } from './loader.ts';
import { type PolicyFunctions, placementOf, vmDecisions } from './policies.ts';
import { COST_PRESETS, type CostPreset, packagesFor } from './presets.ts';
import { Probes } from './probes.ts';
import { ProgramData, programSymbols } from './program-data.ts';
import { giveInput } from './program-input.ts';
import { affinityOf, type Scenario } from './scenario.ts';
import { type SerialInput, serialInputOf } from './serial-input.ts';
import { SerialLine } from './serial-line.ts';
import { Starts } from './starts.ts';
import type { SymbolMap } from './symbol-map.ts';

export interface MachineOptions {
  /**
   * The bytes of each virtual machine's program, in the order of the scenario: multiboot images,
   * ELF images, or flat binaries.
   */
  readonly programs: readonly Uint8Array[];
  /**
   * For each virtual machine the bytes of its modules, in the order of the scenario's `modules`;
   * may be left out if there are none.
   */
  readonly modules?: readonly (readonly Uint8Array[])[];
  /** Names for reports, in the same order; an ELF image brings its own. */
  readonly symbols?: readonly (SymbolMap | null)[];
  /** The code of the policies that the scenario names. */
  readonly policies?: PolicyFunctions;
  /** Who decides the order of everything, in the place of time. */
  readonly order?: ((machine: Machine) => Order) | undefined;
  /** Who listens to trace events. */
  readonly sink?: TraceSink;
}

/** A saved machine: plain data and pages of memory. Belongs to the scenario it was made from. */
export interface MachineSnapshot {
  readonly host: HostState;
  readonly vms: readonly VmSnapshot[];
  readonly devices: readonly DevicesState[];
  readonly endings: readonly (MachineEnding | null)[];
  readonly limit: MachineEnding | null;
  readonly reached: number;
  /** Of whoever decides the order; null if time does. */
  readonly order: unknown;
  /** What competing threads that sleep are at. */
  readonly hogs: HogsState;
  /** What is under way of faults; null where the scenario has none. */
  readonly faults: FaultsState | null;
  /** For each virtual machine, the pages that are not zero. */
  readonly memory: readonly SavedPages[];
}

/** Why {@link Machine.advance} returned. */
export type MachineStop =
  /** {@link Machine.ending} says how. */
  | 'ended'
  /** Virtual time has reached what was asked for. */
  | 'until'
  /** At the pause point, or because somebody asked the host to pause. */
  | 'paused';

type PortExit = Extract<KvmExit, { reason: 'IO' }>;

/** Virtual time between two looks at the limit of instructions: at most so many ns, at least cycles. */
const CHECK_INTERVAL_NS = 1_000_000;
const CHECK_INTERVAL_MIN_CYCLES = 1000;

export class Machine {
  readonly scenario: Scenario;
  readonly preset: CostPreset;
  /** What things cost: those of the preset, but for what the scenario says. */
  private readonly costs: ReturnType<typeof costsOf>;
  readonly host: Host;
  readonly vms: readonly Vm[];
  /** Of all virtual machines, in their order: none is created later. */
  readonly vcpus: readonly Vcpu[];
  readonly devices: readonly Devices[];
  /** Names of the addresses in each virtual machine. */
  readonly symbols: readonly SymbolMap[];
  /** What each virtual machine's program is told, and tells. */
  readonly programData: readonly ProgramData[];
  /** How each virtual machine ended, or null while it runs. */
  endings: readonly (MachineEnding | null)[];
  /** Who asks policies; names the one that is being asked. */
  readonly watch = new PolicyWatch();
  /** The threads that compete with the virtual machines. */
  readonly hogs: Hogs;
  /** Who looks at guest code and memory on behalf of faults and properties. */
  readonly probes: Probes;
  /** Who makes the scenario's faults happen, or null. */
  readonly faults: FaultInjector | null;
  private readonly cgroups: Cgroups;
  private readonly serialLines: readonly SerialLine[];
  /** Set when a limit ended the run, or a policy failed. */
  private limit: MachineEnding | null = null;
  /** Virtual time up to which the host was told to run, in cycles. */
  private reached = 0;

  /**
   * Throws if there are not as many programs as virtual machines, one does not fit, or one does not
   * have a parameter of the scenario.
   */
  constructor(scenario: Scenario, options: MachineOptions) {
    if (options.programs.length !== scenario.vms.length) {
      throw new RangeError(`${scenario.vms.length} programs expected`);
    }
    this.scenario = scenario;
    this.preset = COST_PRESETS[scenario.host.machine];
    this.costs = costsOf(this.preset, scenario.host.costs);
    const policies = options.policies ?? new Map();
    const { watch } = this;
    const placeWoken = placementOf(scenario, policies, watch, () => this.host.scheduler);
    this.host = new Host({
      pcpuCount: scenario.host.pcpus,
      packages: packagesFor(this.preset, scenario.host.pcpus),
      khz: this.preset.khz,
      hz: scenario.host.hz,
      lookahead: scenario.host.lookahead,
      skip: scenario.skip === 'on',
      seed: scenario.seed,
      costs: this.costs.host,
      scheduler: schedulerOf(scenario.host),
      ...(placeWoken === undefined ? {} : { placeWoken }),
    });
    this.host.sink = options.sink ?? null;
    this.cgroups = new Cgroups(this.host, scenario);
    this.devices = scenario.vms.map(() => new Devices());
    this.endings = scenario.vms.map(() => null);
    this.vms = scenario.vms.map((_, i) =>
      this.createVm(i, vmDecisions(scenario, i, policies, watch)),
    );
    this.vcpus = this.vms.flatMap((vm) => vm.vcpus);
    this.vms.forEach((vm, i) => {
      const modules = options.modules?.[i] ?? [];
      const config = scenario.vms[i];
      loadProgram(vm, options.programs[i], bootRequestOf(config, modules), config.start);
    });
    this.symbols = options.programs.map((program, i) =>
      programSymbols(program, options.symbols?.[i] ?? null),
    );
    this.programData = this.vms.map((vm, i) => this.fill(vm, options.programs[i]));
    const groups = scenario.hogs.map(({ cgroup, cpu_weight: weight }, i) =>
      this.cgroups.forThreads(cgroup, `hogs${i}`, weight),
    );
    coschedule(this.host, this.vms, scenario);
    const starts = new Starts(this.host, scenario.host.placement, scenario.seed);
    this.hogs = new Hogs(this.host, scenario, groups, starts);
    this.probes = new Probes(this);
    this.faults = scenario.faults.length > 0 ? new FaultInjector(this) : null;
    for (const { vm, thread } of this.vcpus) starts.start(thread, scenario.vms[vm.id].delay);
    const isRepinned = scenario.vms.some(({ affinity_changes: changes }) => changes.length > 0);
    if (this.host.parameters.activeBalance || isRepinned) this.host.createStoppers();
    armAffinityChanges(this.host, this.vms, scenario);
    this.serialLines = this.vms.map((vm, i) => new SerialLine(vm, this.devices[i]));
    for (const [i, { serial_input: text }] of scenario.vms.entries()) {
      const input = text === '' ? null : serialInputOf(text);
      if (input !== null) this.sendSerial(i, input);
    }
    this.host.order = options.order?.(this) ?? null;
  }

  private createVm(id: number, decisions: Decisions): Vm {
    const config = this.scenario.vms[id];
    const ramBytes = config.memory;
    const bytes = ramBytes + Vm.overheadBytes(ramBytes, config.vcpus, config.kvm.flexpriority);
    const isCompiled = this.scenario.engine !== 'interpreter';
    const storage = isCompiled ? compilableMemory(bytes, config.vcpus) : undefined;
    const vm = new Vm({
      id,
      name: config.name,
      host: this.host,
      memory: new PhysicalMemory(bytes, storage?.buffer),
      ...(storage === undefined ? {} : { storage }),
      ramBytes,
      costs: this.costs.vm,
      parameters: parametersOf(config.kvm, this.preset.signature, this.scenario.host.kernel),
      userSpace: this.userSpace(id),
      decisions,
    });
    if (vm.compiler !== undefined) {
      vm.compiler.leavesDelays = vm.compiler.passesWaits = this.scenario.skip === 'on';
    }
    const group = this.cgroups.forThreads(config.cgroup, config.name, config.cpu_weight);
    for (let i = 0; i < config.vcpus; i++) {
      const affinity = affinityOf(pinOf(config, i), this.scenario.host.pcpus);
      const own = config.vcpu_cgroups ? this.cgroups.below(group, `vcpu${i}`) : group;
      const vcpu = vm.createVcpu(affinity, config.nice, own, config.sched_policy);
      vcpu.virtual.processor.engine = this.scenario.engine;
      vcpu.virtual.processor.skipsDelays = this.scenario.skip === 'on';
    }
    return vm;
  }

  /** The memory of each machine, by its program's names. */
  get namedRam(): readonly NamedRam[] {
    return this.vms.map(({ ramBytes }, i) => ({ symbols: this.symbols[i], ramBytes }));
  }

  /** Give a program its parameters and its input. Throws if it does not expect them. */
  private fill(vm: Vm, program: Uint8Array): ProgramData {
    const { parameters, input } = this.scenario.vms[vm.id];
    const data = new ProgramData(program, this.symbols[vm.id], vm.ramBytes);
    const [issue] = data.issues(parameters);
    if (issue !== undefined) throw new RangeError(`${vm.name}: ${issue.message}`);
    data.fill(vm, parameters, this.scenario.seed);
    giveInput(vm, data, input);
    return data;
  }

  /** Before the start: what comes to a serial port of which nothing was said before. */
  sendSerial(id: number, input: SerialInput): void {
    this.serialLines[id].connect(input);
  }

  /** The process that runs a virtual machine. */
  private userSpace(id: number): UserSpace {
    return {
      handleExit: (vcpu, exit) => this.handleExit(id, vcpu, exit),
      allBlocked: (vm) => this.allBlocked(vm),
    };
  }

  /** End the run here; with a sentence, without a full stop, that says why. */
  stop(message: string): void {
    this.limit = Ending.stopped(message);
    this.host.requestStop();
  }

  private allBlocked(vm: Vm): void {
    // Who has a delay may wake the others yet.
    if (!vm.vcpus.every(({ thread }) => thread.hasBegun)) return;
    const ending = endingOfHalt(vm);
    const { nextSerialNs, serialInterruptsForData } = this.devices[vm.id];
    const isAwaited = nextSerialNs !== null && serialInterruptsForData;
    if (ending.status !== 'deadlock' || !isAwaited) this.end(vm.id, ending);
  }

  private handleExit(id: number, vcpu: Vcpu, exit: KvmExit): 'run' | 'stop' {
    switch (exit.reason) {
      case 'IO':
        return this.handlePort(id, vcpu, exit);
      case 'MMIO':
        // Nothing is there: reads give all ones, writes are lost.
        if (!exit.isWrite) exit.data = Long.NEG_ONE;
        return 'run';
      case 'SHUTDOWN':
        return this.end(id, Ending.tripleFault(vcpu));
      case 'FAIL_ENTRY':
        this.faults?.entries.restore(vcpu);
        return this.end(id, Ending.entryFailed(vcpu, exit));
      case 'INTERNAL_ERROR': {
        const notImplemented = exit.suberror === InternalError.EMULATION;
        const { message } = exit;
        return this.end(
          id,
          notImplemented ? Ending.notImplemented(vcpu, message) : Ending.kvmError(vcpu, message),
        );
      }
      case 'HLT':
      case 'HYPERCALL':
      case 'X86_RDMSR':
      case 'X86_WRMSR':
      case 'DEBUG':
      case 'IRQ_WINDOW_OPEN':
      case 'SET_TPR':
      case 'INTR':
        // The interrupt controllers are the kernel's, and nothing of this was asked for.
        return this.end(id, Ending.kvmError(vcpu, `KVM_EXIT_${exit.reason} was not asked for`));
    }
  }

  /** An access of a port, and the interrupts that follow from it. */
  private handlePort(id: number, vcpu: Vcpu, exit: PortExit): 'run' | 'stop' {
    const devices = this.devices[id];
    const before = devices.serialInterrupts;
    const result = this.accessPort(id, vcpu, exit);
    this.serialLines[id].accessed(before, this.host.pcpus[vcpu.thread.state.pcpu]);
    return result;
  }

  private accessPort(id: number, vcpu: Vcpu, exit: PortExit): 'run' | 'stop' {
    const devices = this.devices[id];
    const around = {
      nowNs: this.host.pcpus[vcpu.thread.state.pcpu].nowNs,
      vcpuCount: vcpu.vm.vcpus.length,
      ramBytes: vcpu.vm.ramBytes,
    };
    const { port, sizeBytes } = exit;
    if (exit.direction === 'in') {
      exit.data = devices.read(port, sizeBytes, around);
      return 'run';
    }
    const request = devices.write(port, sizeBytes, exit.data, around);
    switch (request?.kind) {
      case undefined:
        return 'run';
      case 'exit':
        return this.end(id, Ending.exited(vcpu, devices.state.exitPort.value));
      case 'reset':
        return this.end(id, Ending.reset(vcpu, port));
      case 'notImplemented': {
        const where = `port 0x${port.toString(16)}`;
        return this.end(id, Ending.notImplemented(vcpu, `${request.what}, at ${where}`));
      }
    }
  }

  private end(id: number, ending: MachineEnding): 'stop' {
    this.endings = this.endings.map((old, i) => old ?? (i === id ? ending : null));
    this.vms[id].shutDown();
    if (!this.endings.includes(null)) this.host.requestStop();
    return 'stop';
  }

  /** How the run ended, or null while it goes on: the worst ending of any virtual machine. */
  get ending(): MachineEnding | null {
    if (this.endings.includes(null)) return this.limit;
    return this.endings.reduce((worst, ending) =>
      (ending as MachineEnding).exitCode > (worst as MachineEnding).exitCode ? ending : worst,
    );
  }

  /** Cycles of virtual time that have passed; up to the limit if one ended the run in its sleep. */
  get now(): number {
    return this.limit === null ? this.host.now : Math.max(this.host.now, this.reached);
  }

  /** Guest instructions completed. */
  get instructions(): number {
    return this.vcpus.reduce((sum, vcpu) => sum + vcpu.virtual.processor.instructions, 0);
  }

  /** A policy that fails ends the run where it is: nobody knows what it would have decided. */
  private runHost(goal: number, at: PausePoint | null): HostStop | 'failed' {
    try {
      return this.host.run(goal, at);
    } catch (thrown) {
      if (!(thrown instanceof PolicyError)) throw thrown;
      this.policyFailed(thrown);
      return 'failed';
    }
  }

  /** A policy has failed, or was stopped because it did not return. The machine cannot go on. */
  policyFailed(error: PolicyError): void {
    const { host } = this;
    const ns = host.frequency.toNs(Math.max(...host.pcpus.map(({ state }) => state.now)));
    this.limit = Ending.policyFailed(error.message, ns);
  }

  private limitReached(): MachineEnding | null {
    const { time, instructions } = this.scenario.limits;
    if (this.instructions >= instructions) return Ending.limit('instructions', instructions);
    // Not the clock: while everybody sleeps it stands still until the next event.
    if (this.reached >= this.host.frequency.toCycles(time)) return Ending.limit('time', time);
    return null;
  }

  /**
   * Run until the machine ends or virtual time reaches `until` (cycles; default: the limits).
   * Returns how it ended, or null if it has not. Where it pauses makes no difference to the run:
   * limits are looked at only at multiples of an interval, and when the time is up.
   */
  run(until = Number.POSITIVE_INFINITY): MachineEnding | null {
    this.advance(until);
    return this.ending;
  }

  /**
   * As {@link run}, for whoever looks on: pauses also at a point in the middle of a turn, or where
   * the host is asked to pause.
   */
  advance(until: number, at: PausePoint | null = null): MachineStop {
    const { frequency } = this.host;
    const { instructions, time } = this.scenario.limits;
    // An instruction takes a cycle at least, so that a small limit is not overrun by far.
    const step = Math.min(
      Math.max(instructions, CHECK_INTERVAL_MIN_CYCLES),
      frequency.toCycles(CHECK_INTERVAL_NS),
    );
    const end = frequency.toCycles(time);
    let isPaused = false;
    while (this.ending === null && this.reached < until && !isPaused) {
      const next = Math.min((Math.floor(this.reached / step) + 1) * step, end);
      const goal = Math.min(next, until, this.faults?.nextPause ?? next);
      const stop = this.runHost(goal, at);
      if (stop === 'failed') return 'ended';
      if (stop === 'idle') {
        this.orderIsOver();
        continue;
      }
      isPaused = stop === 'paused';
      if (isPaused) continue;
      this.reached = goal;
      if (goal === next) this.limit ??= this.limitReached();
      if (this.ending === null && goal === this.faults?.nextPause) this.faults.pausedAt(goal);
    }
    this.host.assertConserved();
    if (this.ending !== null) return 'ended';
    return isPaused ? 'paused' : 'until';
  }

  private orderIsOver(): void {
    const { order } = this.host;
    if (order === null) throw new Error('the host has nothing to do, but no machine has ended');
    this.limit = Ending.stopped(order.end);
  }

  /**
   * Save everything. Taking a snapshot changes nothing.
   * @param base an earlier one, with which it shares the pages of memory that are still the same
   */
  snapshot(base: MachineSnapshot | null = null): MachineSnapshot {
    const saved = copyPlain({
      host: this.host.state,
      vms: this.vms.map((vm) => vm.snapshot),
      devices: this.devices.map(({ state }) => state),
      endings: this.endings,
      limit: this.limit,
      reached: this.reached,
      order: this.host.order?.state ?? null,
      hogs: this.hogs.state,
      faults: this.faults?.state ?? null,
    });
    const memory = this.vms.map((vm, i) => vm.memory.savePages(base?.memory[i]));
    return { ...saved, memory };
  }

  /** Go on from a snapshot of the very moment, with nothing derived from what was before. */
  saveAndRestore(): void {
    const hash = this.stateHash();
    this.restore(this.snapshot());
    for (const vm of this.vms) vm.dropCode();
    if (this.stateHash() !== hash) throw new Error('a snapshot is not the state it was made of');
  }

  /** Go back (or forward) to a snapshot of a machine with the same scenario and programs. */
  restore(snapshot: MachineSnapshot): void {
    const { memory: pages, ...rest } = snapshot;
    const saved = copyPlain(rest);
    this.vms.forEach(({ memory }, i) => {
      memory.restorePages(pages[i]);
    });
    this.host.state = saved.host;
    this.vms.forEach((vm, i) => {
      vm.snapshot = saved.vms[i];
    });
    this.devices.forEach((devices, i) => {
      devices.state = saved.devices[i];
    });
    this.endings = [...saved.endings];
    this.limit = saved.limit;
    this.reached = saved.reached;
    if (this.host.order !== null) this.host.order.state = saved.order;
    this.hogs.state = saved.hogs;
    if (this.faults !== null && saved.faults !== null) this.faults.state = saved.faults;
    this.probes.memoryRestored();
  }

  /** Identifies the state: equal for equal states, whatever led to them. 32 hexadecimal digits. */
  stateHash(): string {
    const hash = new Hash();
    for (const vm of this.vms) {
      hashMemory(hash, vm);
      hash.text(JSON.stringify(vm.snapshot));
    }
    hash.text(JSON.stringify(this.devices.map(({ state }) => state)));
    hash.text(JSON.stringify(this.host.state));
    if (this.hogs.state.length > 0) hash.text(JSON.stringify(this.hogs.state));
    if (this.faults !== null) hash.text(JSON.stringify(this.faults.state));
    return hash.digest();
  }
}

function parametersOf(
  kvm: Scenario['vms'][number]['kvm'],
  signature: number,
  kernel: string,
): KvmParameters {
  return {
    pleGap: kvm.ple_gap,
    pleWindow: kvm.ple_window,
    pleWindowGrow: kvm.ple_window_grow,
    pleWindowShrink: kvm.ple_window_shrink,
    pleWindowMax: kvm.ple_window_max,
    spinHandler: kvm.spin_handler,
    kickYields: kvm.kick_yields,
    preemptionTimer: kvm.preemption_timer,
    hvTimer: kvm.hv_timer,
    fastpath: kvm.fastpath,
    haltPollNs: kvm.halt_poll_ns,
    haltPollNsGrow: kvm.halt_poll_ns_grow,
    haltPollNsGrowStart: kvm.halt_poll_ns_grow_start,
    haltPollNsShrink: kvm.halt_poll_ns_shrink,
    preemptedFlag: kvm.preempted_flag,
    lapicTimerAdvanceNs: kvm.lapic_timer_advance_ns,
    minTimerPeriodUs: kvm.min_timer_period_us,
    flexpriority: kvm.flexpriority,
    mmioCaching: kvm.mmio_caching,
    apicOffExits: kvm.apic_off_exits,
    tracesSteadyWindows: TraceFormat.of(kernel).layoutOf('kvm_ple_window') !== null,
    ...guestInterfaceOf(kvm, signature),
  };
}

function schedulerOf({ scheduler }: Scenario['host']): SchedulerParameters {
  return {
    fairClass: scheduler.fair_class,
    preemption: scheduler.preemption,
    entryResched: scheduler.entry_resched,
    yieldToCheck: scheduler.yield_to_check,
    latencyNs: scheduler.latency,
    minGranularityNs: scheduler.min_granularity,
    wakeupGranularityNs: scheduler.wakeup_granularity,
    balanceBy: scheduler.balance_by,
    migrationCostNs: scheduler.migration_cost,
    busyFactor: scheduler.busy_factor,
    balanceIntervalMs: scheduler.balance_interval_ms,
    imbalancePct: scheduler.imbalance_pct,
    newIdleMinNs: scheduler.newidle_min,
    activeBalance: scheduler.active_balance,
    wakeAffine: scheduler.wake_affine,
    schedIdleCpu: scheduler.sched_idle_cpu,
    bandwidthSliceNs: scheduler.cfs_bandwidth_slice,
    schedstats: scheduler.schedstats,
  };
}

/** Processor states are hashed without their scratch room, whose contents mean nothing. */
function hashMemory(hash: Hash, vm: Vm): void {
  const { memory } = vm;
  const stateOffsets = new Map(
    vm.vcpus.map(({ virtual }) => {
      const offset = virtual.processor.state.words.byteOffset - memory.bytes.byteOffset;
      return [offset / PAGE_SIZE, STATE_BYTES] as const;
    }),
  );
  for (const number of memory.touchedPages()) {
    if (stateOffsets.has(number) || isZero(memory.page(number))) continue;
    hash.number(number).bytes(memory.page(number));
  }
  for (const [number, bytes] of stateOffsets) {
    hash.number(number).bytes(memory.page(number).subarray(0, bytes));
  }
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}
