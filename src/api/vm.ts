// A virtual machine by its ioctls: memory regions, interrupt controllers, vCPUs. Linux
// virt/kvm/kvm_main.c, kvm_vm_ioctl, and arch/x86/kvm/x86.c, kvm_arch_vm_ioctl.

import Long from 'long';
import { compilableMemory } from '../cpu/index.ts';
import type { Pcpu } from '../host/index.ts';
import {
  DEFAULT_ROUTES,
  Irqchip,
  type IrqRoute,
  IrqSource,
  routingMistake,
  SlotFlag,
  updateClock,
  type Vcpu,
  Vm,
} from '../kvm/index.ts';
import { COST_PRESETS } from '../machine/index.ts';
import { PAGE_SIZE, PhysicalMemory } from '../memory/index.ts';
import { KVM_CLOCK_TSC_STABLE, MAX_VCPU_ID, MAX_VCPUS, MEMORY_SLOTS } from './capabilities.ts';
import { CoalescedRing } from './coalesced-ring.ts';
import { enableCapability, KVM_DIRTY_LOG } from './enable-cap.ts';
import { KvmError, require } from './errors.ts';
import { EventCalls } from './event-calls.ts';
import { readIrqchip, writeIrqchip } from './irqchip-state.ts';
import { checkedFilter, type KvmMsrFilter } from './msr-filter.ts';
import { KVM_PIT_SPEAKER_DUMMY, readPitState, writePitState } from './pit-state.ts';
import type { KvmRun } from './run-page.ts';
import {
  KVM_IRQ_ROUTING,
  type KvmClearDirtyLog,
  type KvmClockData,
  type KvmCoalescedMmioZone,
  type KvmIoeventfd,
  type KvmIrqchip,
  type KvmIrqfd,
  type KvmIrqRoutingEntry,
  type KvmMsi,
  type KvmPitState2,
  type KvmReinjectControl,
  type KvmUserspaceMemoryRegion,
  type U64,
} from './structures.ts';
import type { Kvm } from './system.ts';
import { UserMemory } from './user-memory.ts';
import { KvmVcpu } from './vcpu.ts';

/** Behind it, three pages end at 4 GiB. */
const TSS_ADDRESS_MAX = 2 ** 32 - 3 * PAGE_SIZE;

/** Logs have whole 64-bit words. */
const PAGES_OF_WORD = 64;

/** What user space of {@link KvmVm.runAll} wants after an exit. */
export type Continuation = 'run' | 'stop';

const REGION = 'KVM_SET_USER_MEMORY_REGION';
const KNOWN_FLAGS = SlotFlag.LOG_DIRTY_PAGES | SlotFlag.READONLY;
const LARGE_PAGE = 2 ** 21;
/** Where physical addresses end. */
const ADDRESS_LIMIT = 2 ** 46;

export class KvmVm {
  readonly kvm: Kvm;
  /** The virtual machine behind the calls. */
  readonly vm: Vm;
  readonly memory: UserMemory;
  /** What KVM_REGISTER_COALESCED_MMIO collects: the third page of each vCPU's mapping. */
  readonly coalesced = new CoalescedRing();
  /** Bits of KVM_DIRTY_LOG: how {@link getDirtyLog} protects pages. */
  dirtyLogMode = 0;
  private readonly vcpus: KvmVcpu[] = [];
  private readonly events: EventCalls;
  private bootCpuId = 0;

