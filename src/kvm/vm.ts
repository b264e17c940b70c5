// One virtual machine: memory with its EPT mapping, vCPUs, parameters, and how its exits are
// handled. Linux struct kvm.

import Long from 'long';
import {
  type Attendant,
  CodeCache,
  type CompilableMemory,
  Compiler,
  type InstructionCosts,
} from '../cpu/index.ts';
import type { Host, Policy, ThreadGroup } from '../host/index.ts';
import { PAGE_SIZE, type PhysicalMemory } from '../memory/index.ts';
import {
  EptBuilder,
  eptPointer,
  TSC_MULTIPLIER_ONE,
  tscMultiplier,
  VIRTUAL_PROCESSOR_BYTES,
  VirtualProcessor,
  type VmxCosts,
} from '../vmx/index.ts';
import type { KvmCosts } from './costs.ts';
import { CpuidTable } from './cpuid.ts';
import type { Disturbance } from './disturbance.ts';
import type { ExitHandler } from './exits/handler.ts';
import { EXIT_HANDLERS, type ExitHandlers, handlersByReason } from './exits/handlers.ts';
import { ApicAccessPage } from './flexpriority.ts';
import { EventBus } from './io-events.ts';
import { Irqchip, type IrqchipState } from './irqchip.ts';
import type { KvmExit } from './kvm-exit.ts';
import { lapicTimerHandler } from './lapic-timer.ts';
import { MemorySlots, type MemorySlotsState } from './memory-slots.ts';
import { MmioPages } from './mmio-pages.ts';
import { isMsrAllowed, type MsrFilter } from './msr-exits.ts';
import { DEFAULT_PARAMETERS, type KvmParameters } from './parameters.ts';
import { type Decisions, decisionsOf } from './policies.ts';
import { grantTimerHandler } from './preempt-grant.ts';
import type { Halves } from './pv-msrs.ts';
import { dozeTimerHandler, VcpuThread } from './run-loop.ts';
import { Vcpu, type VcpuSnapshot } from './vcpu.ts';
import { initializeVmcs, passThroughMsrs } from './vmcs-setup.ts';

/** The process around KVM_RUN: it deals with what the kernel cannot. */
export interface UserSpace {
  /**
   * Deal with an exit: `run` calls KVM_RUN again, `stop` ends the vCPU, `wait` leaves it outside
   * until {@link VcpuThread} is told that KVM_RUN was called. Time spent is charged by the caller.
   */
  handleExit(vcpu: Vcpu, exit: KvmExit): 'run' | 'stop' | 'wait';
  /** Every vCPU of the machine sleeps and none has a timer: nothing inside can wake it. */
  allBlocked(vm: Vm): void;
}

/** Costs of everything below user space. */
export interface VmCosts {
  readonly instructions: InstructionCosts;
  readonly vmx: VmxCosts;
  readonly kvm: KvmCosts;
}

export interface VmConfig {
  /** Position among the virtual machines of the host. */
  readonly id: number;
  readonly name: string;
  readonly host: Host;
  readonly memory: PhysicalMemory;
  /** What the memory lies in, if hot code is to be compiled; see `compilableMemory`. */
  readonly storage?: CompilableMemory;
  /** Guest RAM, from guest-physical address 0, as slot 0; a multiple of 4096, 0 for no slot. */
  readonly ramBytes: number;
  readonly costs: VmCosts;
  readonly parameters?: Partial<KvmParameters>;
  readonly userSpace: UserSpace;
  /** KVM_CREATE_IRQCHIP and KVM_CREATE_PIT2; by default both. */
  readonly irqchip?: boolean;
  /** Decisions in the place of KVM's own; see {@link decisionsOf}. */
  readonly decisions?: Decisions;
  /** Handlers that replace the standard ones, by the name of the exit reason. */
  readonly handlers?: Partial<ExitHandlers>;
}

/** What changes of a virtual machine beside memory and vCPUs: plain data. */
export interface VmOwnState {
  readonly wallClock: Halves;
  readonly runsOldClock: boolean;
  readonly clockOffsetNs: number;
  readonly irqchip: IrqchipState | null;
  readonly slots: MemorySlotsState;
  /** EPT tables for pages of devices. */
  readonly mmioTables: number;
  readonly lastBoostedVcpu: number;
  readonly isShutDown: boolean;
}

