// What breakpoints mean for a machine: which code, memory and tracepoints have to be looked at
// while it runs, and when it has to pause. With no breakpoint set nothing is looked at but trace
// records.

import Long from 'long';
import type { Vcpu, Vm } from '../kvm/index.ts';
import { type Machine, SymbolMap } from '../machine/index.ts';
import { Watch } from '../memory/index.ts';
import { printPayload, type TraceRecord, type TraceSink } from '../trace/index.ts';
import { EXIT_REASONS, FIELDS } from '../vmx/index.ts';
import type { Breakpoint, BreakpointSpec, Hit } from './breakpoints.ts';
import type { Condition, Values } from './condition.ts';
import { DebugError } from './debug-error.ts';
import { type GuestRequest, guestRequestOf, requestText } from './guest-request.ts';
import { linearPieces, type Piece, physicalPieces, readPieces } from './guest-view.ts';
import type { Journal } from './journal.ts';
import { momentOf } from './moment.ts';
import { addressesOf } from './places.ts';
import {
  bigintOf,
  NO_VALUES,
  type RecordValues,
  recordValues,
  requestValues,
} from './record-values.ts';
import { registerNamed, registerReader } from './registers.ts';
import type { Store } from './stores.ts';
import type { Variables } from './variables.ts';

type MemorySpec = Extract<BreakpointSpec, { kind: 'memory' }>;

/** A memory breakpoint with the bytes it is about. */
interface MemoryWatch {
  readonly breakpoint: Breakpoint;
  readonly spec: MemorySpec;
  readonly vm: Vm;
  readonly pieces: readonly Piece[];
  /** What was there last. */
  value: Uint8Array;
}

/** Breakpoints at one linear address of a virtual machine. */
interface CodeStop {
  readonly vm: Vm;
  readonly address: Long;
  readonly breakpoints: Breakpoint[];
}

/** Who is asked about each trace record: true to pause behind it. */
export type Wanted = (record: TraceRecord, vcpu: Vcpu | null) => boolean;

export class Watcher implements TraceSink {
  /** Breakpoints met since {@link begin}. */
  readonly hits: Hit[] = [];
  /** The vCPU that met the first of them, or what was wanted. */
  focus: Vcpu | null = null;
  /** Set when what was wanted has happened. */
  isWantedMet = false;
  private wanted: Wanted | null = null;
  private isArmed = false;
  /** Going forward, hits are counted and ignore counts go down. */
  private isCounting = false;
  /** Who hears of every store that a memory breakpoint sees, or null. */
  onStore: ((store: Store) => void) | null = null;
  /** So many times what is met is only counted. */
  leftToPass = 0;
  /** Code at which the run begins is not met again at once: by vCPU, its clock. */
  private readonly passed = new Map<Vcpu, number>();
  /** By the lower half of an address; few have it in common. */
  private readonly byAddress = new Map<number, CodeStop[]>();
  /** Conditions with their names looked up, by breakpoint and vCPU, since {@link update}. */
  private readonly bound = new Map<Breakpoint, Map<Vcpu | null, () => bigint>>();
  /** What has just happened, for the conditions that are asked about it. */
  private given: RecordValues = NO_VALUES;
  private watches: MemoryWatch[] = [];
  private byRecord: Breakpoint[] = [];
  /** Where the bytes of memory breakpoints lay when they were set. */
  private readonly found = new Map<number, readonly Piece[]>();
  /** By virtual machine, the addresses at which its code stops. */
  private readonly installed = new Map<Vm, string>();
  private readonly vcpuByPid: ReadonlyMap<number, Vcpu>;
  private readonly machine: Machine;
  private readonly journal: Journal;
  private readonly listener: TraceSink | null;
  private readonly breakpoints: () => readonly Breakpoint[];
  private readonly variables: Variables;

  /**
   * @param variables names that mean nothing else
   * @param listener who else listens to trace records
   */
  constructor(
    machine: Machine,
    journal: Journal,
    breakpoints: () => readonly Breakpoint[],
    variables: Variables,
    listener: TraceSink | null,
  ) {
    this.machine = machine;
    this.journal = journal;
    this.breakpoints = breakpoints;
    this.variables = variables;
    this.listener = listener;
    machine.host.sink = this;
    this.vcpuByPid = new Map(machine.vcpus.map((vcpu) => [vcpu.thread.pid, vcpu]));
    for (const vm of machine.vms) {
      vm.memory.onLineWritten(Watch.DEBUG, (line, first, lengthBytes) =>
        this.written(vm, line, first, lengthBytes),
      );
    }
  }