  constructor(kvm: Kvm, id: number, memoryBytes: number) {
    this.kvm = kvm;
    const pages = Math.ceil(memoryBytes / PAGE_SIZE);
    // A table for every 2 MiB, in case that all pages are logged, and room for alignment.
    const tables = 2 * Math.ceil(memoryBytes / LARGE_PAGE) + 64;
    const bytes = (pages + tables) * PAGE_SIZE + Vm.overheadBytes(0, MAX_VCPUS) + 2 * LARGE_PAGE;
    const storage = kvm.engine === 'interpreter' ? undefined : compilableMemory(bytes, MAX_VCPUS);
    this.vm = new Vm({
      id,
      name: `vm${id}`,
      host: kvm.host,
      memory: new PhysicalMemory(bytes, storage?.buffer),
      ...(storage === undefined ? {} : { storage }),
      ramBytes: 0,
      costs: COST_PRESETS[kvm.machine].vm,
      irqchip: false,
      parameters: { mmioCaching: kvm.mmioCaching },
      userSpace: {
        handleExit: (vcpu, exit) => {
          kvm.leaves(vcpu, exit);
          return 'wait';
        },
        allBlocked: () => {},
      },
    });
    this.memory = new UserMemory(this.vm.memory);
    const { vm } = this;
    vm.ioEvents.absorb = (...write) => this.coalesced.write(...write);
    this.events = new EventCalls({
      get irqchip() {
        return vm.irqchip;
      },
      get caller() {
        return kvm.callerNow;
      },
      ioEvents: vm.ioEvents,
      userTurn: (pcpu, act) => kvm.userTurn(pcpu, act),
    });
  }

  /** KVM_CHECK_EXTENSION of a virtual machine. */
  checkExtension(capability: number | string): number {
    return this.kvm.checkExtension(capability);
  }

  /**
   * Memory for regions, zeroed: what mmap of anonymous memory is to a program for /dev/kvm. Fails
   * with ENOMEM if there is less left than asked for.
   */
  mmap(lengthBytes: number): Uint8Array {
    const isLength = Number.isSafeInteger(lengthBytes) && lengthBytes > 0;
    require(isLength, 'mmap', 'EINVAL', `${lengthBytes} is no length in bytes`);
    const bytes = this.memory.map(lengthBytes);
    if (bytes === null) {
      const hint = 'createVm(0, { memoryBytes }) sets how much there is';
      throw new KvmError('mmap', 'ENOMEM', `${lengthBytes} bytes are not left; ${hint}`);
    }
    return bytes;
  }

  /** KVM_SET_USER_MEMORY_REGION. Linux virt/kvm/kvm_main.c, __kvm_set_memory_region. */
  setUserMemoryRegion(region: KvmUserspaceMemoryRegion): void {
    const { slot, flags = 0 } = region;
    const check = (holds: boolean, detail: string) => require(holds, REGION, 'EINVAL', detail);
    const size = Long.fromValue(region.memorySize).toUnsigned();
    const base = Long.fromValue(region.guestPhysAddr).toUnsigned();
    check((flags & ~KNOWN_FLAGS) === 0, `flags 0x${flags.toString(16)} are not known`);
    check((size.low & (PAGE_SIZE - 1)) === 0, 'the size is a multiple of 4096');
    check((base.low & (PAGE_SIZE - 1)) === 0, 'the guest-physical address is a multiple of 4096');
    check(Number.isInteger(slot) && slot >= 0 && slot < MEMORY_SLOTS, `there is no slot ${slot}`);
    const end = base.add(size);
    check(end.gte(base) && end.lte(ADDRESS_LIMIT), 'the region ends beyond physical addresses');
    const old = this.vm.slots.byId(slot);
    const [gpa, lengthBytes] = [base.toNumber(), size.toNumber()];
    if (lengthBytes === 0) {
      check(old !== undefined, `slot ${slot} does not exist, so it cannot be removed`);
      this.vm.slots.remove(slot);
      return;
    }
    const hpa = this.hpaOf(region.userspaceAddr, lengthBytes);
    if (old !== undefined) {
      check(old.lengthBytes === lengthBytes, 'a region does not change its size');
      check(old.hpa === hpa, 'a region does not change its memory');
      const sameAccess = ((old.flags ^ flags) & SlotFlag.READONLY) === 0;
      check(sameAccess, 'a region does not become read-only or writable');
    }
    const overlaps = this.vm.slots.list.some(
      (other) =>
        other.id !== slot && gpa < other.gpa + other.lengthBytes && other.gpa < gpa + lengthBytes,
    );
    require(!overlaps, REGION, 'EEXIST', 'the region overlaps another one');
    const isLogged = old !== undefined && (old.flags & SlotFlag.LOG_DIRTY_PAGES) !== 0;
    const created = { id: slot, gpa, lengthBytes, hpa, flags };
    this.vm.slots.set(created);
    const isSet = (this.dirtyLogMode & KVM_DIRTY_LOG.INITIALLY_SET) !== 0;
    if (isSet && !isLogged) this.vm.slots.setAllDirty(created);
  }

