// /dev/kvm: what can be asked without a virtual machine, and making one. Each opened one has an
// emulated host of its own, on which the threads of its vCPUs run in virtual time; that advances
// only inside KVM_RUN.

import { ENGINES, type Engine } from '../cpu/index.ts';
import { Host, type Pcpu } from '../host/index.ts';
import type { CpuidEntry, KvmExit, Vcpu } from '../kvm/index.ts';
import { COST_PRESETS, type CostPresetName } from '../machine/index.ts';
import type { TraceSink } from '../trace/index.ts';
import { extensionValue } from './capabilities.ts';
import { KvmError, require } from './errors.ts';
import { MSR_INDEX_LIST, supportedCpuid } from './identification.ts';
import { RUN_BYTES } from './run-page.ts';
import { KvmVm } from './vm.ts';

export interface KvmOptions {
  /** pCPUs of the host; 1 by default. */
  readonly pcpus?: number;
  /** The machine whose costs the host has. */
  readonly machine?: CostPresetName;
  /** Where chance begins, such as the phases of ticks. */
  readonly seed?: number;
  /** Scheduler ticks per second. */
  readonly hz?: number;
  readonly engine?: Engine;
  /** Module parameter mmio_caching of kvm: pages of devices are marked in EPT; true by default. */
  readonly mmioCaching?: boolean;
  /** Who listens to trace events. */
  readonly sink?: TraceSink;
  /**
   * Virtual time in ns that one KVM_RUN may take before a signal ends it with EINTR: a guest that
   * loops would never return. A second by default.
   */
  readonly runLimitNs?: number;
}

/** A record, so that none can be left out. */
const OPTIONS: Readonly<Record<keyof KvmOptions, true>> = {
  pcpus: true,
  machine: true,
  seed: true,
  hz: true,
  engine: true,
  mmioCaching: true,
  sink: true,
  runLimitNs: true,
};

/** Version of the API: KVM_GET_API_VERSION. */
export const KVM_API_VERSION = 12;

/** Name of the host timers of {@link Kvm.callAfter}. */
const CALL_HANDLER = 'user-space';
const LOOKAHEAD = 400;
const DEFAULT_RUN_LIMIT_NS = 1e9;
const DEFAULT_MEMORY_BYTES = 64 * 2 ** 20;

/** Open the emulated /dev/kvm. Throws a RangeError for options that make no sense. */
export function openKvm(options: KvmOptions = {}): Kvm {
  return new Kvm(options);
}

/** A vCPU's way out of KVM_RUN, which whoever waits for it looks at. */
export interface Returned {
  readonly vcpu: Vcpu;
  readonly exit: KvmExit;
}

export class Kvm {
  readonly host: Host;
  readonly engine: Engine;
  readonly machine: CostPresetName;
  readonly runLimitNs: number;
  readonly mmioCaching: boolean;
  private readonly vms: KvmVm[] = [];
  /** vCPUs that have left KVM_RUN, in order, until they are asked for. */
  private readonly returned: Returned[] = [];
  /** What {@link callAfter} waits for, by the id of its timer. */
  private calls: readonly { readonly id: number; readonly act: () => void }[] = [];
  /** The pCPU whose doing gave user space its turn, or null. */
  private turnOn: Pcpu | null = null;
  /** What user space has thrown in its turn. */
  private thrown: { readonly thrown: unknown } | null = null;

