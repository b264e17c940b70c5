// A processor in any mode, over 1 MiB that linear addresses name directly, with a GDT, an IDT and a
// TSS of that mode. Executes one instruction at a time and says what came of it: `#GP(58)`, or
// nothing if it completed; or lets events be delivered, and shows the stack that they leave.

import Long from 'long';
import {
  Activity,
  CodeCache,
  Cr0,
  Cr4,
  Efer,
  EMPTY_PLATFORM,
  enterProtectedMode,
  isIa32e,
  type Mode,
  PROCESSOR_BYTES,
  Processor,
  type ProcessorStop,
  Rflags,
  resetState,
  returnsBehind,
  unvirtualized,
  VECTOR_NAMES,
} from '../../src/cpu/index.ts';
import { PAGE_SIZE, PhysicalMemory } from '../../src/memory/index.ts';
import { codeBytes } from './code-bytes.ts';
import { type Descriptor, descriptorHalves, Type } from './protection-bench.ts';
import { UNIT_COSTS } from './test-processor.ts';

const RAM_BYTES = 0x100000;
const TOP_PAGE = 0xfffff000;

/** Linear addresses of what the bench puts into memory; code segments of 16 bits reach CODE. */
export const Place = {
  PAGES: 0x1000,
  GDT: 0x5000,
  IDT: 0x6000,
  TSS: 0x7000,
  LDT: 0x8000,
  CODE: 0x9000,
  HANDLERS: 0xa000,
  STACK: 0xc000,
  /** Top of the stack of CPL 0 in the TSS. */
  STACK_0: 0xd000,
  DATA: 0xe000,
  /** What the last page below 4 GiB shows. */
  TOP: 0xff000,
} as const;

/** Selectors of the GDT, with RPL 0. */
export const Sel = {
  CODE_32: 0x08,
  DATA_32: 0x10,
  USER_CODE_32: 0x18,
  USER_DATA_32: 0x20,
  CODE_16: 0x28,
  DATA_16: 0x30,
  CODE_64: 0x38,
  TSS: 0x40,
  USER_CODE_16: 0x50,
  USER_DATA_16: 0x58,
  /** For tests to describe. */
  OWN: 0x60,
  OWN_STACK: 0x68,
  OWN_LOCAL: 0x0c,
} as const;

const GDT_BYTES = 0x80;
const LDT_BYTES = 0x20;

const DESCRIPTORS: Readonly<Record<number, Descriptor>> = {
  [Sel.CODE_32]: { db: true, long: false },
  [Sel.DATA_32]: { type: Type.WRITABLE, db: true },
  [Sel.USER_CODE_32]: { db: true, long: false, dpl: 3 },
  [Sel.USER_DATA_32]: { type: Type.WRITABLE, db: true, dpl: 3 },
  [Sel.CODE_16]: { long: false, granular: false, limit: 0xffff },
  [Sel.DATA_16]: { type: Type.WRITABLE, granular: false, limit: 0xffff },
  [Sel.CODE_64]: { long: true },
  [Sel.USER_CODE_16]: { long: false, granular: false, limit: 0xffff, dpl: 3 },
  [Sel.USER_DATA_16]: { type: Type.WRITABLE, granular: false, limit: 0xffff, dpl: 3 },
};

export type Bits = 16 | 32 | 64;

export interface ModeStart {
  readonly mode: Mode;
  /** Of code and stack; 16 by itself in real and virtual-8086 mode, 64 in 64-bit mode. */
  readonly bits?: Bits;
  readonly cpl?: 0 | 3;
}

class Caught {
  readonly fault: string;

  constructor(fault: string) {
    this.fault = fault;
  }
}

export class ModeBench {
  readonly memory = new PhysicalMemory(3 * RAM_BYTES);
  readonly processor: Processor;
  readonly bits: Bits;
  private readonly ramHpa: number;
  private catching = true;

  constructor({ mode, bits = 32, cpl = 0 }: ModeStart) {
    const { memory } = this;
    const stateHpa = memory.allocatePages(Math.ceil(PROCESSOR_BYTES / PAGE_SIZE));
    this.ramHpa = memory.allocatePages(RAM_BYTES / PAGE_SIZE);
    this.processor = new Processor({
      memory,
      stateHpa,
      codeCache: new CodeCache(memory, UNIT_COSTS),
      costs: UNIT_COSTS,
      virtualization: {
        ...unvirtualized(memory),
        translate: (gpa) => {
          if (gpa >= TOP_PAGE) return this.ramHpa + Place.TOP + (gpa - TOP_PAGE);
          return gpa < RAM_BYTES ? this.ramHpa + gpa : -1;
        },
        exception: ({ vector, type, errorCode }) => {
          if (!this.catching || returnsBehind(type)) return;
          const code = errorCode === null ? '' : `(${errorCode.toString(16)})`;
          throw new Caught(`${VECTOR_NAMES.get(vector)}${code}`);
        },
      },
      platform: EMPTY_PLATFORM,
    });
    const hasParagraphs = mode === 'real' || mode === 'virtual8086';
    this.bits = mode === '64-bit' ? 64 : hasParagraphs ? 16 : bits;
    resetState(this.processor.state);
    this.start(mode, cpl);
    this.processor.stateChanged();
  }

