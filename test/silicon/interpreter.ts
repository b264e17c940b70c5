// Executes cases with the interpreter, on a machine laid out as a Linux process on real hardware
// finds it: code that cannot be written, data as in protocol.ts, selectors, GDT and IDT of Linux.

import Long from 'long';
import {
  Cr4,
  SEGMENT_WORDS,
  STATE_BYTES,
  VECTOR_NAMES,
  Word,
  wordOf,
} from '../../src/cpu/index.ts';
import type { CodeSize } from '../../src/isa/index.ts';
import { PAGE_SIZE } from '../../src/memory/index.ts';
import { TestMachine } from '../support/test-processor.ts';
import { imageOf, setImage } from './fxsave-image.ts';
import { type Case, CODE, COMPLETED, codeSizeOf, DATA, ESP_UPPER_HALF, Mode } from './protocol.ts';
import { codeOffset, LOCAL_SEGMENTS, SEGMENTS_BEFORE } from './segments.ts';

const USER_READ = 5;
const USER_WRITE = 7;
const SUPERVISOR = 3;
/** In the upper half, where a user program has nothing. Page tables see its low 48 bits. */
const TABLES = 0x800000000000;
const UPPER_HALF = 0xffff;

const CPU_NUMBER_SELECTOR = 0x78;
/** Stands for the number of the CPU that the process happens to run on. */
export const CPU_NUMBER = 0xbcde;

/**
 * Linux arch/x86/include/asm/segment.h: kernel code of 32 and 64 bits, kernel data, user code of 32
 * bits, user data, user code of 64 bits. No thread-local segments; 0x7b holds the CPU's number.
 */
const DESCRIPTORS: readonly (readonly [selector: number, high: number])[] = [
  [0x08, 0x00cf9b00],
  [0x10, 0x00af9b00],
  [0x18, 0x00cf9300],
  [0x20, 0x00cffb00],
  [0x28, 0x00cff300],
  [0x30, 0x00affb00],
  [CPU_NUMBER_SELECTOR, 0x0040f500],
];
const GDT_LIMIT = 0x7f;
/** Behind the GDT in its page. */
const LDT_OFFSET = 0x800;
const LDT_RIGHTS = 0x82;
const INTERRUPT_GATE = 0x8e00;

const INT3 = 0xcc;
const FIXED_AND_IF = 0x202;
const TF = 0x100;
const MAX_ITERATIONS = 10_000;

/** What the interpreter made of a case; registers and flags are in the state. */
export interface Result {
  /** As {@link Outcome.trap}; null if it stopped because something is not implemented. */
  readonly trap: number | null;
  readonly errorCode: number;
  readonly linear: Long;
}

class FaultSeen {}

export class Interpreter {
  private readonly machine = new TestMachine(64);
  private readonly codeHpa = this.machine.map(CODE, 1, USER_READ);
  private readonly dataHpa = this.machine.map(DATA, 1, USER_WRITE);
  private readonly constantHpa = this.machine.map(DATA + PAGE_SIZE, 1, USER_READ);
  private readonly stateBytes: Uint8Array;
  private readonly pristine: Uint8Array;
  private fault: Result | null = null;
  private code: Uint8Array | null = null;
  /** General registers first, in halves. */
  readonly words = this.machine.processor.state.words;
  /** The page of data that can be written to. */
  readonly data = this.machine.memory.bytes.subarray(this.dataHpa, this.dataHpa + PAGE_SIZE);

  constructor() {
    const { memory, processor } = this.machine;
    this.machine.start(CODE, 0, 3);
    // What lies there is not compared.
    this.machine.map(ESP_UPPER_HALF, 1, USER_WRITE);
    this.setTables();
    const { state, words } = { state: processor.state, words: this.words };
    // Linux sets it where it exists; it is compared only there.
    words[Word.CR4] |= Cr4.FSGSBASE;
    memory.write(this.codeHpa, new Uint8Array(PAGE_SIZE).fill(INT3));
    for (const name of ['ds', 'es', 'fs', 'gs']) state.set(`${name}Selector`, Long.ZERO);
    this.stateBytes = new Uint8Array(words.buffer, words.byteOffset, STATE_BYTES);
    this.pristine = this.stateBytes.slice();
    processor.virtualization = {
      ...processor.virtualization,
      exception: ({ vector, errorCode }, linear) => {
        this.fault ??= { trap: vector, errorCode: errorCode ?? 0, linear };
        throw new FaultSeen();
      },
    };
  }