/** Everything about a virtual machine that changes, outside memory. */
export interface VmSnapshot extends VmOwnState {
  readonly vcpus: readonly VcpuSnapshot[];
}

/** RAM begins at a 2 MiB boundary of host memory, so that EPT can use large pages. */
const RAM_ALIGNMENT = 2 ** 21;

export class Vm {
  readonly id: number;
  readonly name: string;
  readonly host: Host;
  readonly memory: PhysicalMemory;
  readonly ramBytes: number;
  /** Host-physical address of guest-physical address 0. */
  readonly ramHpa: number;
  readonly costs: VmCosts;
  parameters: KvmParameters;
  readonly userSpace: UserSpace;
  readonly decisions: Decisions;
  /** By number of the basic exit reason. */
  readonly handlers: readonly (ExitHandler | undefined)[];
  readonly cpuid: CpuidTable;
  readonly vcpus: Vcpu[] = [];
  /** PIC, I/O APIC and PIT, if they are in the kernel. */
  irqchip: Irqchip | null;
  /** vCPU that a directed yield went to last; the next scan begins behind it. */
  lastBoostedVcpu = 0;
  /** Bits of the hypercalls that go to user space: KVM_CAP_EXIT_HYPERCALL. */
  forwardedHypercalls = 0;
  /** Bits of MsrExitReason: failing accesses to MSRs that go to user space. */
  msrExitReasons = 0;
  private deniedMsrs: MsrFilter | null = null;
  /** Which guest-physical addresses are RAM. */
  readonly slots: MemorySlots;
  /** What guests have at the place of the xAPIC under FlexPriority, or null. */
  readonly apicAccess: ApicAccessPage | null;
  /** Pages without slot that guests have touched, or null if nobody remembers. */
  readonly mmioPages: MmioPages | null;
  /** Writes that are only signals. */
  readonly ioEvents = new EventBus();
  /** Who injects faults into this machine, or null. */
  disturbance: Disturbance | null = null;
  /** User space has shut the machine down: its threads end as soon as they run again. */
  isShutDown = false;
  /** The wall clock MSR, which all vCPUs share. */
  wallClock: Halves = { low: 0, high: 0 };
  /** What KVM_SET_CLOCK has added to kvmclock, which counts ns from the beginning of the run. */
  clockOffsetNs = 0;
  /** The first vCPU has registered kvmclock by the old MSR: then vCPUs have no common base. */
  runsOldClock = false;
  /** Makes compiled code for all vCPUs, or undefined. */
  readonly compiler: Compiler | undefined;
  private readonly codeCache: CodeCache;
  private readonly codeStops = new Map<Attendant, readonly Long[]>();
  private readonly ept: EptBuilder;
  private readonly msrBitmap: number;

  constructor(config: VmConfig) {
    this.id = config.id;
    this.name = config.name;
    this.host = config.host;
    this.memory = config.memory;
    this.ramBytes = config.ramBytes;
    this.costs = config.costs;
    this.parameters = { ...DEFAULT_PARAMETERS, ...config.parameters };
    this.userSpace = config.userSpace;
    this.decisions = config.decisions ?? decisionsOf({});
    this.handlers = handlersByReason({
      ...EXIT_HANDLERS,
      ...this.decisions.handlers,
      ...config.handlers,
    });
    this.cpuid = new CpuidTable(this);
    this.irqchip = config.irqchip === false ? null : new Irqchip(this);
    this.codeCache = new CodeCache(this.memory, this.costs.instructions);
    const { storage } = config;
    this.compiler =
      storage === undefined ? undefined : new Compiler(storage, this.memory, this.codeCache);
    this.msrBitmap = this.memory.allocatePages(1);
    // Every MSR exits that is not passed through.
    this.memory.write(this.msrBitmap, new Uint8Array(PAGE_SIZE).fill(0xff));
    passThroughMsrs(this.memory, this.msrBitmap, () => true);
    this.ept = new EptBuilder(this.memory);
    this.ramHpa = this.memory.allocatePages(this.ramBytes / PAGE_SIZE, RAM_ALIGNMENT);
    this.slots = new MemorySlots(this.memory, this.ept, () => {
      for (const { virtual } of this.vcpus) virtual.invalidateTranslations();
    });
    const hasAccessPage = this.parameters.flexpriority && this.irqchip !== null;
    this.apicAccess = hasAccessPage ? new ApicAccessPage(this.memory, this.ept) : null;
    const { mmioCaching } = this.parameters;
    this.mmioPages = mmioCaching ? new MmioPages(this.memory, this.ept) : null;
    const [gpa, lengthBytes, hpa] = [0, this.ramBytes, this.ramHpa];
    if (lengthBytes > 0) this.slots.set({ id: 0, gpa, lengthBytes, hpa, flags: 0 });
    this.memory.onLineChanging((hpa, watched) => this.lineChanges(hpa, watched));
  }

