// A session as gdb sees it: virtual machines are processes, vCPUs threads, what was executed can be
// executed backwards.

import type Long from 'long';
import { isElf, type Machine } from '../../machine/index.ts';
import { monitorCommand } from '../monitor.ts';
import { readMapped } from '../remote-memory.ts';
import type { Session, StopReport } from '../session.ts';
import { activityOf } from '../views.ts';
import { hexOfLong } from './hex.ts';
import type { RegisterValues } from './registers.ts';
import { symbolFileOf } from './symbol-file.ts';
import type {
  GdbBreakpoint,
  GdbStop,
  GdbStopReason,
  GdbTarget,
  GdbThread,
  ResumeRequest,
  SymbolFile,
} from './target.ts';

interface Inserted {
  readonly id: number;
  readonly breakpoint: GdbBreakpoint;
}

export class SessionGdbTarget implements GdbTarget {
  readonly threads: readonly GdbThread[];
  private readonly session: Session;
  private readonly programs: readonly Uint8Array[];
  private readonly sourcePath: (file: string) => string;
  private readonly inserted = new Map<string, Inserted>();
  private readonly symbolFiles = new Map<number, SymbolFile | null>();
  private request: ResumeRequest | null = null;
  private isInterrupted = false;
  private motion: Generator<void, StopReport> | null = null;

  /**
   * @param programs the bytes of each virtual machine's program, as the machine was given them
   * @param sourcePath where a source is, for gdb to find it
   */
  constructor(
    session: Session,
    programs: readonly Uint8Array[],
    sourcePath: (file: string) => string,
  ) {
    this.session = session;
    this.programs = programs;
    this.sourcePath = sourcePath;
    const { machine } = session;
    this.threads = session.vcpus.map((vcpu) => ({
      process: vcpu.vm.id + 1,
      thread: vcpu.index + 1,
      name: threadName(machine, vcpu.vm.id, vcpu.index),
      get core() {
        return vcpu.thread.state.status === 'running' ? vcpu.thread.state.pcpu : null;
      },
      get activity() {
        return activityOf(vcpu);
      },
    }));
  }

  private vcpuOf({ process, thread }: GdbThread): number {
    return this.threads.findIndex((one) => one.process === process && one.thread === thread);
  }

  registers(thread: GdbThread): RegisterValues {
    return registerValues(this.session, this.vcpuOf(thread));
  }

  readMemory(thread: GdbThread, address: Long, lengthBytes: number): Uint8Array {
    return readMapped(this.session, this.vcpuOf(thread), address, lengthBytes);
  }

  writeMemory(thread: GdbThread, address: Long, bytes: Uint8Array): boolean {
    return this.session.writeMemory(this.vcpuOf(thread), 'linear', address, bytes);
  }

  insert(breakpoint: GdbBreakpoint, { process }: GdbThread): boolean {
    const key = keyOf(breakpoint, process);
    if (this.inserted.has(key)) return true;
    const { breakpoints } = this.session;
    const vm = process - 1;
    const { address } = breakpoint;
    const { id } = breakpoints.add(
      breakpoint.kind === 'breakpoint'
        ? { kind: 'address', address, vm }
        : { ...breakpoint, kind: 'memory', space: 'linear', vm },
    );
    this.inserted.set(key, { id, breakpoint });
    return true;
  }

  remove(breakpoint: GdbBreakpoint, { process }: GdbThread): void {
    const key = keyOf(breakpoint, process);
    const inserted = this.inserted.get(key);
    if (inserted === undefined) return;
    this.session.breakpoints.remove(inserted.id);
    this.inserted.delete(key);
  }

  removeAll(): void {
    for (const { id } of this.inserted.values()) this.session.breakpoints.remove(id);
    this.inserted.clear();
  }

  resume(request: ResumeRequest): void {
    this.request = request;
    this.isInterrupted = false;
    this.motion = this.move(request);
  }

  private move({ kind, direction, thread }: ResumeRequest): Generator<void, StopReport> {
    const vcpu = this.vcpuOf(thread);
    if (kind === 'step') return this.session.move({ kind: 'instruction', vcpu }, direction);
    const isWatching = [...this.inserted.values()].some(
      ({ breakpoint }) => breakpoint.kind === 'watchpoint',
    );
    return direction === 'backward' && isWatching
      ? this.backToAccess()
      : this.session.move({ kind: 'continue' }, direction);
  }

