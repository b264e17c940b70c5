// A virtual processor with a guest laid out for tests of VMX operation: 1 MiB of RAM that EPT maps
// in 4 KiB pages, identity-mapped by the guest's own tables, with a GDT, a TSS, and an IDT whose
// handlers all leave by VMCALL, so that a test sees from RIP which one was reached.

import Long from 'long';
import { assemble } from '../../src/asm/index.ts';
import { CodeCache, type InstructionCosts } from '../../src/cpu/index.ts';
import type { CostClass } from '../../src/isa/index.ts';
import { PAGE_SIZE, PhysicalMemory } from '../../src/memory/index.ts';
import {
  type EntryOutcome,
  exitReasonName,
  type FieldName,
  type RunOutcome,
  VIRTUAL_PROCESSOR_BYTES,
  VirtualProcessor,
  type VmxCosts,
} from '../../src/vmx/index.ts';
import { UNIT_COSTS } from './test-processor.ts';
import { validVmcs } from './valid-vmcs.ts';

/** Guest-physical, and linear, addresses of what the bench puts into RAM. */
export const At = {
  PML4: 0x1000,
  PDPT: 0x2000,
  PAGE_DIRECTORY: 0x3000,
  PAGE_TABLE: 0x4000,
  GDT: 0x5000,
  IDT: 0x6000,
  TSS: 0x7000,
  /** Tops of stacks: of the guest at the start, of the TSS for CPL 0, and of its IST 1. */
  STACK: 0xa000,
  STACK_0: 0xc000,
  STACK_IST: 0xe000,
  HANDLERS: 0xf000,
  CODE: 0x10000,
  DATA: 0x20000,
  /** End of RAM: EPT maps nothing from here on. */
  END: 0x100000,
} as const;

/** Selectors in the GDT. */
export const Selector = { CODE: 0x08, DATA: 0x10, USER_DATA: 0x1b, USER_CODE: 0x23, TSS: 0x28 };

/** Address of the handler for a vector. */
export const handler = (vector: number) => At.HANDLERS + 16 * vector;

/** Descriptors of those selectors, as low and high half. */
export const SEGMENT_DESCRIPTORS: readonly (readonly [low: number, high: number])[] = [
  [0, 0],
  [0xffff, 0x00af9b00],
  [0xffff, 0x00cf9300],
  [0xffff, 0x00cff300],
  [0xffff, 0x00affb00],
  [(At.TSS & 0xffff) * 2 ** 16 + 0x67, 0x00008b00 | (At.TSS >> 16)],
  [0, 0],
];

/** How a gate differs from an interrupt gate of DPL 0 to the standard handler. */
export interface GateChange {
  readonly type?: number;
  readonly dpl?: number;
  readonly ist?: number;
  readonly selector?: number;
  readonly present?: boolean;
}

/** The lower half of a gate's 16 bytes, as low and high half; the upper one is 0. */
export function gateDescriptor(
  vector: number,
  change: GateChange,
): readonly [low: number, high: number] {
  const { type = 0xe, dpl = 0, ist = 0, selector = Selector.CODE, present = true } = change;
  const access = type | (dpl << 5) | (present ? 0x80 : 0);
  return [handler(vector) + selector * 2 ** 16, ist | (access << 8)];
}

/** What an exit leaves in the VMCS. Interruption fields are 0 unless their valid bit is set. */
export interface ExitRecord {
  readonly reason: string;
  readonly rip: number;
  readonly qualification: number;
  readonly lengthBytes: number;
  readonly interruption: number;
  readonly errorCode: number | null;
  readonly idtVectoring: number;
  readonly idtErrorCode: number | null;
  readonly gpa: number;
  readonly linear: number;
}

const NOTHING: ExitRecord = {
  reason: '',
  rip: 0,
  qualification: 0,
  lengthBytes: 0,
  interruption: 0,
  errorCode: null,
  idtVectoring: 0,
  idtErrorCode: null,
  gpa: 0,
  linear: 0,
};

