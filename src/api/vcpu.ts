// A virtual CPU by its ioctls. Linux virt/kvm/kvm_main.c, kvm_vcpu_ioctl, and
// arch/x86/kvm/x86.c, kvm_arch_vcpu_ioctl and kvm_arch_vcpu_ioctl_run.

import Long from 'long';
import { Access, GuestFault, OwnerStop, Rflags, resetState, Vector, Word } from '../cpu/index.ts';
import {
  awaitInit,
  type CpuidEntry,
  GuestDebug,
  isReadyForInterrupt,
  type KvmExit,
  lendBreakpoints,
  newUserControl,
  PV_FEATURES,
  readGuestMsr,
  updateClock,
  type Vcpu,
  writeGuestMsr,
} from '../kvm/index.ts';
import { Secondary, Stale } from '../vmx/index.ts';
import { KVM_CAP } from './capabilities.ts';
import { KvmError, require } from './errors.ts';
import { lapicPage, restoreLapic } from './lapic-page.ts';
import {
  apicBaseOf,
  queueInterrupt,
  readRegs,
  readSregs,
  writeRegs,
  writeSregs,
} from './registers.ts';
import { KvmRun } from './run-page.ts';
import type {
  KvmDebugregs,
  KvmFpu,
  KvmGuestDebug,
  KvmMsrEntry,
  KvmRegs,
  KvmRegsInput,
  KvmSregs,
  KvmTranslation,
  KvmVcpuEvents,
  U64,
} from './structures.ts';
import { giveSyncRegs, takeSyncRegs } from './sync-regs.ts';
import {
  readDebugregs,
  readEvents,
  readFpu,
  readMpState,
  writeDebugregs,
  writeEvents,
  writeFpu,
  writeMpState,
} from './vcpu-state.ts';
import type { KvmVm } from './vm.ts';

/** EDX after reset while CPUID says nothing. */
const RESET_SIGNATURE = 0x600;
/** Code, where the SDM has data: Linux arch/x86/kvm/vmx/vmx.c, seg_setup. */
const CS_RIGHTS = 0x9b;
/** CPUID leaf of paravirtual features. */
const KVM_FEATURES = 0x40000001;
const MAX_CPUID_ENTRIES = 256;
const BREAKPOINT_BIT = 1 << Vector.BP;

/** Why KVM_RUN fails, by the cause of an exit INTR. */
type Cause = Extract<KvmExit, { reason: 'INTR' }>['cause'];

export class KvmVcpu {
  /** The vCPU behind the calls. */
  readonly vcpu: Vcpu;
  /** struct kvm_run, as mmap of the vCPU's file gives it. */
  readonly page = new KvmRun();
  private readonly owner: KvmVm;
  private isStarted = false;
  private hasRun = false;

  constructor(owner: KvmVm, isBoot: boolean) {
    this.owner = owner;
    const { vm, kvm } = owner;
    this.vcpu = vm.createVcpu(kvm.host.pcpus.map(({ index }) => index));
    const { virtual, state } = this.vcpu;
    virtual.processor.engine = kvm.engine;
    this.vcpu.user = newUserControl();
    this.vcpu.cpuidEntries = [];
    if (vm.hasIrqchip && !isBoot) awaitInit(this.vcpu);
    resetState(virtual.processor.state, RESET_SIGNATURE);
    virtual.processor.state.set('csRights', Long.fromInt(CS_RIGHTS));
    this.vcpu.adoptControlRegisters();
    virtual.vmcs.makeStale(Stale.ALL);
    virtual.processor.stateChanged();
    state.phase = 'outside';
  }

  private get pcpu() {
    return this.owner.kvm.caller(this.vcpu.thread.state.pcpu);
  }

  private get user() {
    if (this.vcpu.user === null) throw new Error('a vCPU of the API has lost its requests');
    return this.vcpu.user;
  }