  /**
   * Back to the last hit, as gdb takes it: going back over an access it stops before the
   * instruction that made it, where a session stops behind it.
   */
  private *backToAccess(): Generator<void, StopReport> {
    const { session } = this;
    const { vcpu } = session.stop;
    const here = session.when;
    // The instruction behind which we are may have made one.
    const before = yield* session.move({ kind: 'instruction', vcpu }, 'backward');
    if (before.reason === 'interrupted') return before;
    const again = yield* session.move({ kind: 'instruction', vcpu });
    if (hasAccess(again) && again.position.event === here.event) {
      return { ...again, position: (yield* this.stepBack(vcpu)).position };
    }
    if (again.position.event !== here.event) yield* session.travelTo(here);
    const report = yield* session.move({ kind: 'continue' }, 'backward');
    if (!hasAccess(report)) return report;
    return { ...report, position: (yield* this.stepBack(report.vcpu)).position };
  }

  private stepBack(vcpu: number): Generator<void, StopReport> {
    return this.session.move({ kind: 'instruction', vcpu }, 'backward');
  }

  advance(): GdbStop | null {
    const { motion, request } = this;
    if (motion === null || request === null) throw new Error('nothing was resumed');
    const { done, value: report } = motion.next();
    if (done !== true) return null;
    if (report.reason === 'step' && !this.isInterrupted && this.isInRange(request)) {
      this.motion = this.move(request);
      return null;
    }
    this.motion = null;
    return this.stopOf(report);
  }

  private isInRange({ range, thread }: ResumeRequest): boolean {
    if (range === null) return false;
    const rip = this.session.readRegister(this.vcpuOf(thread), 'rip');
    return rip.gte(range[0]) && rip.lt(range[1]);
  }

  interrupt(): void {
    this.isInterrupted = true;
    this.session.interrupt();
  }

  private stopOf(report: StopReport): GdbStop {
    const thread = this.threads[report.vcpu];
    const [hit] = report.hits;
    const inserted = [...this.inserted.values()].find(({ id }) => id === hit?.id);
    const reason = reasonOf(report, inserted?.breakpoint);
    // What gdb did not set it cannot name.
    const own = hit !== undefined && inserted === undefined ? hit.detail : null;
    const message = report.reason === 'ended' ? endingText(this.session.machine) : own;
    return { reason, thread, message };
  }

  monitor(command: string, thread: GdbThread): string {
    return monitorCommand(this.session, this.vcpuOf(thread), command);
  }

  symbolFile(process: number): SymbolFile | null {
    const known = this.symbolFiles.get(process);
    if (known !== undefined) return known;
    const file = this.makeSymbolFile(process - 1);
    this.symbolFiles.set(process, file);
    return file;
  }

  private makeSymbolFile(vm: number): SymbolFile | null {
    const { machine } = this.session;
    const program = this.programs[vm];
    if (program === undefined) return null;
    const path = `/${machine.vms[vm].name}.elf`;
    if (isElf(program)) return { path, bytes: program };
    const entry = this.session.vcpus[0].linearRip;
    const bytes = symbolFileOf(machine.symbols[vm], entry, this.sourcePath);
    return bytes === null ? null : { path, bytes };
  }
}

function threadName(machine: Machine, vm: number, vcpu: number): string {
  return machine.vms.length === 1 ? `vCPU ${vcpu}` : `${machine.vms[vm].name} vCPU ${vcpu}`;
}

/** Registers and VMCS fields of a vCPU, through the session. */
export function registerValues(session: Session, vcpu: number): RegisterValues {
  const { state } = session.vcpu(vcpu).virtual.processor;
  return {
    get: (item) => state.get(item),
    set: (item, value) => session.writeRegister(vcpu, item, value),
    field: (name) => session.readVmcsField(vcpu, name),
    setField: (name, value) => session.writeVmcsField(vcpu, name, value),
  };
}

function hasAccess({ reason, hits }: StopReport): boolean {
  return reason === 'breakpoint' && hits.some(({ spec }) => spec.kind === 'memory');
}

function keyOf(breakpoint: GdbBreakpoint, process: number): string {
  const { kind, address } = breakpoint;
  const which =
    kind === 'breakpoint'
      ? String(breakpoint.isHardware)
      : `${breakpoint.access} ${breakpoint.lengthBytes}`;
  return `${process} ${kind} ${which} ${hexOfLong(address)}`;
}

function reasonOf(report: StopReport, hit: GdbBreakpoint | undefined): GdbStopReason {
  switch (report.reason) {
    case 'beginning':
      return { kind: 'historyStart' };
    case 'ended':
      return { kind: 'historyEnd' };
    case 'interrupted':
      return { kind: 'interrupt' };
    case 'step':
      return { kind: 'step' };
    case 'breakpoint':
      if (hit?.kind === 'breakpoint') return { kind: 'breakpoint', isHardware: hit.isHardware };
      if (hit?.kind !== 'watchpoint') return { kind: 'step' };
      return { kind: 'watchpoint', access: hit.access, address: hit.address };
  }
}

function endingText({ ending }: Machine): string | null {
  return ending === null ? null : `vmxlab: the run has ended: ${ending.message}.`;
}