  private setTables(): void {
    const { memory, processor } = this.machine;
    const { state } = processor;
    const hpa = this.machine.map(TABLES, 2, SUPERVISOR);
    for (const [selector, high] of DESCRIPTORS) {
      const isNumber = selector === CPU_NUMBER_SELECTOR;
      const limit = isNumber ? CPU_NUMBER : 0xfffff;
      memory.write64(hpa + selector, limit & 0xffff, high | (limit & 0xf0000));
    }
    for (let vector = 0; vector < 256; vector++) {
      memory.write64(hpa + PAGE_SIZE + 16 * vector, 0x10 << 16, INTERRUPT_GATE);
    }
    LOCAL_SEGMENTS.forEach(({ base, limit, rights }, i) => {
      const low = (limit & 0xffff) | (base << 16);
      const high = ((base >> 16) & 0xff) | (rights << 8) | (base & 0xff000000);
      memory.write64(hpa + LDT_OFFSET + 8 * i, low, high);
    });
    const base = Long.fromBits(TABLES | 0, (UPPER_HALF << 16) | (TABLES / 2 ** 32));
    state.set('gdtrBase', base);
    state.set('gdtrLimit', Long.fromNumber(GDT_LIMIT));
    state.set('idtrBase', base.add(PAGE_SIZE));
    state.set('idtrLimit', Long.fromNumber(0xfff));
    state.set('ldtrSelector', Long.fromNumber(0x50));
    state.set('ldtrBase', base.add(LDT_OFFSET));
    state.set('ldtrLimit', Long.fromNumber(8 * LOCAL_SEGMENTS.length - 1));
    state.set('ldtrRights', Long.fromNumber(LDT_RIGHTS));
    // Linux fills its map of ports with ones; a limit this low leaves no room for one.
    state.set('trLimit', Long.fromNumber(0x66));
  }

  /** Set the contents of both pages of data. */
  setData(data: Uint8Array): void {
    const { memory } = this.machine;
    memory.write(this.dataHpa, data.subarray(0, PAGE_SIZE));
    memory.write(this.constantHpa, data.subarray(PAGE_SIZE));
  }

  /** Put back the page of data that can be written to. */
  restoreData(data: Uint8Array): void {
    this.machine.memory.write(this.dataHpa, data.subarray(0, PAGE_SIZE));
  }

  run(one: Case): Result {
    const { memory } = this.machine;
    const { words } = this;
    this.fault = null;
    if (this.code !== one.code) {
      memory.write(this.codeHpa, new Uint8Array(32).fill(INT3));
      memory.write(this.codeHpa, one.code);
      memory.write(this.codeHpa + one.code.length, whatFollows(codeSizeOf(one.mode)));
      this.code = one.code;
    }
    this.stateBytes.set(this.pristine);
    words.set(one.registers);
    const isStepped = (one.mode & Mode.SINGLE_STEP) !== 0;
    words[Word.RFLAGS] = one.rflags | FIXED_AND_IF | (isStepped ? TF : 0);
    words[FS_BASE] = one.fsBase | 0;
    words[GS_BASE] = one.gsBase | 0;
    if (one.vectors !== null) setImage(this.machine.processor.state, one.vectors);
    const codeSize = codeSizeOf(one.mode);
    if (codeSize !== 64) this.setSegments(codeSize);
    this.machine.processor.updateMode();
    for (const [offset, low, high] of one.pokes) memory.write64(this.dataHpa + offset, low, high);
    return this.execute(isStepped);
  }

  private setSegments(codeSize: 16 | 32): void {
    const { words } = this;
    SEGMENTS_BEFORE[codeSize].forEach(({ selector, base, limit, rights }, number) => {
      const register = SEGMENT_WORDS[number];
      words[register.selector] = selector;
      words[register.base] = base;
      words[register.limit] = limit;
      words[register.rights] = rights;
    });
    words[Word.RIP] = codeOffset(codeSize);
  }

  private execute(isStepped: boolean): Result {
    const { processor } = this.machine;
    try {
      for (let n = 0; n < MAX_ITERATIONS; n++) {
        const stop = processor.step();
        if (stop !== null) return { trap: null, errorCode: 0, linear: Long.ZERO };
        if (isStepped || !processor.evaluator.unfinished) {
          return { trap: COMPLETED, errorCode: 0, linear: Long.ZERO };
        }
      }
    } catch (thrown) {
      if (!(thrown instanceof FaultSeen) || this.fault === null) throw thrown;
      return this.fault;
    }
    throw new Error('the instruction does not end');
  }

  rip(): bigint {
    return this.machine.processor.state.get64(Word.RIP).toUnsigned().toBigInt();
  }

  /** Registers of FPU and SSE, as FXSAVE64 would store them. */
  image(): Uint8Array {
    return imageOf(this.machine.processor.state);
  }

  get codeSelector(): number {
    return this.words[Word.CS_SELECTOR] & 0xffff;
  }

  /** ES, DS, FS, GS. */
  selectors(): number[] {
    return SELECTORS.map((word) => this.words[word] & 0xffff);
  }

  bases(): bigint[] {
    const { state } = this.machine.processor;
    return [FS_BASE, GS_BASE].map((word) => state.get64(word).toUnsigned().toBigInt());
  }
}

const FS_BASE = wordOf('fsBase');
const GS_BASE = wordOf('gsBase');
const SELECTORS = ['es', 'ds', 'fs', 'gs'].map((name) => wordOf(`${name}Selector`));

/**
 * Code of 16 and 32 bits can read what oracle.c puts behind it, a far jump. In 64-bit mode that is
 * an address that nobody knows here.
 */
function whatFollows(codeSize: CodeSize): Uint8Array {
  const jump = [0xea, 0x00, 0x10, 0x44, 0x33, 0x33, 0x00];
  return Uint8Array.from(codeSize === 64 ? [] : codeSize === 16 ? [0x66, ...jump] : jump);
}

export function trapName(trap: number | null): string {
  if (trap === null) return 'not implemented';
  return trap === COMPLETED ? 'nothing' : (VECTOR_NAMES.get(trap) ?? `vector ${trap}`);
}
