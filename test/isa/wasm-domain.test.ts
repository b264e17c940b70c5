// Meanings compiled to WebAssembly do what they do in the interpreter: every row that does not call
// into the processor, and programs with a loop, on the same memory and from random states.

import Long from 'long';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Processor, Word, wordOf } from '../../src/cpu/index.ts';
import {
  decode,
  effectsOf,
  type Instruction,
  type Row,
  rowsIn,
  Segment,
  syntax,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { aimedState } from '../support/aimed-state.ts';
import {
  type After,
  BENCH_BYTES,
  CODE,
  type Execute,
  INTO_WINDOW,
  InstructionBench,
  WINDOW,
  WINDOW_BYTES,
} from '../support/instruction-bench.ts';
import { randomEncoding } from '../support/row-encodings.ts';
import { instantiate, newWasmMemory } from '../support/wasm-module.ts';
import { compile, Declined } from './wasm-domain.ts';
import type { WasmLayout } from './wasm-frame.ts';

const memory = newWasmMemory(BENCH_BYTES);
const bench = new InstructionBench(memory.buffer);
const layout: WasmLayout = {
  stateHpa: bench.machine.processor.state.words.byteOffset,
  rflagsOffset: 4 * Word.RFLAGS,
  baseOffsets: new Map([
    [Segment.FS, 4 * wordOf('fsBase')],
    [Segment.GS, 4 * wordOf('gsBase')],
  ]),
  windowLinear: BigInt(WINDOW),
  windowHpa: bench.windowHpa,
  windowBytes: WINDOW_BYTES,
};

const ENCODINGS_PER_ROW = 3;
const STATES_PER_ENCODING = 6;
const MAX_STEPS = 100_000;

/** Runs of compiled code, and those that did not leave all of it to the interpreter. */
const runs = { all: 0, useful: 0 };

/** Everything decoded, and compiled once: the function runs for any number of states. */
interface Program {
  readonly code: Uint8Array;
  readonly instructions: readonly Instruction[];
  readonly compiled: Execute;
}

/** Null if an instruction calls into the processor. */
function programOf(code: Uint8Array): Program | null {
  const instructions = decodeAll(code);
  try {
    const run = instantiate(compile(instructions, BigInt(CODE), layout), memory);
    const interpreted = interpret(code.length);
    const compiled: Execute = (processor) => {
      const rip = run();
      runs.all++;
      if (rip !== BigInt(CODE)) runs.useful++;
      processor.state.set64(Word.RIP, Long.fromString(rip.toString()));
      return interpreted(processor);
    };
    return { code, instructions, compiled };
  } catch (thrown) {
    if (thrown instanceof Declined) return null;
    throw thrown;
  }
}

function decodeAll(code: Uint8Array): Instruction[] {
  const instructions: Instruction[] = [];
  for (let at = 0; at < code.length; ) {
    const decoded = decode(code, at, code.length, 64);
    if (decoded.kind !== 'instruction') throw new Error(`${hex(code)}: ${decoded.kind}`);
    instructions.push(decoded.instruction);
    at += decoded.instruction.lengthBytes;
  }
  return instructions;
}

function hex(code: Uint8Array): string {
  return Buffer.from(code).toString('hex');
}

/** It would never end. */
function jumpsToItself({ operands, lengthBytes }: Instruction): boolean {
  const [target] = operands;
  return target?.kind === 'relative' && target.displacement === -lengthBytes;
}

/** Step for as long as RIP is in the code: all of it, or what compiled code has left. */
function interpret(lengthBytes: number): Execute {
  return (processor) => {
    for (let n = 0; n < MAX_STEPS && isWithin(processor, lengthBytes); n++) {
      const stop = processor.step();
      if (stop !== null) return stop;
    }
    return null;
  };
}

function isWithin(processor: Processor, lengthBytes: number): boolean {
  const offset = processor.state.get64(Word.RIP).sub(CODE);
  return offset.ge(0) && offset.lt(lengthBytes);
}

/** What the two engines leave differently. */
function differences(program: Program, before: ReturnType<typeof aimedState>): string[] {
  const { code, compiled } = program;
  const wanted = bench.run(code, before, interpret(code.length));
  const got = bench.run(code, before, compiled);
  const parts: (keyof After)[] = ['fault', 'rip', 'rflags', 'outside'];
  const found = parts
    .filter((part) => String(got[part]) !== String(wanted[part]))
    .map((part) => `${part} ${got[part]}, not ${wanted[part]}`);
  wanted.state.forEach((byte, i) => {
    if (got.state[i] !== byte && i < 128) found.push(`register ${i >> 3} byte ${i & 7}`);
  });
  if (Buffer.compare(got.state, wanted.state) !== 0 && found.length === 0) found.push('state');
  if (Buffer.compare(got.window, wanted.window) !== 0) found.push('memory');
  return found;
}

describe('every row', () => {
  const wrong: string[] = [];
  const refused: string[] = [];

  beforeAll(() => {
    const rows = rowsIn(64).filter(({ encodeOnly }) => !encodeOnly);
    for (const [seed, row] of rows.entries()) compare(row, new Prng(seed));
  });

  function compare(row: Row, prng: Prng): void {
    for (let n = 0; n < ENCODINGS_PER_ROW; n++) {
      const code = randomEncoding(row, prng, INTO_WINDOW);
      const [instruction] = decodeAll(code) as [Instruction];
      if (jumpsToItself(instruction)) continue;
      const program = programOf(code);
      const isLeft = effectsOf(instruction).calls.length > 0 || row.unit === 'sse';
      if ((program === null) !== isLeft) refused.push(syntax(row));
      if (program === null) continue;
      for (let state = 0; state < STATES_PER_ENCODING; state++) {
        const found = differences(program, aimedState(instruction, prng));
        if (found.length > 0) wrong.push(`${syntax(row)} ${hex(code)}: ${found}`);
      }
    }
  }

  test('does compiled what it does interpreted', () => {
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('compiles unless it calls into the processor', () => {
    expect(refused).toEqual([]);
  });

  test('rarely needs the interpreter', () => {
    expect(runs.all).toBeGreaterThan(9_000);
    expect(runs.useful / runs.all).toBeGreaterThan(0.9);
  });
});

/** Programs with a loop, as NASM assembles them. */
const LOOPS = {
  checksum: [
    '0fb6440eff', // again: movzx eax, byte [rsi+rcx-1]
    '486bdb1f', // imul rbx, rbx, 31
    '4801c3', // add rbx, rax
    '48c1c307', // rol rbx, 7
    '48891ccf', // mov [rdi+rcx*8], rbx
    '53', // push rbx
    '48310424', // xor [rsp], rax
    '5a', // pop rdx
    '4d8d449005', // lea r8, [r8+rdx*4+5]
    '4c87ca', // xchg r9, rdx
    'f04c0fb107', // lock cmpxchg [rdi], r8
    '4d11cb', // adc r11, r9
    '49d3ec', // shr r12, cl
    '4d0f42ec', // cmovb r13, r12
    '48ffc9', // dec rcx
    '75ca', // jnz again
  ],
  mixture: [
    '89c8', // again: mov eax, ecx
    '49f7e0', // mul r8
    '480fa4c20b', // shld rdx, rax, 11
    '480fbae203', // bt rdx, 3
    '4d19d2', // sbb r10, r10
    '4183e207', // and r10d, 7
    '428904d7', // mov [rdi+r10*8], eax
    '66ad', // lodsw
    '440fbcc8', // bsf r9d, eax
    '4c0fbfd8', // movsx r11, ax
    '4e0304d7', // add r8, [rdi+r10*8]
    '4c0fc11c24', // xadd [rsp], r11
    '49f7db', // neg r11
    'e2ce', // loop again
  ],
  strings: [
    '4989c8', // mov r8, rcx
    'f3a4', // rep movsb
    '4c89c1', // mov rcx, r8
    'fc', // cld
    'f2ae', // repne scasb
    '31d2', // xor edx, edx
    '4489c8', // mov eax, r9d
    '83cb01', // or ebx, 1
    'f7f3', // div ebx
  ],
} as const;

describe('programs', () => {
  test.each(Object.keys(LOOPS) as (keyof typeof LOOPS)[])('%s', (name) => {
    const program = programOf(Buffer.from(LOOPS[name].join(''), 'hex'));
    if (program === null) throw new Error('declined');
    const prng = new Prng(name.length);
    const wrong: string[] = [];
    for (let n = 0; n < 100; n++) wrong.push(...differences(program, loopState(prng)));
    expect(wrong).toEqual([]);
  });

  test('random straight lines', () => {
    const prng = new Prng(4);
    const rows = rowsIn(64).filter(({ encodeOnly, cost }) => !encodeOnly && cost !== 'branch');
    const wrong: string[] = [];
    let compared = 0;
    for (let n = 0; n < 120; n++) {
      const lines = Array.from({ length: 12 }, () =>
        randomEncoding(rows[prng.below(rows.length)], prng, INTO_WINDOW),
      ).filter((code) => programOf(code) !== null);
      const program = programOf(Buffer.concat(lines));
      if (program === null) continue;
      for (let state = 0; state < 3; state++) {
        compared++;
        const found = differences(program, loopState(prng));
        if (found.length > 0) wrong.push(`${hex(program.code)}: ${found}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(compared).toBeGreaterThan(300);
  });
});

/** RSI, RDI and RSP in the window, RCX a small count, and the rest anything. */
function loopState(prng: Prng): ReturnType<typeof aimedState> {
  const [movs] = decodeAll(Uint8Array.of(0xf3, 0xa4)) as [Instruction];
  const state = aimedState(movs, prng);
  new BigUint64Array(state.registers.buffer)[1] = BigInt(1 + prng.below(40));
  return state;
}
