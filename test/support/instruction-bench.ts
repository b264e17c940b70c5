// Executes one instruction at a time from a given state and says everything that came of it. The
// machine has a page of code, a window of data that operands are aimed at, and descriptor tables,
// so that system instructions have something to work on.

import Long from 'long';
import {
  Cr0,
  Cr4,
  Efer,
  type Platform,
  type Processor,
  type ProcessorStop,
  returnsBehind,
  STATE_BYTES,
  VECTOR_NAMES,
  Word,
  wordOf,
} from '../../src/cpu/index.ts';
import { PAGE_SIZE } from '../../src/memory/index.ts';
import { TestMachine } from './test-processor.ts';

/** Linear addresses. Code lies right before the window, in reach of RIP-relative operands. */
export const WINDOW = 0x20000000;
export const WINDOW_BYTES = 2 * PAGE_SIZE;
export const CODE = WINDOW - PAGE_SIZE;
const TABLES = 0x30000000;

/** Displacements with which absolute and RIP-relative operands reach the window. */
export const INTO_WINDOW = { absolute: WINDOW + 0xc00, ripRelative: PAGE_SIZE + 0xa00 };

/** Selectors in the GDT of the bench. */
export const Selector = { CODE: 0x08, DATA: 0x10, TASK: 0x18 } as const;

/** The state before an instruction. */
export interface Before {
  /** 16 general registers, 8 bytes each. */
  readonly registers: Uint8Array;
  readonly rflags: number;
  readonly fsBase: number;
  readonly gsBase: number;
  readonly window: Uint8Array;
  /** 16 XMM registers, 16 bytes each, and MXCSR. */
  readonly vectors: Uint8Array;
  /** CR0.TS is 0, which the FPU and SSE want. */
  readonly hasUnits: boolean;
}

/** What came of it. */
export interface After {
  /** The whole state before and after; general registers first, as in {@link Before}. */
  readonly initial: Uint8Array;
  readonly state: Uint8Array;
  readonly rflags: number;
  readonly rip: number;
  readonly window: Uint8Array;
  /** `#GP(0)`, or why the processor stopped, or null. */
  readonly fault: string | null;
  /** REP wants another iteration. */
  readonly unfinished: boolean;
  /** What ports and foreign MSRs were told. */
  readonly outside: readonly string[];
}

export const BENCH_BYTES = 256 * PAGE_SIZE;

/** Executes code from RIP on; null, or why the processor stopped. */
export type Execute = (processor: Processor) => ProcessorStop | null;

const step: Execute = (processor) => processor.step();

class FaultSeen {}

const INT3 = 0xcc;

export class InstructionBench {
  private readonly outside: string[] = [];
  readonly machine: TestMachine;
  private readonly codeHpa: number;
  readonly windowHpa: number;
  private readonly tablesHpa: number;
  private readonly stateBytes: Uint8Array;
  private readonly pristine: Uint8Array;
  private fault: string | null = null;

  /**
   * @param storage of its memory ({@link BENCH_BYTES}), if hot code is to be compiled
   * @param codeSize of 32 bits in compatibility mode
   */
  constructor(storage?: WebAssembly.Memory, codeSize: 32 | 64 = 64) {
    this.machine = new TestMachine(BENCH_BYTES / PAGE_SIZE, talkative(this.outside), storage);
    const { memory, processor } = this.machine;
    this.codeHpa = this.machine.map(CODE, 1);
    this.windowHpa = this.machine.map(WINDOW, WINDOW_BYTES / PAGE_SIZE);
    this.tablesHpa = this.machine.map(TABLES, 2);
    this.machine.start(CODE, 0, 0);
    const { state } = processor;
    state.set('gdtrBase', Long.fromNumber(TABLES));
    state.set('gdtrLimit', Long.fromNumber(0x27));
    state.set('idtrBase', Long.fromNumber(TABLES + PAGE_SIZE));
    state.set('idtrLimit', Long.fromNumber(0xfff));
    // What opens instructions, and where fast system calls go.
    state.set('cr4', state.get('cr4').or(Cr4.FSGSBASE));
    state.set('efer', state.get('efer').or(Efer.SCE));
    state.set('star', Long.fromBits(0, (Selector.CODE << 16) | Selector.CODE));
    state.set('lstar', Long.fromNumber(CODE + 0x400));
    state.set('sfmask', Long.fromNumber(0x247fd5));
    state.set('sysenterCs', Long.fromNumber(Selector.CODE));
    state.set('sysenterEip', Long.fromNumber(CODE + 0x400));
    state.set('sysenterEsp', Long.fromNumber(WINDOW + 0x800));
    state.set('cr0', state.get('cr0').or(Cr0.TS));
    if (codeSize === 32) enterCode32(processor);
    const { words } = state;
    this.stateBytes = new Uint8Array(words.buffer, words.byteOffset, STATE_BYTES);
    this.pristine = this.stateBytes.slice();
    for (let vector = 0; vector < 256; vector++) {
      const low = (CODE + 0x800) | 0;
      const at = this.tablesHpa + PAGE_SIZE + 16 * vector;
      memory.write64(at, (Selector.CODE << 16) | (low & 0xffff), (low & 0xffff0000) | 0x8e00);
    }
    const { virtualization } = processor;
    processor.virtualization = {
      ...virtualization,
      exception: ({ vector, type, errorCode }) => {
        if (returnsBehind(type)) return;
        const code = errorCode === null ? '' : `(${errorCode.toString(16)})`;
        this.fault ??= `${VECTOR_NAMES.get(vector)}${code}`;
        throw new FaultSeen();
      },
    };
  }