  /**
   * KVM_RUN: the guest runs until there is something for user space, which {@link KvmRun} says.
   * Fails with EINTR for a signal (which comes when `limitNs` of virtual time are over) and for
   * `immediateExit`, with EAGAIN when a vCPU has received INIT, and with EDEADLK where the real
   * call would hang, as nothing could ever wake the vCPU.
   */
  run(limitNs: number = this.owner.kvm.runLimitNs): KvmRun {
    const isLimit = Number.isFinite(limitNs) && limitNs > 0;
    require(isLimit, 'KVM_RUN', 'EINVAL', 'limitNs is a positive number of ns');
    this.enter();
    this.leave(this.owner.kvm.await([this.vcpu], limitNs).exit);
    return this.page;
  }

  /**
   * sched_setaffinity on the thread that runs the vCPU: pCPUs that the host has, of which there
   * must be one (EINVAL). It moves at once, also in the middle of KVM_RUN ({@link Kvm.callAfter}).
   */
  setAffinity(pcpus: readonly number[]): void {
    const { host } = this.owner.kvm;
    const allowed = host.pcpus.map(({ index }) => index).filter((index) => pcpus.includes(index));
    require(allowed.length > 0, 'sched_setaffinity', 'EINVAL', 'none of these pCPUs exists');
    host.scheduler.setAffinity(this.vcpu.thread, allowed, this.pcpu);
  }

  /** KVM_RUN begins; the vCPU's thread goes on when time passes. */
  enter(): void {
    const { vcpu, user, owner, page } = this;
    const { phase } = vcpu.state;
    require(phase === 'outside', 'KVM_RUN', 'EBUSY', 'another thread is in KVM_RUN');
    require(!owner.kvm.isInTurn, 'KVM_RUN', 'EBUSY', 'a function that is called runs no vCPU');
    owner.memory.notice();
    this.hasRun = true;
    try {
      takeSyncRegs(vcpu, page);
    } finally {
      giveSyncRegs(vcpu, page);
    }
    if (vcpu.userExit !== null) page.collect(vcpu.userExit);
    if (!owner.vm.hasIrqchip) vcpu.lapic.taskPriority = (page.cr8 & 15) << 4;
    user.windowRequested = page.requestInterruptWindow !== 0;
    user.leave = page.immediateExit === 0 ? 'none' : 'immediate';
    user.awaitsInit = vcpu.state.mpState === 'uninitialized';
    user.runRequested = true;
    vcpu.requestEvent();
    if (this.isStarted) owner.kvm.wake(vcpu);
    else owner.kvm.host.scheduler.start(vcpu.thread);
    this.isStarted = true;
  }

  /**
   * KVM_RUN ends with an exit: fill the page. Throws what the call fails with, but for causes that
   * the caller deals with, for which it returns false.
   */
  leave(exit: KvmExit, expected: readonly Cause[] = []): boolean {
    const { vcpu, page, owner } = this;
    owner.vm.settle();
    owner.memory.remember();
    this.user.leave = 'none';
    page.publish({
      ready: isReadyForInterrupt(vcpu),
      ifFlag: (vcpu.virtual.processor.state.words[Word.RFLAGS] & Rflags.IF) !== 0,
      cr8: vcpu.lapic.taskPriority >> 4,
      apicBase: apicBaseOf(vcpu),
    });
    giveSyncRegs(vcpu, page);
    // Of what makes KVM_RUN fail, only a signal says so in the page.
    const isSaid = exit.reason !== 'INTR' || exit.cause === 'signal';
    if (isSaid) page.record(exit, this.pcpu.index);
    owner.kvm.rethrow();
    if (exit.reason !== 'INTR') return true;
    if (expected.includes(exit.cause)) return false;
    if (exit.cause === 'initialized') {
      throw new KvmError('KVM_RUN', 'EAGAIN', 'the vCPU has received INIT; run it again');
    }
    const why = exit.cause === 'signal' ? 'a signal came' : 'immediateExit is set';
    throw new KvmError('KVM_RUN', 'EINTR', why);
  }

  /**
   * A signal to the vCPU's thread: a KVM_RUN that is under way fails with EINTR. Where there is
   * none, nothing happens, as of a signal that comes too early.
   */
  signal(): void {
    this.owner.kvm.signal(this.vcpu);
  }

