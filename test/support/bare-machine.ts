// A processor that nobody virtualizes, with GDT, TSS and an IDT whose handlers all halt, so that a
// test sees from RIP which one was reached. Laid out like the guest of the VMX bench.

import Long from 'long';
import { EMPTY_PLATFORM, type InstructionCosts } from '../../src/cpu/index.ts';
import { PAGE_SIZE } from '../../src/memory/index.ts';
import { TestMachine } from './test-processor.ts';
import {
  At,
  assembleAt,
  type GateChange,
  gateDescriptor,
  handler,
  SEGMENT_DESCRIPTORS,
  Selector,
} from './vmx-bench.ts';

const HLT = 0xf4;
const PAGE_COUNT = 0x40;
const MEMORY_PAGES = 512;

/** Bytes of its memory. */
export const BARE_MACHINE_BYTES = MEMORY_PAGES * PAGE_SIZE;
const SHUTDOWN = 2;

/** Vectors that push an error code; programs do not use INT n with them. */
const WITH_ERROR_CODE = new Set([8, 10, 11, 12, 13, 14, 17]);

/** What a handler finds: its vector and the frame on its stack. */
export interface Delivered {
  readonly vector: number;
  readonly errorCode: number | null;
  readonly rip: number;
  readonly cs: number;
  readonly flags: number;
  readonly rsp: number;
  readonly ss: number;
}

export class BareMachine {
  readonly machine: TestMachine;
  private readonly ramHpa: number;

  /** @param options what hot code is compiled in, and what instructions cost */
  constructor(
    cpl: 0 | 3 = 0,
    options: { readonly storage?: WebAssembly.Memory; readonly costs?: InstructionCosts } = {},
  ) {
    this.machine = new TestMachine(MEMORY_PAGES, EMPTY_PLATFORM, options.storage, options.costs);
    this.ramHpa = this.machine.map(0, PAGE_COUNT);
    SEGMENT_DESCRIPTORS.forEach(([low, high], i) => {
      this.write64(At.GDT + 8 * i, low, high);
    });
    for (let vector = 0; vector < 256; vector++) {
      this.gate(vector);
      this.machine.memory.write(this.hpa(handler(vector)), Uint8Array.of(HLT));
    }
    this.write64(At.TSS + 4, At.STACK_0);
    for (let ist = 1; ist <= 7; ist++) this.write64(At.TSS + 0x1c + 8 * ist, At.STACK_IST);
    this.machine.start(At.CODE, At.STACK, cpl);
    this.set('gdtrBase', At.GDT);
    this.set('gdtrLimit', SEGMENT_DESCRIPTORS.length * 8 - 1);
    this.set('idtrBase', At.IDT);
    this.set('idtrLimit', 0xfff);
    this.set('trBase', At.TSS);
    this.set('trSelector', Selector.TSS);
    this.set('trLimit', 0x67);
    this.set('csSelector', cpl === 0 ? Selector.CODE : Selector.USER_CODE);
    for (const name of ['ss', 'ds', 'es', 'fs', 'gs']) {
      this.set(`${name}Selector`, cpl === 0 ? Selector.DATA : Selector.USER_DATA);
    }
  }

  get(name: string): number {
    return this.machine.processor.state.get(name).toUnsigned().toNumber();
  }

  set(name: string, value: number): void {
    this.machine.processor.state.set(name, Long.fromNumber(value));
  }

  hpa(linear: number): number {
    return this.ramHpa + linear;
  }

  write64(linear: number, low: number, high = 0): void {
    this.machine.memory.write64(this.hpa(linear), low, high);
  }

  read64(linear: number): number {
    return Number(this.machine.memory.view.getBigUint64(this.hpa(linear), true));
  }

  gate(vector: number, change: GateChange = {}): void {
    this.write64(At.IDT + 16 * vector, ...gateDescriptor(vector, change));
    this.write64(At.IDT + 16 * vector + 8, 0);
  }

  /** hpa of the paging-structure entry for a linear address; level 1 is the page table. */
  entryHpa(linear: number, level: number): number {
    const { view } = this.machine.memory;
    let table = this.get('cr3');
    for (let above = 4; ; above--) {
      const at = table + (Math.floor(linear / 2 ** (9 * above + 3)) % 512) * 8;
      if (above === level) return at;
      table = view.getUint32(at, true) & ~(PAGE_SIZE - 1);
    }
  }

  /** Change bits of a paging-structure entry. */
  changeEntry(
    linear: number,
    level: number,
    change: { set?: number; clear?: number; setHigh?: number },
  ): void {
    const { memory } = this.machine;
    const at = this.entryHpa(linear, level);
    const { set = 0, clear = 0, setHigh = 0 } = change;
    const low = (memory.view.getInt32(at, true) & ~clear) | set;
    memory.write64(at, low, memory.view.getInt32(at + 4, true) | setHigh);
  }

  /** Accessed and dirty flags of a paging-structure entry. */
  usedFlags(linear: number, level: number): number {
    return this.machine.memory.view.getUint32(this.entryHpa(linear, level), true) & 0x60;
  }

  /** Assemble at the start of the code. */
  load(source: string): ReadonlyMap<string, number> {
    const { bytes, labels } = assembleAt(At.CODE, source);
    this.machine.memory.write(this.hpa(At.CODE), bytes);
    return labels;
  }

  /**
   * Assemble and run until a handler halts, or the program at CPL 0; true if it was a handler. What
   * the processor has cached stays.
   */
  run(source: string): boolean {
    const { processor } = this.machine;
    this.load(source);
    this.set('rip', At.CODE);
    this.set('activity', 0);
    processor.requestAttention();
    const stop = processor.run(processor.clock + 10_000);
    if (stop.kind !== 'inactive') throw new Error(`stopped by ${JSON.stringify(stop)}`);
    return this.get('rip') - 1 >= At.HANDLERS && this.get('rip') - 1 < At.CODE;
  }

  /** Run to a handler, and say what it finds. */
  delivered(source: string): Delivered {
    if (!this.run(source)) throw new Error('no handler was reached');
    const vector = (this.get('rip') - 1 - At.HANDLERS) / 16;
    const hasError = WITH_ERROR_CODE.has(vector);
    const top = this.get('rsp');
    const at = (slot: number) => this.read64(top + 8 * slot);
    const frame = hasError ? 1 : 0;
    return {
      vector,
      errorCode: hasError ? at(0) : null,
      rip: at(frame),
      cs: at(frame + 1),
      flags: at(frame + 2),
      rsp: at(frame + 3),
      ss: at(frame + 4),
    };
  }

  /** Run to a triple fault; throws if anything else comes. */
  expectShutdown(source: string): void {
    this.run(source);
    if (this.get('activity') !== SHUTDOWN) throw new Error('no shutdown');
  }
}