  /** The breakpoints have changed. Throws {@link DebugError} if one cannot be set. */
  update(): void {
    const active = this.breakpoints().filter(({ isEnabled }) => isEnabled);
    this.byAddress.clear();
    this.bound.clear();
    this.watches = [];
    this.byRecord = active.filter(({ spec }) => RECORDS[spec.kind] !== undefined);
    for (const breakpoint of active) this.place(breakpoint);
    for (const vm of this.machine.vms) this.install(vm);
  }

  /** Find out what a breakpoint is about. */
  private place(breakpoint: Breakpoint): void {
    const { spec } = breakpoint;
    const vmIndex = this.vmOf(spec);
    if (spec.kind === 'memory') {
      const vm = this.machine.vms[vmIndex];
      const pieces = this.found.get(breakpoint.id) ?? this.piecesOf(spec, vm);
      this.found.set(breakpoint.id, pieces);
      this.watches.push({ breakpoint, spec, vm, pieces, value: readPieces(vm, pieces) });
    } else if (spec.kind === 'exit' && spec.reason !== undefined) checkReason(spec.reason);
    else if (spec.kind === 'address' || spec.kind === 'symbol' || spec.kind === 'line') {
      const symbols = this.machine.symbols[vmIndex] ?? SymbolMap.EMPTY;
      for (const address of addressesOf(spec, symbols)) {
        this.placeAt(this.machine.vms[vmIndex], address, breakpoint);
      }
    }
  }

  private placeAt(vm: Vm, address: Long, breakpoint: Breakpoint): void {
    const known = this.stopAt(vm, address);
    if (known !== undefined) known.breakpoints.push(breakpoint);
    else {
      const others = this.byAddress.get(address.low) ?? [];
      const stop = { vm, address: address.toUnsigned(), breakpoints: [breakpoint] };
      this.byAddress.set(address.low, [...others, stop]);
    }
  }

  private stopAt(vm: Vm, { low, high }: Long): CodeStop | undefined {
    return this.byAddress.get(low)?.find((stop) => stop.vm === vm && stop.address.high === high);
  }

  private vmOf(spec: BreakpointSpec): number {
    const { vms, vcpus } = this.machine;
    const vcpu = spec.vcpu === undefined ? undefined : vcpus[spec.vcpu];
    if (spec.vcpu !== undefined && vcpu === undefined) {
      throw new DebugError(`there is no vCPU ${spec.vcpu}`);
    }
    const index = vcpu?.vm.id ?? spec.vm ?? 0;
    if (vms[index] === undefined) throw new DebugError(`there is no virtual machine ${index}`);
    return index;
  }

  private piecesOf(spec: MemorySpec, vm: Vm): readonly Piece[] {
    const { address, lengthBytes, space } = spec;
    if (lengthBytes < 1 || lengthBytes > MOST_WATCHED_BYTES) {
      throw new DebugError(`1 to ${MOST_WATCHED_BYTES} bytes can be watched, not ${lengthBytes}`);
    }
    if (space === 'physical' && spec.access !== 'write' && spec.access !== 'change') {
      throw new DebugError('reads can be watched by linear address only');
    }
    const vcpu = spec.vcpu === undefined ? vm.vcpus[0] : this.machine.vcpus[spec.vcpu];
    const pieces =
      space === 'physical'
        ? physicalPieces(vm, address, lengthBytes)
        : linearPieces(vcpu, address, lengthBytes);
    if (pieces !== null) return pieces;
    throw new DebugError(`no memory at 0x${address.toUnsigned().toString(16)}`);
  }

  /** Have code and memory looked at, as far as somebody waits for it. */
  private install(vm: Vm): void {
    const all = [...this.byAddress.values()].flat();
    const stops = all.filter((stop) => stop.vm === vm).map(({ address }) => address);
    const text = stops.map(String).sort().join();
    if (text !== (this.installed.get(vm) ?? '')) vm.setCodeStops(stops);
    this.installed.set(vm, text);
    const reads = this.watches.filter(({ vm: own, spec }) => own === vm && isAccess(spec));
    const ranges = reads.map(({ spec: { address, lengthBytes } }) => ({
      linear: address,
      lengthBytes,
    }));
    for (const vcpu of vm.vcpus) {
      vcpu.virtual.spin.abandon();
      const data = {
        ranges,
        accessed: (linear: Long, lengthBytes: number, isWrite: boolean) =>
          this.accessed(vcpu, linear, lengthBytes, isWrite),
      };
      const { processor } = vcpu.virtual;
      processor.attend((linear) => this.reached(vcpu, linear), ranges.length === 0 ? null : data);
    }
    this.arm();
  }