  /** Where the memory of a region lies. */
  private hpaOf(bytes: Uint8Array | null, lengthBytes: number): number {
    const hpa = bytes === null ? null : this.memory.hpaOf(bytes.subarray(0, lengthBytes));
    const isEnough = bytes !== null && bytes.length >= lengthBytes;
    const isUsable = hpa !== null && hpa % PAGE_SIZE === 0 && isEnough;
    require(isUsable, REGION, 'EINVAL', 'userspaceAddr is page-aligned memory that mmap gave');
    return hpa as number;
  }

  /**
   * KVM_GET_DIRTY_LOG: a bit for each page written since the last call, or since it was cleared if
   * KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 says so; ENOENT if not logged.
   */
  getDirtyLog(slot: number): Uint8Array {
    const { slots } = this.vm;
    const log = this.dirtyLogOf(slot, 'KVM_GET_DIRTY_LOG');
    const isManual = (this.dirtyLogMode & KVM_DIRTY_LOG.MANUAL_PROTECT_ENABLE) !== 0;
    if (!isManual) slots.clearDirty(slot, 0, log);
    return log;
  }

  /** KVM_CLEAR_DIRTY_LOG: pages count as not written; ENOENT if not logged. */
  clearDirtyLog({ slot, firstPage, numPages, dirtyBitmap }: KvmClearDirtyLog): void {
    const call = 'KVM_CLEAR_DIRTY_LOG';
    const check = (holds: boolean, detail: string) => require(holds, call, 'EINVAL', detail);
    check(firstPage % PAGES_OF_WORD === 0, 'the first page is a multiple of 64');
    this.dirtyLogOf(slot, call);
    const left = (this.vm.slots.byId(slot)?.lengthBytes ?? 0) / PAGE_SIZE - firstPage;
    check(left >= 0 && numPages <= left, 'there are not so many pages');
    const isWhole = numPages === left || numPages % PAGES_OF_WORD === 0;
    check(isWhole, 'the number of pages is a multiple of 64, or goes up to the end');
    const bytes = Math.ceil(numPages / PAGES_OF_WORD) * (PAGES_OF_WORD / 8);
    require(dirtyBitmap.length >= bytes, call, 'EFAULT', `${bytes} bytes are expected`);
    const bits = dirtyBitmap.slice(0, Math.ceil(numPages / 8));
    this.vm.slots.clearDirty(slot, firstPage, bits);
  }

  private dirtyLogOf(slot: number, call: string): Uint8Array {
    const isSlot = Number.isInteger(slot) && slot >= 0 && slot < MEMORY_SLOTS;
    require(isSlot, call, 'EINVAL', `there is no slot ${slot}`);
    const log = this.vm.slots.dirtyOf(slot);
    if (log === null) throw new KvmError(call, 'ENOENT', `slot ${slot} keeps no dirty log`);
    return log;
  }

  /** KVM_REGISTER_COALESCED_MMIO: writes there wait in {@link coalesced} for user space. */
  registerCoalescedMmio(zone: KvmCoalescedMmioZone): void {
    this.coalesced.register(zone);
  }

  /** KVM_UNREGISTER_COALESCED_MMIO. */
  unregisterCoalescedMmio(zone: KvmCoalescedMmioZone): void {
    this.coalesced.unregister(zone);
  }

