// Random states for the instruction bench, with the registers that an instruction addresses memory
// by aimed at the window of data, and counts small enough to matter.

import {
  effectsOf,
  Gpr,
  type Instruction,
  type MemoryOperand,
  Segment,
} from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { type Before, CODE, Selector, WINDOW, WINDOW_BYTES } from './instruction-bench.ts';
import { rangeOf } from './observed-effects.ts';

/** Numbers that some instruction cares about: selectors, MSRs, CR0, CR4. */
const MEANINGFUL = [
  ...[Selector.CODE, Selector.DATA, Selector.TASK, 0x277, 0xc0000080, 0xc0000100, 0x1234],
  ...[0x80050033, 0x80010033, 0x2000, 0xa0, 0x20, 0x1a0],
].map(BigInt);

/** A register value: often one at which something turns over. */
export function randomValue(prng: Prng): bigint {
  const word = () => BigInt(prng.next());
  switch (prng.below(7)) {
    case 0:
      return BigInt(prng.below(16));
    case 1:
      return BigInt.asUintN(64, -BigInt(prng.below(16)));
    case 2:
      return word();
    case 3:
      return BigInt.asUintN(64, (1n << BigInt(prng.below(64))) - BigInt(prng.below(2)));
    case 4:
      return meaningful(prng);
    default:
      return (word() << 32n) | word();
  }
}

function meaningful(prng: Prng): bigint {
  return MEANINGFUL[prng.below(MEANINGFUL.length)];
}

const STATUS_AND_DF = 0xcd5;
const TF_IF_NT_AC_ID = 0x244300;

/** A state in which the instruction can do its work, more often than not. */
export function aimedState(instruction: Instruction, prng: Prng): Before {
  const registers = Array.from({ length: 16 }, () => randomValue(prng));
  const isWide = instruction.row.unit !== undefined;
  const fsBase = 8 * prng.below(64);
  const gsBase = 8 * prng.below(64);
  const aim = new Aim(registers, [0, 0, 0, 0, fsBase, gsBase], prng, isWide);
  registers[Gpr.RSP] = aim.target(Segment.SS);
  const { row, addressWidth, operands, segmentOverride } = instruction;
  const source = segmentOverride < 0 ? Segment.DS : segmentOverride;
  if (row.repeat !== undefined) {
    aim.set(Gpr.RSI, aim.target(source), addressWidth);
    aim.set(Gpr.RDI, aim.target(Segment.ES), addressWidth);
    if (instruction.repeat !== 'none') aim.set(Gpr.RCX, BigInt(prng.below(3)), addressWidth);
  }
  const counts = /^J.?CXZ$|^LOOP/.test(row.mnemonic);
  if (counts && prng.below(2) === 0) aim.set(Gpr.RCX, BigInt(prng.below(2)), addressWidth);
  if (/^(MONITOR|MWAIT)$/.test(row.mnemonic)) {
    aim.set(Gpr.RAX, aim.target(source), addressWidth);
    if (prng.below(4) !== 0) registers[Gpr.RCX] = 0n;
  }
  if (row.mnemonic === 'MASKMOVDQU') aim.set(Gpr.RDI, aim.target(source), addressWidth);
  if (row.mnemonic === 'XLATB') aim.set(Gpr.RBX, aim.target(source), addressWidth);
  if (row.mnemonic === 'LEAVE' || row.mnemonic === 'ENTER')
    registers[Gpr.RBP] = aim.target(Segment.SS);
  const [first, second] = operands;
  if (row.mnemonic.startsWith('BT') && first?.kind === 'memory' && second?.kind === 'register') {
    registers[second.number] = BigInt.asUintN(64, BigInt(prng.below(4096)) - 2048n);
  }
  for (const operand of operands) {
    if (operand.kind === 'memory') aim.operand(operand);
    else if (operand.kind === 'register' && row.cost === 'system' && prng.below(2) === 0) {
      registers[operand.number] = meaningful(prng);
    }
  }
  const rare = prng.below(4) === 0 ? prng.next() & TF_IF_NT_AC_ID : 0;
  const rflags = 2 | (prng.next() & STATUS_AND_DF) | rare;
  let window = WINDOWS[prng.below(WINDOWS.length)];
  if (/^(IRET|RETF)/.test(row.mnemonic) && prng.below(8) !== 0) {
    window = withFrame(window, registers[Gpr.RSP], instruction.width / 8, prng);
  }
  const vectors = randomVectors(new Prng(Number(registers[0] & 0xffffffffn)));
  const hasUnits = row.unit !== undefined;
  const state = { registers: packed(registers), rflags, fsBase, gsBase, window, vectors, hasUnits };
  if (/^(VER[RW]|LAR|LSL)$/.test(row.mnemonic)) state.window = withSelector(instruction, state);
  if (row.operands.some(({ far, place }) => far && place === 'rm'))
    state.window = withPointer(instruction, state);
  if (row.mnemonic === 'CMPXCHG' && prng.below(2) === 0) makeEqual(instruction, state);
  if (/^CMPXCHG\d/.test(row.mnemonic) && prng.below(2) === 0) makePairEqual(instruction, state);
  return state;
}

/** Exceptions masked, more often than not. */
function randomVectors(prng: Prng): Uint8Array {
  const xmm = packed(Array.from({ length: 32 }, () => randomValue(prng)));
  const mxcsr = prng.below(8) === 0 ? prng.next() & 0xffff : 0x1f80 | (prng.next() & 0xe07f);
  return Uint8Array.from([...xmm, mxcsr & 255, mxcsr >> 8, 0, 0]);
}