  /** Watch the lines of all watches for the next write. */
  private arm(): void {
    for (const { vm, pieces, spec } of this.watches) {
      if (isAccess(spec)) continue;
      for (const { hpa, lengthBytes } of pieces) vm.memory.watch(Watch.DEBUG, hpa, lengthBytes);
    }
  }

  /**
   * The machine is about to run from here on.
   * @param wanted trace records to pause behind, beside breakpoints
   */
  begin({
    wanted,
    isCounting,
    isArmed,
    passOver,
  }: {
    readonly wanted: Wanted | null;
    readonly isCounting: boolean;
    /** Whether breakpoints count at all. */
    readonly isArmed: boolean;
    /** How often not to pause where something is met. */
    readonly passOver: number;
  }): void {
    this.hits.length = 0;
    this.focus = null;
    this.isWantedMet = false;
    this.wanted = wanted;
    this.isCounting = isCounting;
    this.isArmed = isArmed;
    this.leftToPass = passOver;
    this.passed.clear();
    for (const vcpu of this.machine.vcpus) {
      if (vcpu.isInGuest) this.passed.set(vcpu, vcpu.virtual.processor.clock);
    }
    for (const watch of this.watches) watch.value = readPieces(watch.vm, watch.pieces);
    this.arm();
  }

  /** Nothing is to be looked at any more: the machine only goes somewhere. */
  end(): void {
    this.wanted = null;
    this.isArmed = false;
  }

  /** Somebody waits for trace records. */
  get needsRecords(): boolean {
    if (this.listener !== null || this.wanted !== null) return true;
    return this.isArmed && this.byRecord.length > 0;
  }

  /** A trace record. */
  record(record: TraceRecord): void {
    const vcpu = this.vcpuByPid.get(record.pid) ?? null;
    this.journal.add(record, vcpu === null ? null : momentOf(this.machine, record, vcpu));
    this.listener?.record(record);
    if (this.wanted === null && !this.isArmed) return;
    if (this.wanted?.(record, vcpu) === true && !this.passes()) {
      this.isWantedMet = true;
      this.focus ??= vcpu;
      this.machine.host.pause();
    }
    if (!this.isArmed || this.byRecord.length === 0) return;
    const request =
      record.name === 'kvm_exit' && vcpu !== null ? guestRequestOf(record, vcpu) : null;
    for (const breakpoint of this.byRecord) {
      if (RECORDS[breakpoint.spec.kind]?.(record, breakpoint.spec, request) !== true) continue;
      const isRequest = request !== null && breakpoint.spec.kind === request.kind;
      const detail = isRequest ? requestText(request) : printRecord(record);
      const values = { ...recordValues(record), ...requestValues(request) };
      if (this.counts(breakpoint, vcpu, values, detail)) this.machine.host.pause();
    }
  }

  /** The machine has come to the time of a breakpoint. */
  timeReached(breakpoint: Breakpoint): void {
    this.counts(breakpoint, null, NO_VALUES, 'time reached');
  }

  /** Code at a linear address is about to be executed. True if the machine pauses before it. */
  private reached(vcpu: Vcpu, linear: Long): boolean {
    const { host } = this.machine;
    const { clock } = vcpu.virtual.processor;
    if (!this.isArmed || host.turnOf?.current !== vcpu.thread) return false;
    if (this.passed.get(vcpu) === clock) return false;
    let isMet = false;
    for (const breakpoint of this.stopAt(vcpu.vm, linear)?.breakpoints ?? []) {
      if (this.counts(breakpoint, vcpu, NO_VALUES, '')) isMet = true;
    }
    if (!isMet) return false;
    host.pause(clock);
    return true;
  }