  private start(mode: Mode, cpl: 0 | 3): void {
    const { state } = this.processor;
    if (mode === 'real') {
      this.load('cs', { selector: 0, base: 0 });
      this.set('cr0', Cr0.ET);
    } else {
      const tables = { gdtBase: Place.GDT, gdtLimit: GDT_BYTES - 1 };
      enterProtectedMode(state, { eip: 0, codeSelector: 0, dataSelector: 0, ...tables });
      this.describeTables(isIa32e(mode));
      if (isIa32e(mode)) this.enterIa32e();
      if (mode === 'virtual8086') this.enterVirtual8086();
      else this.loadFlat(cpl);
    }
    this.set('rsp', Place.STACK);
    this.set('activity', Activity.ACTIVE);
  }

  private describeTables(isWide: boolean): void {
    for (const [selector, descriptor] of Object.entries(DESCRIPTORS)) {
      this.describe(Number(selector), descriptor);
    }
    const tss = { type: 11, isSystem: true, base: Place.TSS, limit: 0x67 };
    this.describe(Sel.TSS, tss);
    this.load('tr', { selector: Sel.TSS, base: Place.TSS, limit: 0x67, rights: 0x8b });
    this.load('ldtr', { selector: 0x48, base: Place.LDT, limit: LDT_BYTES - 1, rights: 0x82 });
    this.write(Place.TSS + 4, 4, Place.STACK_0);
    if (!isWide) this.write(Place.TSS + 8, 2, Sel.DATA_32);
    this.set('idtrBase', Place.IDT);
    this.set('idtrLimit', isWide ? 0xfff : 0x7ff);
  }

  /** Pages of 2 MiB that map everything to itself. */
  private enterIa32e(): void {
    const { PAGES } = Place;
    const at = [PAGES, PAGES + 0x1000, PAGES + 0x2000] as const;
    this.write(at[0], 8, at[1] | 7);
    this.write(at[1], 8, at[2] | 7);
    this.write(at[2], 8, 0x87);
    this.set('cr3', PAGES);
    this.set('cr4', Cr4.PAE);
    this.set('efer', Efer.LME | Efer.LMA | Efer.NXE | Efer.SCE);
    this.set('cr0', (Cr0.PE | Cr0.ET | Cr0.NE | Cr0.PG) >>> 0);
  }

  private enterVirtual8086(): void {
    this.set('rflags', Rflags.FIXED | Rflags.VM);
    for (const name of ['cs', 'ss', 'ds', 'es', 'fs', 'gs']) {
      this.load(name, { selector: 0, base: 0, limit: 0xffff, rights: 0xf3 });
    }
  }

  private loadFlat(cpl: 0 | 3): void {
    const rights = (low: number) => low | (cpl << 5);
    const code = { 16: Sel.CODE_16, 32: Sel.CODE_32, 64: Sel.CODE_64 }[this.bits];
    const user = this.bits === 16 ? Sel.USER_CODE_16 : Sel.USER_CODE_32;
    const narrow = this.bits === 16;
    const codeRights = { 16: 0x009b, 32: 0xc09b, 64: 0xa09b }[this.bits];
    this.load('cs', { selector: cpl === 0 ? code : user + 3, rights: rights(codeRights) });
    if (narrow) this.load('cs', { limit: 0xffff });
    const data = narrow ? Sel.DATA_16 : Sel.DATA_32;
    const userData = narrow ? Sel.USER_DATA_16 : Sel.USER_DATA_32;
    for (const name of ['ss', 'ds', 'es', 'fs', 'gs']) {
      const selector = cpl === 0 ? data : userData + 3;
      const limit = narrow ? 0xffff : 0xffffffff;
      this.load(name, { selector, limit, rights: rights(narrow ? 0x0093 : 0xc093) });
    }
  }

  /** Change the hidden parts of a segment register; what is left out stays. */
  load(
    name: string,
    parts: {
      readonly selector?: number;
      readonly base?: number;
      readonly limit?: number;
      readonly rights?: number;
    },
  ): void {
    for (const [part, value] of Object.entries(parts)) {
      this.set(`${name}${part.slice(0, 1).toUpperCase()}${part.slice(1)}`, value);
    }
  }

  get(name: string): number {
    return this.processor.state.get(name).toUnsigned().toNumber();
  }