  /** @param execute what to do with the code; by default, its first instruction is executed */
  run(code: Uint8Array, before: Before, execute: Execute = step): After {
    const { memory, processor } = this.machine;
    this.reset(before);
    const initial = this.stateBytes.slice();
    this.load(code);
    try {
      const stop = execute(processor);
      if (stop !== null) this.fault = stop.kind;
    } catch (thrown) {
      if (!(thrown instanceof FaultSeen)) throw thrown;
    }
    return {
      initial,
      state: this.stateBytes.slice(),
      rflags: processor.state.words[Word.RFLAGS],
      rip: processor.state.get64(Word.RIP).toNumber(),
      window: memory.bytes.slice(this.windowHpa, this.windowHpa + WINDOW_BYTES),
      fault: this.fault,
      unfinished: this.fault === null && processor.evaluator.unfinished,
      outside: [...this.outside],
    };
  }

  /**
   * Unless it is there already, so that what was made of it stays. It is followed by something that
   * ends a block, or blocks of leftovers would be decoded each time.
   */
  private load(code: Uint8Array): void {
    const { memory } = this.machine;
    const page = new Uint8Array(PAGE_SIZE).fill(INT3);
    page.set(code);
    const present = memory.bytes.subarray(this.codeHpa, this.codeHpa + PAGE_SIZE);
    if (Buffer.compare(page, present) !== 0) memory.write(this.codeHpa, page);
  }

  private reset(before: Before): void {
    const { memory, processor } = this.machine;
    const { state } = processor;
    this.fault = null;
    this.outside.length = 0;
    processor.clock = 1000;
    this.stateBytes.set(this.pristine);
    this.stateBytes.set(before.registers);
    this.stateBytes.set(before.vectors, VECTORS_STATE);
    if (before.hasUnits) state.words[Word.CR0] &= ~Cr0.TS;
    state.words[Word.RFLAGS] = before.rflags;
    state.set('fsBase', Long.fromNumber(before.fsBase));
    state.set('gsBase', Long.fromNumber(before.gsBase));
    memory.write(this.windowHpa, before.window);
    memory.write64(this.tablesHpa + Selector.CODE, 0xffff, 0x00af9b00);
    memory.write64(this.tablesHpa + Selector.DATA, 0xffff, 0x00cf9300);
    memory.write64(this.tablesHpa + Selector.TASK, 0x67, 0x00008900);
    processor.stateChanged();
  }
}

/** Flat segments of 4 GiB, in compatibility mode. */
function enterCode32({ state }: Processor): void {
  for (const name of ['cs', 'ss', 'ds', 'es', 'fs', 'gs']) {
    state.set(`${name}Limit`, Long.fromInt(-1));
    state.set(`${name}Rights`, Long.fromNumber(name === 'cs' ? 0xc09b : 0xc093));
  }
}

/** Ports and identification answer with something that depends on the question. */
function talkative(outside: string[]): Platform {
  const mixed = (...numbers: number[]) =>
    numbers.reduce((hash, n) => Math.imul(hash ^ n, 0x01000193) ^ (hash >>> 13), 0x811c9dc5) >>> 0;
  return {
    portIn: (port, width) => mixed(port, width) >>> (32 - width),
    portOut: (...args) => outside.push(`out ${args}`),
    readMsr: (index) => Long.fromBits(mixed(index), mixed(index, 1)),
    writeMsr: (index, value) => outside.push(`msr ${index} ${value}`) > 0,
    cpuid: (leaf, subleaf) => [
      mixed(leaf, subleaf, 0),
      mixed(leaf, subleaf, 1),
      mixed(leaf, subleaf, 2),
      mixed(leaf, subleaf, 3),
    ],
    deviceRead: () => Long.NEG_ONE,
    deviceWrite: () => {},
  };
}

/** In {@link After.state}: general registers, RIP and RFLAGS come before this. */
export const OTHER_STATE = wordOf('cr0') * 4;

/** XMM registers and MXCSR lie next to each other. */
export const VECTORS_STATE = wordOf('xmm0Low') * 4;
export const MXCSR_STATE = wordOf('mxcsr') * 4;
export const VECTORS_STATE_END = MXCSR_STATE + 4;