  /** Make a KVM_RUN that is under way return, whatever it returns. */
  callBack(): void {
    const { kvm } = this.owner;
    if (this.vcpu.state.phase === 'outside') return;
    kvm.signal(this.vcpu);
    this.leave(kvm.await([this.vcpu], kvm.runLimitNs).exit, ['signal', 'immediate', 'initialized']);
  }

  /** KVM_GET_REGS. */
  getRegs(): KvmRegs {
    return readRegs(this.vcpu);
  }

  /** KVM_SET_REGS: all of them; what is left out becomes 0. */
  setRegs(regs: KvmRegsInput): void {
    writeRegs(this.vcpu, regs);
  }

  /** KVM_GET_SREGS. */
  getSregs(): KvmSregs<Long> {
    return readSregs(this.vcpu);
  }

  /** KVM_SET_SREGS; EINVAL for control registers that do not go together. */
  setSregs(sregs: KvmSregs): void {
    writeSregs(this.vcpu, sregs);
  }

  /** KVM_GET_MSRS: values up to the first MSR that does not exist. */
  getMsrs(indices: readonly number[]): readonly KvmMsrEntry<Long>[] {
    const entries: KvmMsrEntry<Long>[] = [];
    for (const index of indices) {
      const data = readGuestMsr(this.vcpu, index >>> 0, this.pcpu);
      if (data === null) break;
      entries.push({ index, data: data.toUnsigned() });
    }
    return entries;
  }

  /** KVM_SET_MSRS: how many were set, up to the first that cannot be. */
  setMsrs(entries: readonly KvmMsrEntry[]): number {
    const stop = entries.findIndex(
      ({ index, data }) => !writeGuestMsr(this.vcpu, index >>> 0, Long.fromValue(data), this.pcpu),
    );
    this.vcpu.virtual.vmcs.makeStale(Stale.ALL);
    return stop < 0 ? entries.length : stop;
  }

  /** KVM_SET_CPUID2: E2BIG for too many, EINVAL for other ones after the vCPU has run. */
  setCpuid2(entries: readonly CpuidEntry[]): void {
    const call = 'KVM_SET_CPUID2';
    require(entries.length <= MAX_CPUID_ENTRIES, call, 'E2BIG', 'at most 256 entries');
    const isSame = JSON.stringify(entries) === JSON.stringify(this.vcpu.cpuidEntries);
    require(!this.hasRun || isSame, call, 'EINVAL', 'the vCPU has run already');
    const { disabledExits } = this.owner.vm.parameters;
    const lost = disabledExits.includes('HLT') ? 1 << PV_FEATURES.pv_unhalt.bit : 0;
    this.vcpu.cpuidEntries = entries.map((entry) =>
      entry.function === KVM_FEATURES ? { ...entry, eax: (entry.eax & ~lost) >>> 0 } : { ...entry },
    );
  }

  /**
   * KVM_ENABLE_CAP of a vCPU, by number or name: ENFORCE_PV_FEATURE_CPUID has MSRs and hypercalls
   * of features that its CPUID does not offer fail.
   */
  enableCap(capability: number | string, args: readonly U64[] = [], flags = 0): void {
    const call = 'KVM_ENABLE_CAP';
    const name = 'ENFORCE_PV_FEATURE_CPUID';
    const isIt = capability === KVM_CAP[name] || `${capability}`.replace(/^KVM_CAP_/, '') === name;
    require(isIt, call, 'EINVAL', `capability ${capability} cannot be enabled on a vCPU`);
    require(flags === 0, call, 'EINVAL', `flags ${flags} are not known`);
    this.vcpu.enforcesPvFeatures = !Long.fromValue(args[0] ?? 0).isZero();
  }

  /** KVM_GET_CPUID2. */
  getCpuid2(): readonly CpuidEntry[] {
    return this.vcpu.cpuidEntries ?? [];
  }

  /** KVM_GET_FPU. */
  getFpu(): KvmFpu {
    return readFpu(this.vcpu);
  }

  /** KVM_SET_FPU. */
  setFpu(fpu: KvmFpu): void {
    writeFpu(this.vcpu, fpu);
  }