  set(name: string, value: number): void {
    this.processor.state.set(name, Long.fromNumber(value));
  }

  /** Items of the processor's state by name. */
  values(...names: readonly string[]): number[] {
    return names.map((name) => this.get(name));
  }

  /** Selector, base, limit and rights of a segment register. */
  segment(name: string): number[] {
    return this.values(`${name}Selector`, `${name}Base`, `${name}Limit`, `${name}Rights`);
  }

  read(linear: number, lengthBytes: 1 | 2 | 4 | 8): number {
    const { view } = this.memory;
    const at = this.ramHpa + linear;
    if (lengthBytes === 8) return Number(view.getBigUint64(at, true));
    if (lengthBytes === 4) return view.getUint32(at, true);
    return lengthBytes === 2 ? view.getUint16(at, true) : view.getUint8(at);
  }

  write(linear: number, lengthBytes: 1 | 2 | 4 | 8, value: number): void {
    const bytes = new Uint8Array(8);
    new DataView(bytes.buffer).setBigUint64(0, BigInt.asUintN(64, BigInt(value)), true);
    this.memory.write(this.ramHpa + linear, bytes.subarray(0, lengthBytes));
  }

  /** Values one behind the other, from an address upward. */
  writeAll(linear: number, lengthBytes: 2 | 4 | 8, values: readonly number[]): void {
    values.forEach((value, i) => {
      this.write(linear + i * lengthBytes, lengthBytes, value);
    });
  }

  readAll(linear: number, lengthBytes: 2 | 4 | 8, count: number): number[] {
    return Array.from({ length: count }, (_, i) =>
      this.read(linear + i * lengthBytes, lengthBytes),
    );
  }

  /** Put a descriptor where a selector finds it, in GDT or LDT. */
  describe(selector: number, descriptor: Descriptor): void {
    const [low, high] = descriptorHalves(descriptor);
    this.describeRaw(selector, low, high);
  }

  describeRaw(selector: number, low: number, high: number): void {
    const at = ((selector & 4) === 0 ? Place.GDT : Place.LDT) + (selector & 0xfff8);
    this.writeAll(at, 4, [low >>> 0, high >>> 0]);
  }

  /** The access byte of a descriptor in memory. */
  accessByte(selector: number): number {
    return this.read(Place.GDT + (selector & 0xfff8) + 5, 1);
  }

  /** A gate of 8 bytes (a descriptor's upper half follows in IA-32e mode, here 0). */
  gateHalves(gate: {
    readonly type: number;
    readonly selector: number;
    readonly offset: number;
    readonly dpl?: number;
    readonly present?: boolean;
    readonly count?: number;
  }): readonly [number, number] {
    const { type, selector, offset, dpl = 0, present = true, count = 0 } = gate;
    const access = type | (dpl << 5) | (present ? 0x80 : 0);
    const low = (offset & 0xffff) + selector * 0x10000;
    return [low, ((offset & 0xffff0000) | (access << 8) | count) >>> 0];
  }

  /** Describe an entry of the IDT. */
  gate(vector: number, change: Partial<Parameters<ModeBench['gateHalves']>[0]> = {}): void {
    const isWide = isIa32e(this.processor.mode);
    const selector = isWide ? Sel.CODE_64 : Sel.CODE_32;
    const offset = Place.HANDLERS + 16 * vector;
    const halves = this.gateHalves({ type: 14, selector, offset, ...change });
    this.writeAll(Place.IDT + vector * (isWide ? 16 : 8), 4, isWide ? [...halves, 0, 0] : halves);
  }

  /** Put code at CODE and go there. Returns its length. */
  place(source: string, bits: Bits = this.bits): number {
    const bytes = codeBytes(bits, Place.CODE, source);
    this.memory.write(this.ramHpa + Place.CODE, bytes);
    this.set('rip', Place.CODE - this.get('csBase'));
    this.processor.stateChanged();
    return bytes.length;
  }

  /** Execute one instruction; the fault that it raises, or why it stopped, or ''. */
  execute(source: string): string {
    this.place(source);
    try {
      return describeStop(this.processor.step());
    } catch (thrown) {
      if (thrown instanceof Caught) return thrown.fault;
      throw thrown;
    }
  }

  /** From now on exceptions are delivered rather than caught. */
  letEventsThrough(): void {
    this.catching = false;
  }

  /** Execute so many instructions, with events delivered. Why it stopped, or ''. */
  run(source: string, count = 1): string {
    this.place(source);
    this.letEventsThrough();
    for (let i = 0; i < count; i++) {
      const stop = describeStop(this.processor.step());
      if (stop !== '') return stop;
    }
    return '';
  }
}

function describeStop(stop: ProcessorStop | null): string {
  if (stop === null) return '';
  return stop.kind === 'notImplemented' ? `not implemented: ${stop.what}` : stop.kind;
}
