// Compiled code does what the interpreter does: every row from random states, and small programs
// with loops under random budgets, to the same boundary with the same registers, flags, memory,
// clock and counts.

import { beforeAll, describe, expect, test } from 'vitest';
import { Access, compilableMemory } from '../../src/cpu/index.ts';
import {
  decode,
  effectsOf,
  Gpr,
  type Instruction,
  type Row,
  rowsIn,
  syntax,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { aimedState } from '../support/aimed-state.ts';
import {
  type After,
  BENCH_BYTES,
  type Before,
  INTO_WINDOW,
  InstructionBench,
  WINDOW,
  WINDOW_BYTES,
} from '../support/instruction-bench.ts';
import { randomEncoding } from '../support/row-encodings.ts';

type Bits = 32 | 64;

function benchOf(bits: Bits): InstructionBench {
  const bench = new InstructionBench(compilableMemory(BENCH_BYTES, 1), bits);
  const { compiler } = bench.machine;
  if (compiler === undefined) throw new Error('nothing is compiled');
  compiler.threshold = 1;
  // All cases lie at the same address.
  compiler.mostDoublings = 0;
  return bench;
}

const benches: Readonly<Record<Bits, InstructionBench>> = { 32: benchOf(32), 64: benchOf(64) };

const ENCODINGS_PER_ROW = 2;
const STATES_PER_ENCODING = 6;

function decodeAll(code: Uint8Array, bits: Bits): Instruction[] {
  const instructions: Instruction[] = [];
  for (let at = 0; at < code.length; ) {
    const decoded = decode(code, at, code.length, bits);
    if (decoded.kind !== 'instruction') throw new Error(`${hex(code)}: ${decoded.kind}`);
    instructions.push(decoded.instruction);
    at += decoded.instruction.lengthBytes;
  }
  return instructions;
}

function hex(code: Uint8Array): string {
  return Buffer.from(code).toString('hex');
}

interface Outcome extends After {
  readonly clock: number;
  readonly instructions: number;
  /** Instructions that compiled code has done. */
  readonly compiled: number;
}

/** Run for some cycles by one engine. */
function run(
  bits: Bits,
  engine: 'interpreter' | 'compiled',
  code: Uint8Array,
  before: Before,
  cycles: number,
): Outcome {
  const bench = benches[bits];
  const { processor } = bench.machine;
  processor.engine = engine;
  const { instructions } = processor;
  const compiled = processor.compiledInstructions;
  const after = bench.run(code, before, () => {
    for (let at = WINDOW; at < WINDOW + WINDOW_BYTES; at += 4096) {
      for (const access of [Access.READ, Access.WRITE])
        processor.mmu.locate(at, 0, 1, access, false);
    }
    const stop = processor.run(processor.clock + cycles);
    return stop.kind === 'limit' ? null : stop;
  });
  return {
    ...after,
    clock: processor.clock,
    instructions: processor.instructions - instructions,
    compiled: processor.compiledInstructions - compiled,
  };
}

/** Outside 64-bit mode, registers have no upper halves that code could see. */
function aimed(bits: Bits, instruction: Instruction, prng: Prng): Before {
  const before = aimedState(instruction, prng);
  if (bits === 64) return before;
  const halves = new Uint32Array(before.registers.buffer);
  for (let register = 0; register < 16; register++) halves[2 * register + 1] = 0;
  return before;
}

/** What the two engines leave differently. */
function differences(wanted: Outcome, got: Outcome): string[] {
  const parts = ['fault', 'rip', 'rflags', 'outside', 'clock', 'instructions'] as const;
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

describe.each([64, 32] as const)('every row in code of %d bits', (bits) => {
  const wrong: string[] = [];
  const refused = new Set<string>();
  const runs = { all: 0, compiled: 0 };

  beforeAll(() => {
    const rows = rowsIn(bits).filter(({ encodeOnly }) => !encodeOnly);
    for (const [seed, row] of rows.entries()) compare(row, new Prng(seed));
  });

  function compare(row: Row, prng: Prng): void {
    for (let n = 0; n < ENCODINGS_PER_ROW; n++) {
      const code = randomEncoding(row, prng, INTO_WINDOW, bits);
      const [instruction] = decodeAll(code, bits) as [Instruction];
      const { calls, repeats, raises } = effectsOf(instruction);
      const { privilege, intercept, unit } = row;
      const isGuarded =
        (privilege ?? intercept) !== undefined || (unit !== undefined && unit !== 'sse');
      const isSimple = calls.length + raises.length === 0 && !repeats && !isGuarded;
      let [completed, compiled] = [0, 0];
      for (let state = 0; state < STATES_PER_ENCODING; state++) {
        const before = aimed(bits, instruction, prng);
        const wanted = run(bits, 'interpreter', code, before, 1);
        const got = run(bits, 'compiled', code, before, 1);
        const found = differences(wanted, got);
        if (found.length > 0) wrong.push(`${syntax(row)} ${hex(code)}: ${found}`);
        if (wanted.fault === null) completed++;
        compiled += got.compiled;
      }
      if (!isSimple) continue;
      runs.all += completed;
      runs.compiled += compiled;
      if (completed > 0 && compiled === 0) refused.add(syntax(row));
    }
  }

  test('does compiled what it does interpreted', () => {
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test('is compiled unless it calls into the processor or looks behind a store', () => {
    expect([...refused]).toEqual(['ENTER uimm16, uimm8', 'MASKMOVDQU xmm1, xmm2']);
  });

  test('rarely needs the interpreter', () => {
    expect(runs.all).toBeGreaterThan(4_000);
    expect(runs.compiled / runs.all).toBeGreaterThan(0.9);
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
  rotated: [
    '4829ca', // again: sub rdx, rcx
    '41d1d8', // rcr r8d, 1
    '7c03', // jl next, by an OF that RCR has set
    '49ffc1', // inc r9
    '48ffc9', // next: dec rcx
    '75f0', // jnz again
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

/** RSI, RDI and RSP in the window, RCX a small count, and the rest anything. */
function loopState(bits: Bits, prng: Prng): Before {
  const [movs] = decodeAll(Uint8Array.of(0xf3, 0xa4), bits) as [Instruction];
  const state = aimed(bits, movs, prng);
  new BigUint64Array(state.registers.buffer)[1] = BigInt(1 + prng.below(40));
  return state;
}

/** RSI and RDI in the window, often so near to each other that what is copied overlaps. */
function copyState(bits: Bits, prng: Prng, count: number): Before {
  const state = loopState(bits, prng);
  const registers = new BigUint64Array(state.registers.buffer);
  const from = WINDOW + prng.below(WINDOW_BYTES);
  const isNear = prng.below(2) === 0;
  const to = isNear ? from + prng.below(80) - 40 : WINDOW + prng.below(WINDOW_BYTES);
  registers[Gpr.RSI] = BigInt(from);
  registers[Gpr.RDI] = BigInt(to);
  registers[Gpr.RCX] = BigInt(count);
  registers[Gpr.RDX] = BigInt(prng.below(100));
  // What is the same in each byte is filled in another way.
  if (prng.below(2) === 0) registers[Gpr.RAX] = BigInt(prng.below(2)) * 0x7777777777777777n;
  if (bits === 32) registers[Gpr.RAX] &= 0xffffffffn;
  return state;
}

describe('programs', () => {
  test.each(Object.keys(LOOPS) as (keyof typeof LOOPS)[])('%s', (name) => {
    const code = Buffer.from(LOOPS[name].join(''), 'hex');
    const prng = new Prng(name.length);
    const wrong: string[] = [];
    for (let n = 0; n < 100; n++) {
      const before = loopState(64, prng);
      const cycles = 1 + prng.below(700);
      const wanted = run(64, 'interpreter', code, before, cycles);
      const got = run(64, 'compiled', code, before, cycles);
      const found = differences(wanted, got);
      if (found.length > 0) wrong.push(`${cycles} cycles: ${found}`);
    }
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  /** Elements of all sizes, up and down, near each other and across pages. */
  test.each([64, 32] as const)('copies and fills of %d bits', (bits) => {
    const prng = new Prng(5);
    const wrong: string[] = [];
    const sizes = [[0xa4], [0xa5], [0x66, 0xa5], [0xaa], [0xab], [0x66, 0xab]];
    const wide = [
      [0x48, 0xa5],
      [0x48, 0xab],
    ];
    const all = bits === 64 ? [...sizes, ...wide] : sizes;
    for (let n = 0; n < 30; n++) {
      const direction = 0xfc + prng.below(2);
      const other = bits === 64 && prng.below(4) === 0 ? [0x67] : [];
      const string = all[prng.below(all.length)] as number[];
      // Counted down from RDX again, so that code is hot.
      const code = Uint8Array.of(direction, ...other, 0xf3, ...string, 0x89, 0xd1, 0xf3, ...string);
      for (let state = 0; state < 8; state++) {
        const before = copyState(bits, prng, 1 + prng.below(2000));
        const cycles = prng.below(2) === 0 ? 5000 : 1 + prng.below(2500);
        const wanted = run(bits, 'interpreter', code, before, cycles);
        const found = differences(wanted, run(bits, 'compiled', code, before, cycles));
        if (found.length > 0) wrong.push(`${hex(code)}, ${cycles} cycles: ${found}`);
      }
    }
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  /** The copy changes what the flags follow from before it is done, and turns end inside. */
  test.each([
    ['cmp ecx, edx', '39d1'],
    ['dec ecx', 'ffc9'],
    ['sub edi, edx', '29d7'],
    ['add esi, edx', '01d6'],
  ] as const)('flags of %s in front of a copy', (_, front) => {
    const prng = new Prng(6);
    const wrong: string[] = [];
    const code = Buffer.from(`${front}f3a4`, 'hex');
    for (let n = 0; n < 100; n++) {
      const before = copyState(64, prng, 1 + prng.below(2000));
      const cycles = 1 + prng.below(1000);
      const wanted = run(64, 'interpreter', code, before, cycles);
      const found = differences(wanted, run(64, 'compiled', code, before, cycles));
      if (found.length > 0) wrong.push(`${cycles} cycles: ${found}`);
    }
    expect(wrong.slice(0, 20)).toEqual([]);
  });

  test.each([64, 32] as const)('random straight lines of %d bits', (bits) => {
    const prng = new Prng(4);
    const rows = rowsIn(bits).filter(({ encodeOnly, cost }) => !encodeOnly && cost !== 'branch');
    const wrong: string[] = [];
    for (let n = 0; n < 150; n++) {
      const lines = Array.from({ length: 12 }, () =>
        randomEncoding(rows[prng.below(rows.length)], prng, INTO_WINDOW, bits),
      );
      const code = Buffer.concat(lines);
      for (let state = 0; state < 3; state++) {
        const before = loopState(bits, prng);
        const cycles = 1 + prng.below(16);
        const wanted = run(bits, 'interpreter', code, before, cycles);
        const found = differences(wanted, run(bits, 'compiled', code, before, cycles));
        if (found.length > 0) wrong.push(`${hex(code)}, ${cycles} cycles: ${found}`);
      }
    }
    expect(wrong.slice(0, 20)).toEqual([]);
  });
});