  /** KVM_GET_LAPIC: the 1 KiB of registers; EINVAL without irqchip. */
  getLapic(): Uint8Array {
    require(this.owner.vm.hasIrqchip, 'KVM_GET_LAPIC', 'EINVAL', 'there is no irqchip');
    return lapicPage(this.vcpu, this.pcpu);
  }

  /** KVM_SET_LAPIC. */
  setLapic(registers: Uint8Array): void {
    require(this.owner.vm.hasIrqchip, 'KVM_SET_LAPIC', 'EINVAL', 'there is no irqchip');
    require(registers.length === 1024, 'KVM_SET_LAPIC', 'EFAULT', '1024 bytes are expected');
    restoreLapic(this.vcpu, registers, this.pcpu);
  }

  /** KVM_GET_MP_STATE: a number of KVM_MP_STATE. */
  getMpState(): number {
    return readMpState(this.vcpu);
  }

  /** KVM_SET_MP_STATE; EINVAL for all but RUNNABLE without irqchip. */
  setMpState(mpState: number): void {
    writeMpState(this.vcpu, mpState);
  }

  /** KVM_GET_VCPU_EVENTS. */
  getVcpuEvents(): KvmVcpuEvents {
    return readEvents(this.vcpu);
  }

  /** KVM_SET_VCPU_EVENTS. */
  setVcpuEvents(events: KvmVcpuEvents): void {
    writeEvents(this.vcpu, events);
  }

  /** KVM_GET_DEBUGREGS. */
  getDebugregs(): KvmDebugregs<Long> {
    return readDebugregs(this.vcpu);
  }

  /** KVM_SET_DEBUGREGS. */
  setDebugregs(registers: KvmDebugregs): void {
    writeDebugregs(this.vcpu, registers);
  }

  /** KVM_SET_GUEST_DEBUG: single steps, breakpoints by INT3 and by debug registers. */
  setGuestDebug({ control, arch }: KvmGuestDebug): void {
    const { vcpu, user } = this;
    const { processor, vmcs } = vcpu.virtual;
    const isOn = (control & GuestDebug.ENABLE) !== 0;
    const wasStepping = (user.debugControl & GuestDebug.SINGLESTEP) !== 0;
    const injects = control & (GuestDebug.INJECT_DB | GuestDebug.INJECT_BP);
    const isBusy = injects !== 0 && vcpu.state.exception !== null;
    require(!isBusy, 'KVM_SET_GUEST_DEBUG', 'EBUSY', 'another exception is pending');
    if ((control & GuestDebug.INJECT_DB) !== 0) vcpu.queueDebugException(0);
    else if (injects !== 0) vcpu.queueException(Vector.BP);
    user.debugControl = isOn ? control & ~injects : 0;
    user.stepped = false;
    const [a = 0, b = 0, c = 0, d = 0, , , , dr7 = 0] = arch?.debugreg ?? [];
    const isLent = (user.debugControl & GuestDebug.USE_HW_BP) !== 0;
    const addresses = [a, b, c, d].map((value) => Long.fromValue(value));
    const [dr0, dr1, dr2, dr3] = addresses;
    const registers = { addresses: [dr0, dr1, dr2, dr3] as const, dr7: fixedDr7(dr7) };
    lendBreakpoints(vcpu, isLent ? registers : null);
    const bitmap = vmcs.read('EXCEPTION_BITMAP').low & ~BREAKPOINT_BIT;
    const isByInstruction = (user.debugControl & GuestDebug.USE_SW_BP) !== 0;
    vmcs.write('EXCEPTION_BITMAP', isByInstruction ? bitmap | BREAKPOINT_BIT : bitmap);
    const steps = (user.debugControl & GuestDebug.SINGLESTEP) !== 0;
    if (wasStepping && !steps) processor.state.words[Word.RFLAGS] &= ~Rflags.TF;
    vmcs.makeStale(Stale.ALL);
    vcpu.requestEvent();
  }

  /** KVM_INTERRUPT: inject an interrupt at the next entry. ENXIO with irqchip. */
  interrupt(irq: number): void {
    const isVector = Number.isInteger(irq) && irq >= 0 && irq < 256;
    require(isVector, 'KVM_INTERRUPT', 'EINVAL', `${irq} is no vector`);
    require(!this.owner.vm.hasIrqchip, 'KVM_INTERRUPT', 'ENXIO', 'the irqchip is the kernel’s');
    queueInterrupt(this.vcpu, irq);
  }