/** Copy the accumulator to the first operand of CMPXCHG, so that the comparison succeeds. */
function makeEqual(instruction: Instruction, state: Before): void {
  const accumulator = state.registers.slice(0, instruction.width / 8);
  const [first] = instruction.operands;
  if (first?.kind === 'register') state.registers.set(accumulator, 8 * first.number);
  const [access] = effectsOf(instruction).memory;
  if (first?.kind !== 'memory' || access === undefined) return;
  const [from, to] = rangeOf(access, state, instruction);
  if (first.base !== Gpr.RAX && first.index !== Gpr.RAX) {
    state.registers.set(state.window.subarray(from, to));
  }
}

/** Copy the first operand of CMPXCHG8B or 16B to rDX:rAX, unless they address it. */
function makePairEqual(instruction: Instruction, state: Before): void {
  const [first] = instruction.operands;
  const [access] = effectsOf(instruction).memory;
  if (first?.kind !== 'memory' || access === undefined) return;
  const used: number[] = [Gpr.RAX, Gpr.RDX];
  if (used.includes(first.base) || used.includes(first.index)) return;
  const half = first.width / 16;
  const [from] = rangeOf(access, state, instruction);
  state.registers.set(state.window.subarray(from, from + half), 8 * Gpr.RAX);
  state.registers.set(state.window.subarray(from + half, from + 2 * half), 8 * Gpr.RDX);
}

class Aim {
  private readonly registers: bigint[];
  private readonly bases: readonly number[];
  private readonly prng: Prng;
  /** Operands of 128 bits and more have to be aligned. */
  private readonly isWide: boolean;

  constructor(registers: bigint[], bases: readonly number[], prng: Prng, isWide: boolean) {
    this.registers = registers;
    this.bases = bases;
    this.prng = prng;
    this.isWide = isWide;
  }

  /** An offset in the segment that lies in the middle half of the window, a multiple of 8. */
  target(segment: number): bigint {
    const step = this.isWide ? 16 : 8;
    const within = WINDOW_BYTES / 4 + step * this.prng.below(WINDOW_BYTES / 2 / step);
    return BigInt(WINDOW + within - this.bases[segment]);
  }

  /** Half of the addresses are not multiples of 8. */
  private oddness(): bigint {
    if (this.isWide) return 0n;
    return BigInt(Math.max(0, this.prng.below(16) - 8));
  }

  /** Set what an address of some width sees of a register; the rest stays random. */
  set(number: number, value: bigint, width: number): void {
    const present = this.registers[number];
    const kept = width === 64 ? 0n : (present >> 32n) << 32n;
    this.registers[number] = kept | BigInt.asUintN(width, value);
  }

  operand({ base, index, scale, displacement, segment, addressWidth }: MemoryOperand): void {
    const factor = 1n << BigInt(scale);
    const wanted = this.target(segment) - BigInt(displacement.toSigned().toString());
    const width = addressWidth;
    const rest = BigInt.asUintN(width, wanted);
    if (base >= 0 && base === index) this.set(base, rest / (1n + factor), width);
    else if (base >= 0 && index >= 0) {
      const count = BigInt(this.prng.below(64));
      this.set(index, count, width);
      this.set(base, wanted - count * factor + this.oddness(), width);
    } else if (base >= 0) this.set(base, wanted + this.oddness(), width);
    else if (index >= 0) this.set(index, rest / factor, width);
  }
}

function packed(registers: readonly bigint[]): Uint8Array {
  return new Uint8Array(BigUint64Array.from(registers).buffer);
}

/** A few windows full of random values. */
const WINDOWS = [1, 2, 3, 4].map((seed) => {
  const prng = new Prng(seed);
  return packed(Array.from({ length: WINDOW_BYTES / 8 }, () => randomValue(prng)));
});

/** The window with a selector that exists in the memory operand, if there is one. */
function withSelector(instruction: Instruction, state: Before): Uint8Array {
  const [access] = effectsOf(instruction).memory;
  if (access === undefined || access.width !== 16) return state.window;
  const window = state.window.slice();
  const [from] = rangeOf(access, state, instruction);
  new DataView(window.buffer).setUint16(from, Selector.DATA, true);
  return window;
}

/** The window with a far pointer to code in the memory operand. */
function withPointer(instruction: Instruction, state: Before): Uint8Array {
  const window = state.window.slice();
  const view = new DataView(window.buffer);
  const [offset, selector] = effectsOf(instruction).memory;
  const [from, to] = rangeOf(offset, state, instruction);
  if (to - from === 2) view.setUint16(from, CODE & 0xffff, true);
  else view.setUint32(from, CODE, true);
  if (to - from === 8) view.setUint32(from + 4, 0, true);
  view.setUint16(rangeOf(selector, state, instruction)[0], Selector.CODE, true);
  return window;
}

/** The window with something on the stack that IRET or far RET can return to. */
function withFrame(window: Uint8Array, rsp: bigint, bytes: number, prng: Prng): Uint8Array {
  const framed = window.slice();
  const view = new DataView(framed.buffer);
  const flags = 2 | (prng.next() & (STATUS_AND_DF | TF_IF_NT_AC_ID));
  [CODE, Selector.CODE, flags, WINDOW + 64, Selector.DATA].forEach((value, i) => {
    const at = Number(rsp) - WINDOW + i * bytes;
    if (bytes === 2) view.setUint16(at, value & 0xffff, true);
    else if (bytes === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value >>> 0), true);
  });
  return framed;
}