  /** KVM_CREATE_IRQCHIP: PIC, I/O APIC and local APICs in the kernel. Before the first vCPU. */
  createIrqchip(): void {
    const call = 'KVM_CREATE_IRQCHIP';
    require(this.vm.irqchip === null, call, 'EEXIST', 'there is one');
    require(this.vcpus.length === 0, call, 'EINVAL', 'there are vCPUs without one');
    this.vm.irqchip = new Irqchip(this.vm, DEFAULT_ROUTES);
    this.vm.irqchip.hasPit = false;
  }

  /**
   * KVM_CREATE_PIT2: the interval timer in the kernel, on line 0; by KVM_PIT_SPEAKER_DUMMY (1) with
   * its port 61H, which is user space's otherwise. ENOENT without irqchip.
   */
  createPit2({ flags = 0 }: { readonly flags?: number } = {}): void {
    const call = 'KVM_CREATE_PIT2';
    const { irqchip } = this.vm;
    if (irqchip === null) throw new KvmError(call, 'ENOENT', 'there is no irqchip');
    require(!irqchip.hasPit, call, 'EEXIST', 'there is one');
    irqchip.hasPit = true;
    irqchip.hasSpeaker = (flags & KVM_PIT_SPEAKER_DUMMY) !== 0;
  }

  /** KVM_GET_PIT2. ENXIO without {@link createPit2}. */
  getPit2(): KvmPitState2<Long> {
    return readPitState(this.ownPit('KVM_GET_PIT2'));
  }

  /** KVM_SET_PIT2: every counter begins anew with its count. */
  setPit2(state: KvmPitState2): void {
    const irqchip = this.ownPit('KVM_SET_PIT2');
    writePitState(irqchip, state, this.caller.nowNs);
    irqchip.restartPit(this.caller);
  }

  /** KVM_REINJECT_CONTROL: ticks that the guest was not ready for are made up for, or lost. */
  reinjectControl({ pitReinject }: KvmReinjectControl): void {
    this.ownPit('KVM_REINJECT_CONTROL').setPitReinjection(pitReinject !== 0);
  }

  private ownPit(call: string): Irqchip {
    const irqchip = this.ownIrqchip(call);
    require(irqchip.hasPit, call, 'ENXIO', 'there is no interval timer');
    return irqchip;
  }

  /**
   * KVM_IRQ_LINE: raise a line (GSI) of the interrupt controllers, or lower it; lines that do not
   * exist are ignored. ENXIO without irqchip.
   * @returns as KVM_IRQ_LINE_STATUS: how many interrupts went out, 0 if merged with one on its way,
   *   -1 if nobody listens
   */
  irqLine({ irq, level }: { readonly irq: number; readonly level: number }): number {
    const { irqchip } = this.vm;
    if (irqchip === null) throw new KvmError('KVM_IRQ_LINE', 'ENXIO', 'there is no irqchip');
    return irqchip.setIrq(irq, level !== 0, IrqSource.USER_SPACE, this.caller);
  }

  /** KVM_SIGNAL_MSI: how many local APICs took it; EPERM if none is meant, EINVAL without irqchip. */
  signalMsi({ addressLo, addressHi = 0, data }: KvmMsi): number {
    const call = 'KVM_SIGNAL_MSI';
    const { irqchip } = this.vm;
    if (irqchip === null) throw new KvmError(call, 'EINVAL', 'there is no irqchip');
    const address = Long.fromBits(addressLo, addressHi, true);
    const delivered = irqchip.signalMsi(address, data, this.caller);
    require(delivered >= 0, call, 'EPERM', 'no local APIC is meant');
    return delivered;
  }