  constructor(options: KvmOptions) {
    const unknown = Object.keys(options).find((name) => !Object.hasOwn(OPTIONS, name));
    if (unknown !== undefined) {
      const known = Object.keys(OPTIONS).join(', ');
      throw new RangeError(`there is no option '${unknown}'; there are ${known}`);
    }
    const { pcpus = 1, machine = 'e5-2660v4', seed = 1, hz = 250, engine = 'compiled' } = options;
    const { runLimitNs = DEFAULT_RUN_LIMIT_NS } = options;
    const preset = COST_PRESETS[machine];
    if (preset === undefined) throw new RangeError(`machine: there is no preset '${machine}'`);
    if (!ENGINES.includes(engine)) throw new RangeError(`engine: there is no engine '${engine}'`);
    const counts = { pcpus, hz, runLimitNs };
    for (const [name, value] of Object.entries(counts)) {
      if (!(Number.isSafeInteger(value) && value > 0)) {
        throw new RangeError(`${name}: a positive integer expected, not ${value}`);
      }
    }
    this.engine = engine;
    this.machine = machine;
    this.runLimitNs = runLimitNs;
    this.mmioCaching = options.mmioCaching ?? true;
    this.host = new Host({
      pcpuCount: pcpus,
      khz: preset.khz,
      hz,
      lookahead: LOOKAHEAD,
      skip: true,
      seed,
      costs: preset.host,
    });
    this.host.sink = options.sink ?? null;
    this.host.timers.register(CALL_HANDLER, (pcpu) => {
      const due = this.calls.find(({ id }) => this.host.timers.handlerOf(id) === null);
      this.calls = this.calls.filter((call) => call !== due);
      if (due !== undefined) this.userTurn(pcpu, due.act);
    });
  }

  /** KVM_GET_API_VERSION. */
  getApiVersion(): number {
    return KVM_API_VERSION;
  }

  /** KVM_CHECK_EXTENSION: 0 for what is not there. By number or name, with or without KVM_CAP_. */
  checkExtension(capability: number | string): number {
    return extensionValue(capability);
  }

  /** KVM_GET_VCPU_MMAP_SIZE, in bytes. */
  getVcpuMmapSize(): number {
    return RUN_BYTES;
  }

  /** KVM_GET_SUPPORTED_CPUID. */
  getSupportedCpuid(): readonly CpuidEntry[] {
    return supportedCpuid(this.machine);
  }

  /** KVM_GET_MSR_INDEX_LIST. */
  getMsrIndexList(): readonly number[] {
    return MSR_INDEX_LIST;
  }

  /**
   * KVM_CREATE_VM.
   * @param type 0; there is no other kind (EINVAL)
   * @param options how much memory {@link KvmVm.mmap} can give, in bytes
   */
  createVm(type = 0, options: { readonly memoryBytes?: number } = {}): KvmVm {
    require(type === 0, 'KVM_CREATE_VM', 'EINVAL', `there is no VM type ${type}`);
    const { memoryBytes = DEFAULT_MEMORY_BYTES } = options;
    const isSize = Number.isSafeInteger(memoryBytes) && memoryBytes > 0;
    require(isSize, 'KVM_CREATE_VM', 'EINVAL', 'memoryBytes is a positive integer');
    const vm = new KvmVm(this, this.vms.length, memoryBytes);
    this.vms.push(vm);
    return vm;
  }

  /** Virtual time that has passed, in ns. */
  get nowNs(): number {
    return this.host.frequency.toNs(this.host.now);
  }

  /** A vCPU leaves KVM_RUN. */
  leaves(vcpu: Vcpu, exit: KvmExit): void {
    this.returned.push({ vcpu, exit });
    this.host.requestStop();
  }

  /**
   * Let time pass until one of some vCPUs has left KVM_RUN, and return how. Those that wait for it
   * longer than allowed are sent a signal; if none of them can ever leave by itself, that is so at
   * once, and an error follows.
   */
  await(wanted: readonly Vcpu[], limitNs: number): Returned {
    const { host } = this;
    const end = host.now + host.frequency.toCycles(limitNs);
    let isSignalled = false;
    let isStuck = false;
    for (;;) {
      const at = this.returned.findIndex(({ vcpu }) => wanted.includes(vcpu));
      if (at >= 0) {
        const [found] = this.returned.splice(at, 1);
        if (isStuck) throw new KvmError('KVM_RUN', 'EDEADLK', stuckText(wanted));
        return found;
      }
      this.remind();
      const stop = host.run(isSignalled ? Number.MAX_SAFE_INTEGER : end);
      if (this.thrown !== null && !isSignalled) {
        isSignalled = true;
        for (const vcpu of wanted) this.signal(vcpu);
      }
      if (stop === 'requested' || this.returned.length > 0) continue;
      if (isSignalled) throw new Error('a vCPU does not react to signals');
      isSignalled = true;
      isStuck = stop === 'idle';
      for (const vcpu of wanted) this.signal(vcpu);
    }
  }

