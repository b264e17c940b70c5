// Single instructions as a real processor executed them (conformance data, silicon-x86-64), and a
// machine laid out as the recorder's was: code, data and stack where it had them, at CPL 3.

import { readFileSync } from 'node:fs';
import { brotliDecompressSync } from 'node:zlib';
import Long from 'long';
import { type Processor, VECTOR_NAMES, Word } from '../../src/cpu/index.ts';
import { GPR_NAMES } from '../../src/isa/index.ts';
import { conformanceLines } from './conformance.ts';
import { fromHex, TestMachine } from './test-processor.ts';

/** A recorded case; the README of the data explains the letters. Numbers in strings are hex. */
export interface SiliconCase {
  /** Class, instruction bytes, disassembly (absent where there is none). */
  readonly c: string;
  readonly b: string;
  readonly d?: string;
  /** RFLAGS bits that the architecture leaves undefined. */
  readonly u?: number;
  /** General registers before, and those that changed. */
  readonly r: readonly string[];
  readonly o: Readonly<Record<string, string>>;
  /** Status flags and DF, before and after. */
  readonly f: readonly [number, number];
  /** RIP afterwards, from the start of the instruction. */
  readonly ip: number;
  /** 64 bytes of data and of stack, before and, if changed, after. */
  readonly w?: string;
  readonly wo?: string;
  readonly s?: string;
  readonly so?: string;
  /** On a fault: signal, trap number, error code, CR2. */
  readonly x?: readonly [number, number, number, string];
}

export interface SiliconCases {
  readonly source: 'recording' | 'slice';
  readonly cases: readonly SiliconCase[];
}

/** The whole recording where it is at hand, and else the slice that the repository carries. */
export function siliconCases(): SiliconCases {
  const lines = conformanceLines('silicon-x86-64/cases.jsonl');
  return lines === null
    ? { source: 'slice', cases: parsed(sliceLines()) }
    : { source: 'recording', cases: parsed(lines) };
}

export function sliceLines(): string[] {
  const compressed = readFileSync(new URL('../cpu/silicon-slice.jsonl.br', import.meta.url));
  return brotliDecompressSync(compressed).toString('utf8').split('\n');
}

function parsed(lines: readonly string[]): SiliconCase[] {
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as SiliconCase);
}

const CODE = 0x10000000;
const DATA = 0x20000000;
const DATA_BYTES = 0x10000;
const WINDOW_AT = 0x40;
const STACK_AT = 0x1040;
const WINDOW_BYTES = 64;
/** The recorder's code page was filled with INT3. */
const INT3 = 0xcc;
const RECORDED_FLAGS = 0xcd5;
const IF_AND_FIXED = 0x202;
const ZEROS = new Uint8Array(DATA_BYTES);
const MAX_ITERATIONS = 100_000;

/** What came of a case. */
export type Verdict =
  | { readonly kind: 'same' }
  | { readonly kind: 'notImplemented' }
  | { readonly kind: 'different'; readonly differences: readonly string[] };

interface SeenFault {
  readonly vector: number;
  readonly errorCode: number;
  readonly linear: string;
}

class FaultSeen {}

export class SiliconBench {
  private readonly machine = new TestMachine(256);
  private readonly codeHpa: number;
  private readonly dataHpa: number;
  private fault: SeenFault | null = null;

  constructor() {
    this.codeHpa = this.machine.map(CODE, 1);
    this.dataHpa = this.machine.map(DATA, DATA_BYTES / 4096);
    const { processor } = this.machine;
    processor.virtualization = {
      ...processor.virtualization,
      exception: ({ vector, errorCode }, linear) => {
        this.fault ??= { vector, errorCode: errorCode ?? 0, linear: hex(linear) };
        throw new FaultSeen();
      },
    };
  }

  run(recorded: SiliconCase): Verdict {
    this.set(recorded);
    if (!this.execute()) return { kind: 'notImplemented' };
    const differences = [
      ...this.registerDifferences(recorded),
      ...(recorded.x === undefined
        ? this.completionDifferences(recorded)
        : faultDifferences(recorded.x, this.fault)),
      ...this.memoryDifferences(recorded),
    ];
    return differences.length === 0 ? { kind: 'same' } : { kind: 'different', differences };
  }