  /** KVM_NMI. */
  nmi(): void {
    this.vcpu.state.nmiQueued++;
    this.vcpu.requestEvent();
    this.vcpu.kick(this.pcpu);
  }

  /**
   * KVM_KVMCLOCK_CTRL: tell the guest by its clock's record that it was stopped, so that its
   * watchdogs do not wonder. EINVAL if it uses no kvmclock.
   */
  kvmclockCtrl(): void {
    const isKnown = updateClock(this.vcpu, this.pcpu, true);
    require(isKnown, 'KVM_KVMCLOCK_CTRL', 'EINVAL', 'the guest uses no kvmclock');
  }

  /** KVM_GET_STATS_FD: the counters, by the names that kvm_stat shows. */
  getStats(): Readonly<Record<string, number>> {
    return { ...this.vcpu.counters };
  }

  /** KVM_SET_TSC_KHZ: the guest's TSC runs at this rate; 0 for the host's. */
  setTscKhz(khz: number): void {
    const hostKhz = this.owner.kvm.host.frequency.khz;
    const isRate = Number.isInteger(khz) && khz >= 0 && khz < 2 ** 31;
    require(isRate, 'KVM_SET_TSC_KHZ', 'EINVAL', `${khz} is no rate in kHz`);
    setTscRate(this.vcpu, khz === 0 ? hostKhz : khz, hostKhz);
    this.tscKhz = khz === 0 ? hostKhz : khz;
  }

  private tscKhz = 0;

  /** KVM_GET_TSC_KHZ. */
  getTscKhz(): number {
    return this.tscKhz === 0 ? this.owner.kvm.host.frequency.khz : this.tscKhz;
  }

  /** KVM_TRANSLATE: where the guest's paging puts a linear address. */
  translate(linearAddress: U64): KvmTranslation {
    const { low, high } = Long.fromValue(linearAddress);
    const { processor, vmcs } = this.vcpu.virtual;
    processor.stateChanged();
    const { mmu } = processor;
    try {
      const hpa = mmu.asHost(() => mmu.locate(low, high, 1, Access.READ, false));
      const gpa = hpa < 0 ? mmu.deviceGpa : this.gpaOf(hpa);
      return translation(Long.fromNumber(gpa, true));
    } catch (thrown) {
      if (thrown instanceof GuestFault)
        return { ...translation(Long.MAX_UNSIGNED_VALUE), valid: 0 };
      // Translated to where there is no memory.
      if (thrown instanceof OwnerStop) return translation(vmcs.read('GUEST_PHYSICAL_ADDRESS'));
      throw thrown;
    }
  }

  private gpaOf(hpa: number): number {
    const { list } = this.owner.vm.slots;
    const slot = list.find((each) => hpa >= each.hpa && hpa < each.hpa + each.lengthBytes);
    return slot === undefined ? 0 : slot.gpa + (hpa - slot.hpa);
  }
}

const translation = (physicalAddress: Long): KvmTranslation => ({
  physicalAddress,
  valid: 1,
  writeable: 1,
  usermode: 0,
});

function fixedDr7(value: U64): Long {
  return Long.fromBits((Long.fromValue(value).low & ~0xd000) | 0x400, 0);
}

const FRACTION_BITS = 48n;

/** Scale the guest's TSC by the ratio of two rates. */
function setTscRate({ virtual }: Vcpu, khz: number, hostKhz: number): void {
  const { vmcs } = virtual;
  const multiplier = (BigInt(khz) << FRACTION_BITS) / BigInt(hostKhz);
  const controls = vmcs.read('SECONDARY_VM_EXEC_CONTROL').low & ~Secondary.TSC_SCALING;
  const isScaled = khz !== hostKhz;
  const wanted = isScaled ? controls | Secondary.TSC_SCALING : controls;
  vmcs.write('SECONDARY_VM_EXEC_CONTROL', wanted);
  vmcs.write('TSC_MULTIPLIER', Long.fromString(multiplier.toString(), true));
}