  /** What calls from outside have asked of pCPUs, which may be idle, begins. */
  private remind(): void {
    const { host } = this;
    for (const pcpu of host.pcpus) {
      const hasWork = pcpu.isIdle && pcpu.queue.runningCount > 0;
      if (!hasWork && !pcpu.needResched) continue;
      host.postInterrupt(Math.max(host.now, pcpu.now), 'ipi', pcpu.index);
    }
  }

  /** Where what user space calls now runs: on the pCPU whose doing called it, or the first. */
  get callerNow(): Pcpu {
    return this.turnOn ?? this.caller(0);
  }

  /**
   * User space has a turn while vCPUs are in KVM_RUN: it may read and write guest memory, and make
   * calls that do not wait. What it throws, KVM_RUN throws.
   */
  userTurn(pcpu: Pcpu, act: () => void): void {
    const outer = this.turnOn;
    this.turnOn = pcpu;
    if (outer === null) {
      for (const { vm, memory } of this.vms) {
        vm.settle();
        memory.remember();
      }
    }
    try {
      act();
    } catch (thrown) {
      this.thrown ??= { thrown };
      this.host.requestStop();
    } finally {
      this.turnOn = outer;
      if (outer === null) for (const { memory } of this.vms) memory.notice();
    }
  }

  /** User space has a turn inside KVM_RUN. */
  get isInTurn(): boolean {
    return this.turnOn !== null;
  }

  /** Throw what user space has thrown in its turn. */
  rethrow(): void {
    const { thrown } = this;
    this.thrown = null;
    if (thrown !== null) throw thrown.thrown;
  }

  /**
   * Have a function called when some virtual time has passed, as by a thread that sleeps so long;
   * see {@link Eventfd.onSignal} for what it may do. Time passes inside KVM_RUN only.
   * @returns what ends it before
   */
  callAfter(delayNs: number, act: () => void): () => void {
    const isDelay = Number.isFinite(delayNs) && delayNs >= 0;
    require(isDelay, 'callAfter', 'EINVAL', `${delayNs} is no number of ns`);
    const { host } = this;
    const pcpu = this.callerNow;
    const id = host.timers.start(CALL_HANDLER, pcpu.now + host.frequency.toCycles(delayNs), pcpu);
    const call = { id, act };
    this.calls = [...this.calls, call];
    return () => {
      host.timers.cancel(id);
      this.calls = this.calls.filter((each) => each !== call);
    };
  }

  /** A pCPU on which a call from outside is taken to run, at the time that it is. */
  caller(index: number): Pcpu {
    const pcpu = this.host.pcpus[index];
    if (pcpu.isIdle) pcpu.idleUntil(this.host.now);
    return pcpu;
  }

  /** Make a vCPU leave KVM_RUN, wherever it is. */
  signal(vcpu: Vcpu): void {
    const { user } = vcpu;
    if (user === null || vcpu.state.phase === 'outside') return;
    user.leave = 'signal';
    vcpu.requestEvent();
    this.wake(vcpu);
  }

  /** Have a vCPU's thread look around: it wakes if it sleeps, and leaves the guest if it is there. */
  wake(vcpu: Vcpu): void {
    const { host } = this;
    const own = this.caller(vcpu.thread.state.pcpu);
    host.stir(own);
    if (host.scheduler.wake(vcpu.thread, own) || !vcpu.isInGuest) return;
    host.postInterrupt(Math.max(host.now, own.now), 'ipi', own.index);
  }
}

function stuckText(vcpus: readonly Vcpu[]): string {
  const places = vcpus.map((vcpu) => `vCPU ${vcpu.index} (${vcpu.state.mpState}) ${vcpu.place}`);
  return `nothing can ever wake ${places.join(', ')}; the real call would hang`;
}