  private get processor(): Processor {
    return this.machine.processor;
  }

  private set({ b, w = '', s = '', r, f }: SiliconCase): void {
    const { memory } = this.machine;
    const { state } = this.processor;
    this.fault = null;
    this.machine.start(CODE, 0, 3);
    // A limit this low leaves no room for an I/O permission bitmap, so CPL 3 has no ports.
    state.set('trLimit', Long.fromNumber(0x66));
    memory.write(this.codeHpa, new Uint8Array(128).fill(INT3));
    memory.write(this.codeHpa, Buffer.from(b, 'hex'));
    memory.write(this.dataHpa, ZEROS);
    memory.write(this.dataHpa + WINDOW_AT, Buffer.from(w, 'hex'));
    memory.write(this.dataHpa + STACK_AT, Buffer.from(s, 'hex'));
    r.forEach((digits, number) => {
      state.set64(2 * number, fromHex(digits));
    });
    state.words[Word.RFLAGS] = f[0] | IF_AND_FIXED;
  }

  /** Execute one instruction with all its repetitions; false if it is not implemented. */
  private execute(): boolean {
    try {
      for (let n = 0; n < MAX_ITERATIONS; n++) {
        const stop = this.processor.step();
        if (stop !== null) return stop.kind !== 'notImplemented';
        if (!this.processor.evaluator.unfinished) return true;
      }
    } catch (thrown) {
      if (!(thrown instanceof FaultSeen)) throw thrown;
      return true;
    }
    throw new Error('the instruction does not end');
  }

  private registerDifferences({ r, o }: SiliconCase): string[] {
    return r.flatMap((before, number) => {
      const got = hex(this.processor.state.get64(2 * number));
      return differs(GPR_NAMES[number], got, o[number] ?? before);
    });
  }

  /** RIP and flags of an instruction that should complete. */
  private completionDifferences({ ip, f, u = 0 }: SiliconCase): string[] {
    const { state } = this.processor;
    if (this.fault !== null) return [`raises ${VECTOR_NAMES.get(this.fault.vector)}`];
    const mask = RECORDED_FLAGS & ~u;
    const flags = state.words[Word.RFLAGS] & mask;
    return [
      ...differs('rip', hex(state.get64(Word.RIP).sub(CODE)), ip.toString(16)),
      ...differs('flags', flags.toString(16), (f[1] & mask).toString(16)),
    ];
  }

  private memoryDifferences({ w, wo = w, s, so = s }: SiliconCase): string[] {
    const { bytes } = this.machine.memory;
    const data = bytes.slice(this.dataHpa, this.dataHpa + DATA_BYTES);
    const take = (at: number) => {
      const text = Buffer.from(data.subarray(at, at + WINDOW_BYTES)).toString('hex');
      data.fill(0, at, at + WINDOW_BYTES);
      return text;
    };
    const zeros = '00'.repeat(WINDOW_BYTES);
    return [
      ...differs('data', take(WINDOW_AT), wo ?? zeros),
      ...differs('stack', take(STACK_AT), so ?? zeros),
      ...(Buffer.compare(data, ZEROS) === 0 ? [] : ['memory elsewhere is written']),
    ];
  }
}

function faultDifferences(
  recorded: NonNullable<SiliconCase['x']>,
  seen: SeenFault | null,
): string[] {
  const [, vector, errorCode, cr2] = recorded;
  const name = VECTOR_NAMES.get(vector) ?? String(vector);
  if (seen === null) return [`does not raise ${name}(${errorCode})`];
  const PAGE_FAULT = 14;
  return [
    ...differs('raises', VECTOR_NAMES.get(seen.vector) ?? String(seen.vector), name),
    ...differs('error code', seen.errorCode.toString(16), errorCode.toString(16)),
    ...(vector === PAGE_FAULT ? differs('cr2', seen.linear, cr2) : []),
  ];
}

function differs(what: string, got: string, recorded: string): string[] {
  return got === recorded ? [] : [`${what} is ${got}, recorded ${recorded}`];
}

function hex(value: Long): string {
  return value.toUnsigned().toString(16);
}