/** A whole record: what an exit does not define is 0, so that logs stay deterministic. */
export function exitRecord(
  reason: string,
  rip: number,
  rest: Partial<ExitRecord> = {},
): ExitRecord {
  return { ...NOTHING, reason, rip, ...rest };
}

export interface BenchOptions {
  /** Cycles of instruction classes; all others take one. */
  readonly cycles?: Partial<Record<CostClass, number>>;
  readonly costs?: VmxCosts;
}

/** Fields by name, as a test writes them. */
export type FieldValues = Readonly<Partial<Record<FieldName, number | Long>>>;

const NO_COSTS: VmxCosts = { entry: 0, exit: 0 };
const PRESENT_WRITABLE_USER = 7;
const EPT_ALL = 7;
const EPT_WRITE_BACK = 6 << 3;
const ENTRY_WITH_ERROR = 1 << 11;

export class VmxBench {
  readonly memory = new PhysicalMemory(3 * 2 ** 20);
  readonly virtual: VirtualProcessor;
  /** hpa of the VMCS region. */
  /** hpa of guest-physical address 0. */
  readonly ramHpa: number;
  /** hpa of the EPT tables, by level. */
  readonly ept: Readonly<Record<1 | 2 | 3 | 4, number>>;
  private readonly options: BenchOptions;

  constructor(options: BenchOptions = {}) {
    const { memory } = this;
    this.options = options;
    const instructionCosts: InstructionCosts = {
      ...UNIT_COSTS,
      classes: { ...UNIT_COSTS.classes, ...options.cycles },
    };
    this.virtual = new VirtualProcessor({
      memory,
      hpa: memory.allocatePages(VIRTUAL_PROCESSOR_BYTES / PAGE_SIZE),
      codeCache: new CodeCache(memory, instructionCosts),
      instructionCosts,
      costs: options.costs ?? NO_COSTS,
    });
    const [pml4, pdpt, directory, table] = [1, 2, 3, 4].map(() => memory.allocatePages(1));
    this.ept = { 4: pml4 ?? 0, 3: pdpt ?? 0, 2: directory ?? 0, 1: table ?? 0 };
    this.ramHpa = memory.allocatePages(At.END / PAGE_SIZE);
    this.mapEpt();
    this.mapGuest();
    this.describeSegments();
    for (let vector = 0; vector < 256; vector++) this.gate(vector);
    this.memory.write(this.ramHpa + At.HANDLERS, HANDLERS);
    this.set(validVmcs(this.ept[4]));
  }

  /** Another bench in the same state, by way of what a snapshot keeps: plain data and memory. */
  copy(): VmxBench {
    const other = new VmxBench(this.options);
    other.memory.bytes.set(this.memory.bytes);
    other.virtual.state = JSON.parse(JSON.stringify(this.virtual.state));
    return other;
  }

  private mapEpt(): void {
    for (const level of [4, 3, 2] as const) {
      const next = this.ept[(level - 1) as 1 | 2 | 3];
      this.memory.write64(this.ept[level], next | EPT_ALL, 0);
    }
    for (let gpa = 0; gpa < At.END; gpa += PAGE_SIZE) this.setEpt(gpa, EPT_ALL);
  }

  /** The page of a guest-physical address gets these rights, and nothing else changes. */
  setEpt(gpa: number, rights: number): void {
    const entry = (this.ramHpa + gpa - (gpa % PAGE_SIZE)) | EPT_WRITE_BACK | rights;
    this.memory.write64(this.eptEntry(1, gpa), entry, 0);
    this.virtual.invalidateTranslations();
  }

  /** hpa of the EPT entry that translates an address at a level. */
  eptEntry(level: 1 | 2 | 3 | 4, gpa: number): number {
    return this.ept[level] + (Math.floor(gpa / 2 ** (9 * level + 3)) % 512) * 8;
  }