  /** Bytes of a watched line were written. */
  private written(vm: Vm, line: number, first: number, lengthBytes: number): void {
    const { host } = this.machine;
    this.arm();
    if (!this.isArmed) return;
    for (const watch of this.watches) {
      if (watch.vm !== vm || isAccess(watch.spec)) continue;
      const overlaps = watch.pieces.some(
        (piece) =>
          first < piece.hpa + piece.lengthBytes &&
          piece.hpa < first + lengthBytes &&
          line === lineOf(Math.max(first, piece.hpa)),
      );
      if (!overlaps) continue;
      const old = watch.value;
      watch.value = readPieces(vm, watch.pieces);
      const isSame = watch.value.every((byte, i) => byte === old[i]);
      if (watch.spec.access === 'change' && isSame) continue;
      const vcpu = this.running;
      const values = { old: numberOf(old), new: numberOf(watch.value) };
      this.onStore?.(this.storeOf(vcpu, values));
      const detail = `${hex(old)} -> ${hex(watch.value)}`;
      if (!this.counts(watch.breakpoint, vcpu, values, detail)) continue;
      host.pause(vcpu?.isInGuest === true ? vcpu.virtual.processor.begun + 1 : undefined);
    }
  }

  private storeOf(
    vcpu: Vcpu | null,
    values: { readonly old: bigint; readonly new: bigint },
  ): Store {
    const { turnOf } = this.machine.host;
    const isGuest = vcpu?.isInGuest === true;
    return {
      vcpu: isGuest ? this.machine.vcpus.indexOf(vcpu) : null,
      rip: isGuest ? vcpu.rip.toUnsigned() : null,
      time: isGuest ? vcpu.virtual.processor.begun : (turnOf?.state.now ?? this.machine.now),
      ...values,
    };
  }

  /** The vCPU whose thread has its turn, or null. */
  private get running(): Vcpu | null {
    const pid = this.machine.host.turnOf?.current?.pid;
    return pid === undefined ? null : (this.vcpuByPid.get(pid) ?? null);
  }

  /** An instruction accesses data in a page in which some are watched. */
  private accessed(vcpu: Vcpu, linear: Long, lengthBytes: number, isWrite: boolean): void {
    const { host } = this.machine;
    if (!this.isArmed || host.turnOf?.current !== vcpu.thread) return;
    for (const { breakpoint, spec, vm } of this.watches) {
      if (vm !== vcpu.vm || !isAccess(spec) || (spec.access === 'read' && isWrite)) continue;
      const distance = linear.sub(spec.address);
      if (distance.lte(-lengthBytes) || distance.gte(spec.lengthBytes)) continue;
      if (this.hits.some(({ id }) => id === breakpoint.id)) continue;
      const verb = isWrite ? 'write' : 'read';
      if (!this.counts(breakpoint, vcpu, NO_VALUES, `${verb} of ${lengthBytes} bytes`)) continue;
      const { begun } = vcpu.virtual.processor;
      host.pause(vcpu.isInGuest ? begun + 1 : undefined);
    }
  }

  /** Whether a breakpoint that was met is one to stop at; notes it if so. */
  private counts(
    breakpoint: Breakpoint,
    vcpu: Vcpu | null,
    values: RecordValues,
    detail: string,
  ): boolean {
    const { id, spec, condition } = breakpoint;
    if (spec.vcpu !== undefined && this.machine.vcpus[spec.vcpu] !== vcpu) return false;
    let problem = '';
    if (condition !== null) {
      try {
        this.given = values;
        if (this.boundTo(breakpoint, condition, vcpu)() === 0n) return false;
      } catch (thrown) {
        if (!(thrown instanceof DebugError)) throw thrown;
        problem = `condition: ${thrown.message}`;
      }
    }
    if (this.isCounting) {
      breakpoint.hits++;
      if (breakpoint.ignore > 0) {
        breakpoint.ignore--;
        return false;
      }
    }
    if (this.passes()) return false;
    this.hits.push({
      id,
      spec,
      detail: [detail, problem].filter((part) => part !== '').join('; '),
    });
    this.focus ??= vcpu;
    return true;
  }

  /** What was met is one of those that are passed over. */
  private passes(): boolean {
    if (this.leftToPass === 0) return false;
    this.leftToPass--;
    return true;
  }