  /** Who waits for a line to change must see it change. */
  private lineChanges(hpa: number, watched: number): void {
    for (const { virtual, thread } of this.vcpus) {
      if (!virtual.spin.dependsOn(hpa, watched)) continue;
      this.host.stir(this.host.pcpus[thread.state.pcpu]);
      virtual.spin.abandon();
    }
  }

  /**
   * Whoever is left out because it only waits comes as far as it has to, and waits anew: user space
   * may be about to change anything.
   */
  settle(): void {
    for (const { virtual, thread } of this.vcpus) {
      this.host.stir(this.host.pcpus[thread.state.pcpu]);
      virtual.spin.abandon();
    }
  }

  /** The interrupt controllers are the kernel's; if not, user space has to have its own. */
  get hasIrqchip(): boolean {
    return this.irqchip !== null;
  }

  /** User space shuts the machine down: its threads end as soon as they run again. */
  shutDown(): void {
    for (const { thread } of this.vcpus) this.host.stir(this.host.pcpus[thread.state.pcpu]);
    this.isShutDown = true;
  }

  /** Memory that a machine needs beside guest RAM, rounded up generously. */
  static overheadBytes(ramBytes: number, vcpuCount: number, flexpriority = true): number {
    const perVcpu = VIRTUAL_PROCESSOR_BYTES / PAGE_SIZE + (flexpriority ? 1 : 0);
    const apic = flexpriority ? ApicAccessPage.PAGES : 0;
    const tables = 8 + Math.ceil(ramBytes / 2 ** 30) + 2 + apic + MmioPages.PAGES;
    return (vcpuCount * perVcpu + tables) * PAGE_SIZE + RAM_ALIGNMENT;
  }

  /** MSRs that the guest may not access, or null. */
  get msrFilter(): MsrFilter | null {
    return this.deniedMsrs;
  }
  set msrFilter(filter: MsrFilter | null) {
    this.deniedMsrs = filter;
    passThroughMsrs(this.memory, this.msrBitmap, (index, write) =>
      isMsrAllowed(filter, index, write),
    );
  }

  /** Create the next vCPU with its thread, which does not run yet. */
  createVcpu(
    affinity: readonly number[],
    nice = 0,
    group?: ThreadGroup,
    policy: Policy = 'normal',
  ): Vcpu {
    const index = this.vcpus.length;
    const virtual = new VirtualProcessor({
      memory: this.memory,
      hpa: this.memory.allocatePages(VIRTUAL_PROCESSOR_BYTES / PAGE_SIZE),
      codeCache: this.codeCache,
      compiler: this.compiler,
      instructionCosts: this.costs.instructions,
      costs: this.costs.vmx,
      timerRateShift: this.parameters.preemptionTimerRate,
    });
    const { prng } = this.host;
    virtual.processor.state.set('entropy', Long.fromBits(prng.next(), prng.next()));
    const vcpu = new Vcpu(this, index, virtual);
    if (this.apicAccess !== null) {
      vcpu.lapic.page = { memory: this.memory, hpa: this.memory.allocatePages(1) };
    }
    initializeVmcs(vcpu, {
      msrBitmap: this.msrBitmap,
      eptPointer: eptPointer(this.ept.root),
    });
    const name = this.id === 0 ? `vcpu${index}` : `${this.name}-vcpu${index}`;
    const body = new VcpuThread(vcpu);
    vcpu.thread = this.host.createThread({ name, nice, policy, affinity, body, group });
    this.host.timers.register(lapicTimerHandler(vcpu), (pcpu) =>
      vcpu.timer.fired(pcpu, 'hostTimer'),
    );
    this.host.timers.register(dozeTimerHandler(vcpu), (pcpu) =>
      this.host.scheduler.wake(vcpu.thread, pcpu),
    );
    this.host.timers.register(grantTimerHandler(vcpu), () => {});
    this.vcpus.push(vcpu);
    return vcpu;
  }