  private mapGuest(): void {
    this.write64(At.PML4, At.PDPT | PRESENT_WRITABLE_USER);
    this.write64(At.PDPT, At.PAGE_DIRECTORY | PRESENT_WRITABLE_USER);
    this.write64(At.PAGE_DIRECTORY, At.PAGE_TABLE | PRESENT_WRITABLE_USER);
    // One page more than there is RAM.
    for (let gpa = 0; gpa <= At.END; gpa += PAGE_SIZE) this.map(gpa, gpa);
  }

  /** The guest's own tables: one page below 2 MiB. */
  map(linear: number, gpa: number, flags = PRESENT_WRITABLE_USER): void {
    const at = At.PAGE_TABLE + (linear / PAGE_SIZE) * 8;
    this.write64(at, gpa | flags, Math.floor(gpa / 2 ** 32));
  }

  private describeSegments(): void {
    SEGMENT_DESCRIPTORS.forEach(([low, high], i) => {
      this.write64(At.GDT + 8 * i, low, high);
    });
    this.write64(At.TSS + 4, At.STACK_0 % 2 ** 32);
    this.memory.view.setUint32(this.ramHpa + At.TSS + 0x24, At.STACK_IST, true);
    this.memory.view.setUint16(this.ramHpa + At.TSS + 0x66, 0x68, true);
  }

  /** An interrupt gate to the standard handler, changed as a test wants it. */
  gate(vector: number, change: GateChange = {}): void {
    this.write64(At.IDT + 16 * vector, ...gateDescriptor(vector, change));
    this.write64(At.IDT + 16 * vector + 8, 0);
  }

  /** Two halves to guest-physical memory. */
  write64(gpa: number, low: number, high = 0): void {
    this.memory.write64(this.ramHpa + gpa, low, high);
  }

  read64(gpa: number): number {
    return Number(this.memory.view.getBigUint64(this.ramHpa + gpa, true));
  }

  /** Assemble and put into RAM; addresses of labels by name. */
  load(source: string, gpa: number = At.CODE): ReadonlyMap<string, number> {
    const { bytes, labels } = assembleAt(gpa, source);
    this.memory.write(this.ramHpa + gpa, bytes);
    return labels;
  }

  /** Write fields. */
  set(values: FieldValues): void {
    for (const [name, value] of Object.entries(values)) {
      this.virtual.vmcs.write(name as FieldName, value);
    }
  }

  /** Set bits of a field. */
  add(name: FieldName, bits: number): void {
    this.virtual.vmcs.write(name, this.virtual.vmcs.read(name).low | bits);
  }

  /** Clear bits of a field. */
  remove(name: FieldName, bits: number): void {
    this.virtual.vmcs.write(name, this.virtual.vmcs.read(name).low & ~bits);
  }

  /** A field as an unsigned number; exact below 2^53. */
  field(name: FieldName): number {
    return this.virtual.vmcs.read(name).toUnsigned().toNumber();
  }

  /** A register or another item of the processor's state. */
  register(name: string): number {
    return this.virtual.processor.state.get(name).toUnsigned().toNumber();
  }

  setRegister(name: string, value: number | Long): void {
    const wide = typeof value === 'number' ? Long.fromNumber(value) : value;
    this.virtual.processor.state.set(name, wide);
  }

  /** The guest starts at CPL 3, IOPL 0. */
  enterUserMode(): void {
    this.set({
      GUEST_CS_SELECTOR: Selector.USER_CODE,
      GUEST_CS_AR_BYTES: 0xa0fb,
      GUEST_SS_SELECTOR: Selector.USER_DATA,
      GUEST_SS_AR_BYTES: 0xc0f3,
    });
  }

  get now(): number {
    return this.virtual.processor.clock;
  }

  set now(clock: number) {
    this.virtual.processor.clock = clock;
  }

