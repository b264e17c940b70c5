// A bare processor with paging set up, for tests that execute a few instructions.

import Long from 'long';
import {
  CodeCache,
  Compiler,
  EMPTY_PLATFORM,
  enterLongMode,
  type InstructionCosts,
  type Platform,
  PROCESSOR_BYTES,
  Processor,
  unvirtualized,
} from '../../src/cpu/index.ts';
import { COST_CLASSES, type CostClass } from '../../src/isa/index.ts';
import { PAGE_SIZE, PhysicalMemory } from '../../src/memory/index.ts';

/** One cycle for everything. */
export const UNIT_COSTS: InstructionCosts = {
  classes: Object.fromEntries(COST_CLASSES.map((name) => [name, 1])) as Record<CostClass, number>,
  memory: 0,
  locked: 0,
};

const PRESENT_WRITABLE_USER = 7;

/** A processor whose pages are mapped one by one. */
export class TestMachine {
  readonly memory: PhysicalMemory;
  readonly processor: Processor;
  readonly compiler: Compiler | undefined;
  private readonly cr3: number;

  /** @param storage what the memory lies in, if hot code is to be compiled */
  constructor(
    pageCount = 256,
    platform: Platform = EMPTY_PLATFORM,
    storage?: WebAssembly.Memory,
    costs: InstructionCosts = UNIT_COSTS,
  ) {
    this.memory = new PhysicalMemory(pageCount * PAGE_SIZE, storage?.buffer);
    const codeCache = new CodeCache(this.memory, costs);
    this.compiler =
      storage === undefined ? undefined : new Compiler(storage, this.memory, codeCache);
    // What tests execute is short.
    if (this.compiler !== undefined) this.compiler.threshold = 16;
    const stateHpa = this.memory.allocatePages(Math.ceil(PROCESSOR_BYTES / PAGE_SIZE));
    this.cr3 = this.memory.allocatePages(1);
    this.processor = new Processor({
      memory: this.memory,
      stateHpa,
      codeCache,
      compiler: this.compiler,
      costs,
      virtualization: unvirtualized(this.memory),
      platform,
    });
  }

  /** Start in 64-bit mode. */
  start(rip: number, rsp: number, cpl: 0 | 3): void {
    enterLongMode(this.processor.state, {
      cr3: this.cr3,
      rip,
      rsp,
      cpl,
      codeSelector: cpl === 0 ? 0x08 : 0x33,
      dataSelector: cpl === 0 ? 0x10 : 0x2b,
      gdtBase: 0,
      gdtLimit: 0,
    });
    this.processor.stateChanged();
  }

  /** Map pages of fresh memory at a linear address; returns the hpa of the first. */
  map(linear: number, pages: number, flags = PRESENT_WRITABLE_USER): number {
    const hpa = this.memory.allocatePages(pages);
    for (let i = 0; i < pages; i++)
      this.mapPage(linear + i * PAGE_SIZE, hpa + i * PAGE_SIZE, flags);
    return hpa;
  }

  private mapPage(linear: number, hpa: number, flags: number): void {
    let table = this.cr3;
    for (const shift of [39, 30, 21]) {
      const at = table + (Math.floor(linear / 2 ** shift) % 512) * 8;
      let entry = this.memory.view.getInt32(at, true);
      if (entry === 0) {
        entry = this.memory.allocatePages(1) | PRESENT_WRITABLE_USER;
        this.memory.write64(at, entry, 0);
      }
      table = entry & ~0xfff;
    }
    this.memory.write64(table + (Math.floor(linear / 2 ** 12) % 512) * 8, hpa | flags, 0);
  }
}

/** A 64-bit number from hexadecimal digits. */
export function fromHex(digits: string): Long {
  return Long.fromString(digits, true, 16).toSigned();
}