  /**
   * KVM_SET_GSI_ROUTING: where lines lead, all of them anew. EINVAL without irqchip, and for
   * entries that do not exist or do not go together.
   */
  setGsiRouting({
    entries,
    flags = 0,
  }: {
    readonly entries: readonly KvmIrqRoutingEntry[];
    readonly flags?: number;
  }): void {
    const call = 'KVM_SET_GSI_ROUTING';
    const { irqchip } = this.vm;
    if (irqchip === null) throw new KvmError(call, 'EINVAL', 'there is no irqchip');
    require(flags === 0, call, 'EINVAL', `flags ${flags} are not known`);
    const routes = entries.map((entry) => routeOf(entry, call));
    const mistake = routingMistake(routes);
    require(mistake === null, call, 'EINVAL', mistake ?? '');
    irqchip.setRoutes(routes);
  }

  /**
   * KVM_IRQFD: writes to an event raise a line and let go of it; with RESAMPLE it stays high until
   * the guest has ended the interrupt, of which another event tells. EINVAL without irqchip, EBADF
   * for closed events, EBUSY for one that makes an interrupt already.
   */
  irqfd(irqfd: KvmIrqfd): void {
    this.events.irqfd(irqfd);
  }

  /**
   * KVM_IOEVENTFD: a write of the guest to an address or port goes to an event, and the guest goes
   * on at once. EEXIST if another event has such writes, ENOENT to end what is not there.
   */
  ioeventfd(ioeventfd: KvmIoeventfd): void {
    this.events.ioeventfd(ioeventfd);
  }

  /** KVM_GET_IRQCHIP: the registers of a controller, by its number. ENXIO without irqchip. */
  getIrqchip(chipId: number): KvmIrqchip {
    return readIrqchip(this.ownIrqchip('KVM_GET_IRQCHIP'), chipId);
  }

  /** KVM_SET_IRQCHIP. */
  setIrqchip(state: KvmIrqchip): void {
    writeIrqchip(this.ownIrqchip('KVM_SET_IRQCHIP'), state);
    for (const { vcpu } of this.vcpus) vcpu.requestEvent();
  }

  private ownIrqchip(call: string): Irqchip {
    if (this.vm.irqchip === null) throw new KvmError(call, 'ENXIO', 'there is no irqchip');
    return this.vm.irqchip;
  }

  /** KVM_GET_CLOCK: what kvmclock shows, in ns; flag 2 says that all vCPUs see the same. */
  getClock(): KvmClockData<Long> {
    const clock = Long.fromNumber(Math.floor(this.kvm.nowNs) + this.vm.clockOffsetNs);
    return { clock, flags: this.vm.runsOldClock ? 0 : KVM_CLOCK_TSC_STABLE };
  }

  /** KVM_SET_CLOCK: kvmclock goes on from a time in ns. EINVAL for flags. */
  setClock({ clock, flags = 0 }: KvmClockData): void {
    require(flags === 0, 'KVM_SET_CLOCK', 'EINVAL', `flags ${flags} are not known`);
    const wanted = Long.fromValue(clock).toSigned().toNumber();
    this.vm.clockOffsetNs = wanted - Math.floor(this.kvm.nowNs);
    for (const { vcpu } of this.vcpus) updateClock(vcpu, this.caller);
  }

  /**
   * KVM_SET_TSS_ADDR: three pages for guests in real mode on processors that cannot run them.
   * These can, so nothing follows. EINVAL where three pages do not fit below 4 GiB.
   */
  setTssAddr(address: U64): void {
    const isLow = Long.fromValue(address).toUnsigned().lte(TSS_ADDRESS_MAX);
    require(isLow, 'KVM_SET_TSS_ADDR', 'EINVAL', 'three pages end below 4 GiB');
  }

  /** KVM_SET_IDENTITY_MAP_ADDR: as {@link setTssAddr}, before the first vCPU. */
  setIdentityMapAddr(_address: U64): void {
    const isEarly = this.vcpus.length === 0;
    require(isEarly, 'KVM_SET_IDENTITY_MAP_ADDR', 'EINVAL', 'there are vCPUs already');
  }

  /** Where user space's calls are taken to run. */
  private get caller(): Pcpu {
    return this.kvm.callerNow;
  }