  /** VMLAUNCH or VMRESUME, whichever is right. */
  tryToEnter(): EntryOutcome {
    return this.virtual.enter(this.now, !this.virtual.vmcs.launched);
  }

  /** Enter; the entry has to succeed. */
  enter(): void {
    const outcome = this.tryToEnter();
    if (outcome.kind === 'entered') return;
    const check = 'check' in outcome ? outcome.check : null;
    throw new Error(`${outcome.kind}: ${check?.rule} (${check?.fields})`);
  }

  /** Run to an exit, which has to come before `cycles` have passed. */
  runToExit(cycles = 10_000): ExitRecord {
    const outcome: RunOutcome = this.virtual.run(this.now + cycles);
    if (outcome.kind === 'exit') return this.exit;
    const rip = this.field('GUEST_RIP').toString(16);
    throw new Error(`no exit but ${JSON.stringify(outcome)} at ${rip}`);
  }

  /** Assemble at the start of the code, enter there, and run to the exit. */
  exitOf(source: string): ExitRecord {
    this.load(source);
    this.set({ GUEST_RIP: At.CODE });
    return this.resume();
  }

  /** Enter where the guest is, and run to the exit. */
  resume(cycles?: number): ExitRecord {
    this.enter();
    return this.runToExit(cycles);
  }

  /** Go past the instruction that exited, as a host does that has emulated it, and run on. */
  skipAndResume(): ExitRecord {
    const { vmcs } = this.virtual;
    vmcs.write('GUEST_RIP', vmcs.read('GUEST_RIP').add(this.field('VM_EXIT_INSTRUCTION_LEN')));
    this.remove('GUEST_INTERRUPTIBILITY_INFO', 3);
    return this.resume();
  }

  /** What the last exit recorded. */
  get exit(): ExitRecord {
    const interruption = valid(this.field('VM_EXIT_INTR_INFO'));
    const idtVectoring = valid(this.field('IDT_VECTORING_INFO_FIELD'));
    return {
      reason: exitReasonName(this.field('VM_EXIT_REASON')),
      rip: this.field('GUEST_RIP'),
      qualification: this.field('EXIT_QUALIFICATION'),
      lengthBytes: this.field('VM_EXIT_INSTRUCTION_LEN'),
      interruption,
      errorCode: hasError(interruption) ? this.field('VM_EXIT_INTR_ERROR_CODE') : null,
      idtVectoring,
      idtErrorCode: hasError(idtVectoring) ? this.field('IDT_VECTORING_ERROR_CODE') : null,
      gpa: this.field('GUEST_PHYSICAL_ADDRESS'),
      linear: this.field('GUEST_LINEAR_ADDRESS'),
    };
  }

  /** The stack from RSP up, as 64-bit numbers. */
  stack(count: number): number[] {
    const top = this.field('GUEST_RSP');
    return Array.from({ length: count }, (_, i) => this.read64(top + 8 * i));
  }
}

/** Assemble 64-bit code for an address; it must be free of errors. */
export function assembleAt(
  origin: number,
  source: string,
): { readonly bytes: Uint8Array; readonly labels: ReadonlyMap<string, number> } {
  const text = `bits 64\ndefault abs\norg ${origin}\n${source}\n`;
  const assembled = assemble({ name: 'bench.asm', text });
  if (assembled.kind === 'errors') {
    throw new Error(assembled.errors.map(({ message }) => message).join('\n'));
  }
  const labels = assembled.symbols.map(({ name, value }) => [name, value.toNumber()] as const);
  return { bytes: assembled.bytes, labels: new Map(labels) };
}

const HANDLERS = assembleAt(At.HANDLERS, '%rep 256\n vmcall\n iretq\n align 16\n%endrep').bytes;

function valid(information: number): number {
  return information >= 2 ** 31 ? information : 0;
}

function hasError(information: number): boolean {
  return (information & ENTRY_WITH_ERROR) !== 0;
}