  private boundTo(of: Breakpoint, condition: Condition, vcpu: Vcpu | null): () => bigint {
    let byVcpu = this.bound.get(of);
    if (byVcpu === undefined) {
      byVcpu = new Map();
      this.bound.set(of, byVcpu);
    }
    let evaluate = byVcpu.get(vcpu);
    if (evaluate === undefined) {
      const { name, memory } = this.valuesFor(vcpu, of);
      const withGiven = (word: string) => {
        const otherwise = name(word);
        return () => (this.given === NO_VALUES ? otherwise() : (this.given[word] ?? otherwise()));
      };
      evaluate = condition.bind({ name: withGiven, memory });
      byVcpu.set(vcpu, evaluate);
    }
    return evaluate;
  }

  /** What expressions mean on a vCPU; `hits` are those of a breakpoint. */
  valuesFor(vcpu: Vcpu | null, of?: Breakpoint): Values {
    return {
      name: (name) => this.meaningOf(name, vcpu, of),
      memory: (address, lengthBytes) => {
        const linear = Long.fromBits(Number(address & LOW_HALF), Number(address >> 32n), true);
        const pieces = vcpu === null ? null : linearPieces(vcpu, linear, lengthBytes);
        return pieces === null ? null : numberOf(readPieces((vcpu as Vcpu).vm, pieces));
      },
    };
  }

  private meaningOf(name: string, vcpu: Vcpu | null, of?: Breakpoint): () => bigint | undefined {
    const { machine, variables } = this;
    if (name === 'hits') return () => BigInt(of?.hits ?? 0);
    if (name === 'time') return () => BigInt(machine.host.turnOf?.state.now ?? machine.now);
    if (vcpu === null) return () => variables.valueOf(name);
    const constant = (value: bigint) => () => value;
    if (name === 'vcpu') return constant(BigInt(machine.vcpus.indexOf(vcpu)));
    if (registerNamed(name) !== undefined) {
      const read = registerReader(vcpu, name);
      return () => bigintOf(read());
    }
    const address = (machine.symbols[vcpu.vm.id] ?? SymbolMap.EMPTY).addressOf(name);
    if (address !== null) return constant(bigintOf(address));
    const field = FIELDS.find((one) => one.name === name);
    if (field === undefined) return () => variables.valueOf(name);
    return () => bigintOf(vcpu.virtual.vmcs.read(field.name));
  }
}

function checkReason(name: string): void {
  if (EXIT_REASONS.some((reason) => reason.name === name)) return;
  throw new DebugError(`no exit reason named '${name}'; 'vmxlab exits' lists them`);
}

const LOW_HALF = 0xffff_ffffn;

const MOST_WATCHED_BYTES = 4096;

const LINE_BYTES = 64;

const lineOf = (hpa: number) => hpa - (hpa % LINE_BYTES);

/** Reads are seen where the guest accesses; writes, whoever writes, where memory changes. */
function isAccess({ access }: MemorySpec): boolean {
  return access === 'read' || access === 'access';
}

type RecordTest = (
  record: TraceRecord,
  spec: BreakpointSpec,
  request: GuestRequest | null,
) => boolean;

/** Which records the kinds of breakpoints wait for that wait for records. */
const RECORDS: Readonly<Partial<Record<BreakpointSpec['kind'], RecordTest>>> = {
  exit: (record, spec) =>
    record.name === 'kvm_exit' &&
    spec.kind === 'exit' &&
    (spec.reason === undefined || spec.reason === record.fields.reason),
  entry: ({ name }) => name === 'kvm_entry',
  hostEvent: ({ name }, spec) => spec.kind === 'hostEvent' && spec.event === name,
  hypercall: (_record, spec, request) =>
    request?.kind === 'hypercall' &&
    spec.kind === 'hypercall' &&
    (spec.number === undefined || request.nr.eq(spec.number)),
  msr: (_record, spec, request) =>
    request?.kind === 'msr' &&
    spec.kind === 'msr' &&
    request.index === spec.index &&
    (spec.access === undefined || request.write === (spec.access === 'write')),
  port: (_record, spec, request) =>
    request?.kind === 'port' &&
    spec.kind === 'port' &&
    spec.port >= request.port &&
    spec.port < request.port + request.size &&
    (spec.access === undefined || request.write === (spec.access === 'write')),
};

function printRecord(record: TraceRecord): string {
  return `${record.name}: ${printPayload(record)}`;
}

/** Little-endian. */
function numberOf(bytes: Uint8Array): bigint {
  return bytes.reduceRight((sum, byte) => (sum << 8n) | BigInt(byte), 0n);
}

function hex(bytes: Uint8Array): string {
  if (bytes.length <= 8) return `0x${numberOf(bytes).toString(16)}`;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}