  /** The vCPU with a physical APIC id, or undefined. */
  vcpuByApicId(id: number): Vcpu | undefined {
    return this.vcpus.find((vcpu) => vcpu.lapic.id === id);
  }

  /** Rate of the guest's TSC, cycles per ms. */
  get tscKhz(): number {
    return this.parameters.tscKhz === 0 ? this.host.frequency.khz : this.parameters.tscKhz;
  }

  /** What the host's TSC is multiplied with for the guest, with 48 bits of fraction. */
  get tscMultiplier(): Long {
    const hostKhz = this.host.frequency.khz;
    return this.tscKhz === hostKhz ? TSC_MULTIPLIER_ONE : tscMultiplier(this.tscKhz, hostKhz);
  }

  /** Guest RAM to read from; null if any of it is not RAM. */
  guestRam(gpa: Long, lengthBytes: number): DataView | null {
    const first = gpa.toUnsigned().toNumber();
    const slot = this.slots.at(first);
    if (slot === undefined || first + lengthBytes > slot.gpa + slot.lengthBytes) return null;
    const { buffer, byteOffset } = this.memory.bytes;
    return new DataView(buffer, byteOffset + slot.hpa + (first - slot.gpa), lengthBytes);
  }

  /** Write to guest RAM; who waits for it sees it, and code that is overwritten is forgotten. */
  writeGuestRam(gpa: Long, data: Uint8Array): void {
    const hpa = this.ramAt(gpa.toUnsigned().toNumber(), true);
    if (hpa !== null) this.memory.write(hpa, data);
  }

  /** Guest-physical to host-physical; null outside RAM, and for writes to what is read-only. */
  ramAt(gpa: number, isWrite = false): number | null {
    return this.slots.hpaOf(gpa, isWrite);
  }

  /** True if no vCPU will ever run again; `blocking` is just about to fall asleep. */
  isStuck(blocking: Vcpu): boolean {
    if (this.irqchip?.timerWillInterrupt === true) return false;
    if (this.disturbance?.holdsBack(this) === true) return false;
    return this.vcpus.every(
      (vcpu) =>
        vcpu.state.phase === 'ended' ||
        ((vcpu === blocking || vcpu.isBlocked) && vcpu.isUnattended),
    );
  }

  get ownState(): VmOwnState {
    const { wallClock, runsOldClock, clockOffsetNs, lastBoostedVcpu, isShutDown } = this;
    const irqchip = this.irqchip?.state ?? null;
    const slots = this.slots.state;
    return {
      wallClock,
      runsOldClock,
      clockOffsetNs,
      irqchip,
      slots,
      mmioTables: this.mmioPages?.tablesUsed ?? 0,
      lastBoostedVcpu,
      isShutDown,
    };
  }

  set ownState(saved: VmOwnState) {
    this.wallClock = saved.wallClock;
    this.runsOldClock = saved.runsOldClock;
    this.clockOffsetNs = saved.clockOffsetNs;
    if (this.irqchip !== null && saved.irqchip !== null) this.irqchip.state = saved.irqchip;
    this.slots.state = saved.slots;
    if (this.mmioPages !== null) this.mmioPages.tablesUsed = saved.mmioTables;
    this.lastBoostedVcpu = saved.lastBoostedVcpu;
    this.isShutDown = saved.isShutDown;
  }

  get snapshot(): VmSnapshot {
    return {
      ...this.ownState,
      vcpus: this.vcpus.map((vcpu) => vcpu.snapshot),
    };
  }

  set snapshot(saved: VmSnapshot) {
    this.ownState = saved;
    saved.vcpus.forEach((snapshot, i) => {
      this.vcpus[i].snapshot = snapshot;
    });
  }

  /**
   * Have the processors' `attend` hear before code at some linear addresses is executed.
   * @param attendant who wants to; others keep theirs
   */
  setCodeStops(linear: readonly Long[], attendant: Attendant = 'debugger'): void {
    this.codeStops.set(attendant, linear);
    this.codeCache.setStops([...this.codeStops.values()].flat());
  }

  /** Forget all code that was decoded or compiled: it is made again. */
  dropCode(): void {
    this.codeCache.clear();
  }
}