  /** KVM_SET_BOOT_CPU_ID: which vCPU runs first. Before the first vCPU (EBUSY). */
  setBootCpuId(id: number): void {
    const call = 'KVM_SET_BOOT_CPU_ID';
    require(this.vcpus.length === 0, call, 'EBUSY', 'there are vCPUs already');
    require(id === 0, call, 'EINVAL', 'only vCPU 0 can be the boot vCPU here');
    this.bootCpuId = id;
  }

  /**
   * KVM_ENABLE_CAP, by number or name: EXIT_HYPERCALL (bits of hypercalls that are to exit),
   * HALT_POLL (ceiling in ns), X86_DISABLE_EXITS (before the first vCPU), X86_USER_SPACE_MSR (bits
   * of {@link KVM_MSR_EXIT_REASON}), and MANUAL_DIRTY_LOG_PROTECT2.
   */
  enableCap(capability: number | string, args: readonly U64[] = [], flags = 0): void {
    enableCapability(this, capability, args[0] ?? 0, flags);
  }

  /** KVM_X86_SET_MSR_FILTER: which MSRs the guest may read and write; EINVAL for one that denies all. */
  setMsrFilter(filter: KvmMsrFilter): void {
    this.vm.msrFilter = checkedFilter(filter);
  }

  /** KVM_CREATE_VCPU: in the state after reset; with irqchip, all but the first wait for INIT. */
  createVcpu(id = this.vcpus.length): KvmVcpu {
    const call = 'KVM_CREATE_VCPU';
    const isId = Number.isInteger(id) && id >= 0 && id < MAX_VCPU_ID;
    require(isId && this.vcpus.length < MAX_VCPUS, call, 'EINVAL', `there is no vCPU ${id}`);
    require(id >= this.vcpus.length, call, 'EEXIST', `there is a vCPU ${id}`);
    require(id === this.vcpus.length, call, 'EINVAL', 'ids are given in order here');
    const vcpu = new KvmVcpu(this, id === this.bootCpuId);
    this.vcpus.push(vcpu);
    return vcpu;
  }

  /**
   * Run all vCPUs, each as by a thread of its own that calls KVM_RUN again and again. `handle` is
   * called with each that comes back, and says whether that one runs on; when all have stopped, or
   * one fails, it is over.
   */
  runAll(handle: (vcpu: KvmVcpu, run: KvmRun) => Continuation): void {
    let running: readonly KvmVcpu[] = this.vcpus;
    for (const vcpu of running) vcpu.enter();
    try {
      while (running.length > 0) {
        const { vcpu, exit } = this.kvm.await(running.map(behind), this.kvm.runLimitNs);
        const back = running.find((candidate) => candidate.vcpu === vcpu) as KvmVcpu;
        if (!back.leave(exit, ['initialized']) || handle(back, back.page) === 'run') back.enter();
        else running = running.filter((candidate) => candidate !== back);
      }
    } finally {
      for (const vcpu of running) vcpu.callBack();
    }
  }
}

function routeOf(entry: KvmIrqRoutingEntry, call: string): IrqRoute {
  const { gsi, type, flags = 0, irqchip, msi } = entry;
  require(flags === 0, call, 'EINVAL', `an entry has flags ${flags}, which are not known`);
  if (type === KVM_IRQ_ROUTING.IRQCHIP && irqchip !== undefined) {
    return { gsi, kind: 'pin', chip: irqchip.irqchip, pin: irqchip.pin };
  }
  const isMessage = type === KVM_IRQ_ROUTING.MSI && msi !== undefined;
  require(isMessage, call, 'EINVAL', `an entry of type ${type} is not whole, or not known`);
  const { addressLo: addressLow, addressHi: addressHigh = 0, data } = msi;
  return { gsi, kind: 'message', addressLow, addressHigh, data };
}

const behind = ({ vcpu }: KvmVcpu): Vcpu => vcpu;
