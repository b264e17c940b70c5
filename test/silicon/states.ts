// States to execute an instruction in: values at which widths and signs turn over, and addresses
// that point into the data, across the ends of its pages, or nowhere. Everything from a seed.

import {
  type CodeSize,
  Gpr,
  type Instruction,
  type MemoryOperand,
  Segment,
} from '../../src/isa/index.ts';
import type { Prng } from '../../src/sim/index.ts';
import type { FixedAddresses } from '../support/row-encodings.ts';
import {
  type Case,
  CODE,
  codeSizeOf,
  DATA,
  DATA_BYTES,
  ESP_UPPER_HALF,
  Mode,
  PAGE,
} from './protocol.ts';
import { basesOf, CODE_SELECTORS } from './segments.ts';
import { isFarBranch } from './selection.ts';
import { vectorsFor } from './vector-states.ts';

/** Displacements with which absolute and RIP-relative operands reach the data. */
export const INTO_DATA: Readonly<Record<CodeSize, FixedAddresses>> = {
  16: { absolute: 0x7f8, ripRelative: 0 },
  32: { absolute: DATA + 0x7f8, ripRelative: 0 },
  64: { absolute: DATA + 0x7f8, ripRelative: DATA + 0x7f8 - CODE - 8 },
};

const EDGES = [0, 1, 2, 7, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x10000].map(BigInt);
const STATUS_AND_DF = 0xcd5;
const ID = 1 << 21;

/** A value of 64 bits: often one near which something turns over. */
export function edgeValue(prng: Prng): bigint {
  const random = (BigInt(prng.next()) << 32n) | BigInt(prng.next());
  switch (prng.below(8)) {
    case 0:
      return BigInt(prng.below(20));
    case 1:
      return BigInt.asUintN(64, -EDGES[prng.below(EDGES.length)]);
    case 2:
      return EDGES[prng.below(EDGES.length)];
    case 3:
      return BigInt.asUintN(64, (1n << BigInt(prng.below(64))) - BigInt(prng.below(3)));
    case 4:
      return random & 0xffffffffn;
    case 5:
      // One field at an edge, the rest random: the upper parts must not matter.
      return (random & ~0xffffn) | (EDGES[prng.below(EDGES.length)] & 0xffffn);
    default:
      return random;
  }
}

/** Contents of the data. Quadwords at random, some of them addresses of data or code. */
export function randomData(prng: Prng): Uint8Array {
  const words = Array.from({ length: DATA_BYTES / 8 }, () => {
    if (prng.below(16) !== 0) return edgeValue(prng);
    return BigInt((prng.below(2) === 0 ? CODE : DATA) + prng.below(PAGE));
  });
  return new Uint8Array(BigUint64Array.from(words).buffer);
}

/** What is needed to make states for one instruction. */
export interface Scene {
  readonly instruction: Instruction;
  readonly code: Uint8Array;
  readonly mode: number;
  readonly data: Uint8Array;
}

/** A state in which the instruction finds its operands, more often than not. */
export function stateFor(scene: Scene, prng: Prng): Case {
  const registers = BigUint64Array.from({ length: 16 }, () => edgeValue(prng));
  const fsBase = 8 * prng.below(64);
  const gsBase = 8 * prng.below(64);
  const codeSize = codeSizeOf(scene.mode);
  const bases = basesOf(codeSize, fsBase, gsBase);
  const aim = new Aim(scene, registers, bases, prng);
  aim.all();
  if (codeSize !== 64) cutRegisters(registers, codeSize);
  return {
    code: scene.code,
    mode: scene.mode,
    registers: new Int32Array(registers.buffer),
    rflags: 2 | (prng.next() & (STATUS_AND_DF | ID)),
    fsBase: bases[Segment.FS],
    gsBase: bases[Segment.GS],
    pokes: aim.pokes,
    vectors: (scene.mode & Mode.VECTORS) === 0 ? null : aim.vectors(),
  };
}

/** Of the upper halves, code of 32 bits knows nothing. */
function cutRegisters(registers: BigUint64Array, codeSize: 16 | 32): void {
  for (let number = 0; number < 8; number++) {
    registers[number] = BigInt.asUintN(32, registers[number]);
  }
  if (codeSize === 32) return;
  registers[Gpr.RSP] = BigInt(ESP_UPPER_HALF) | (registers[Gpr.RSP] & 0xffffn);
}

/** Selectors of Linux's GDT, of its gaps, and beyond it; and of the local table. */
const SELECTORS = [
  ...[0, 1, 2, 3, 8, 0x10, 0x18, 0x28, 0x2a, 0x2b, 0x33, 0x40, 0x43, 0x63, 0x7b, 0x83],
  ...[0x23, 0x07, 0x0f, 0x17, 0x1e, 0x1f, 0x27],
];

/** Mostly the given one. */
export function anySelector(usual: number, prng: Prng): number {
  return prng.below(4) === 0 ? SELECTORS[prng.below(SELECTORS.length)] : usual;
}

class Aim {
  readonly pokes: [number, number, number][] = [];
  private readonly scene: Scene;
  private readonly registers: BigUint64Array;
  private readonly bases: readonly number[];
  private readonly prng: Prng;
  private readonly isLocked: boolean;
  /** Operands of 128 bits and more fault where they are not aligned. */
  private readonly wantsAlignment: boolean;

  constructor(scene: Scene, registers: BigUint64Array, bases: readonly number[], prng: Prng) {
    this.scene = scene;
    this.registers = registers;
    this.bases = bases;
    this.prng = prng;
    const { lock, row } = scene.instruction;
    this.isLocked = lock || row.alwaysLocked === true;
    this.wantsAlignment = row.operands.some(({ memoryWidth }) => {
      return row.unit !== undefined && (memoryWidth === 128 || memoryWidth === 0);
    });
  }

  all(): void {
    const { prng } = this;
    const { instruction } = this.scene;
    const { row, operands, codeSize } = instruction;
    this.set(Gpr.RSP, this.target(Segment.SS), codeSize);
    if (/^(LEAVE|ENTER)$/.test(row.mnemonic)) {
      this.set(Gpr.RBP, this.target(Segment.SS), codeSize);
    }
    if (row.repeat !== undefined) this.string();
    if (/^J.?CXZ$|^LOOP/.test(row.mnemonic) && prng.below(2) === 0) {
      this.set(Gpr.RCX, BigInt(prng.below(3)), instruction.addressWidth);
    }
    if (row.mnemonic === 'MASKMOVDQU') {
      this.set(Gpr.RDI, this.target(this.source()), instruction.addressWidth);
    }
    if (row.mnemonic === 'XLATB') {
      this.set(Gpr.RBX, this.target(this.source()), instruction.addressWidth);
    }
    for (const operand of operands) {
      if (operand.kind === 'register' && operand.number === Gpr.RCX && operand.width === 8) {
        this.set(Gpr.RCX, BigInt(prng.below(80)), 8);
      }
    }
    if (/^I?DIV$/.test(row.mnemonic) && prng.below(4) !== 0) this.dividend();
    if (row.operands.some(({ registerClass }) => registerClass === 'segment')) this.selector();
    for (const operand of operands) if (operand.kind === 'memory') this.operand(operand);
    this.bitIndex();
    if (/^(IRET|RETF)/.test(row.mnemonic) && prng.below(8) !== 0) this.frame();
    if (operands[0]?.kind === 'memory' && isFarBranch(row) && prng.below(8) !== 0) {
      this.farPointer(operands[0], CODE_SELECTORS[codeSize]);
    }
    if (operands[1]?.kind === 'memory' && /^L[DEFGS]S$/.test(row.mnemonic)) {
      this.farPointer(operands[1], 0x2b);
    }
    if (row.mnemonic === 'BOUND' && operands[1]?.kind === 'memory') this.bounds(operands[1]);
    if (row.mnemonic.startsWith('CMPXCHG') && prng.below(2) === 0) this.makeEqual();
  }

  /** Registers of FPU and SSE, and an operand in memory that goes with them. */
  vectors(): Uint8Array {
    const { prng } = this;
    const { instruction } = this.scene;
    const memory = instruction.operands.find((operand) => operand.kind === 'memory');
    const start = memory === undefined ? -1 : Number(this.linear(memory)) - DATA;
    return vectorsFor(instruction, prng, {
      edge: () => edgeValue(prng),
      place: (offset, value) => {
        const at = start + offset;
        if (start >= 0 && at % 8 === 0 && at <= PAGE - 8) this.poke(at, value);
      },
    });
  }

  private source(): number {
    const { segmentOverride } = this.scene.instruction;
    return segmentOverride < 0 ? Segment.DS : segmentOverride;
  }

  /** An offset in the segment, at which something may be. */
  private target(segment: number): bigint {
    const isAligned = this.isLocked || (this.wantsAlignment && this.prng.below(4) !== 0);
    const linear = isAligned ? this.alignedAddress() : this.address();
    return BigInt.asUintN(64, linear - BigInt(this.bases[segment]));
  }

  private address(): bigint {
    const { prng } = this;
    const near = (at: number) => BigInt(at - 40 + prng.below(48));
    switch (prng.below(24)) {
      case 0:
        return near(DATA);
      case 1:
      case 2:
        return near(DATA + PAGE);
      case 3:
        return near(DATA + DATA_BYTES);
      case 4:
        return BigInt(DATA + PAGE + prng.below(PAGE));
      case 5:
        return near(CODE + PAGE);
      case 6:
        return (1n << 47n) - BigInt(prng.below(20));
      case 7:
        return edgeValue(prng);
      case 8:
      case 9:
        return BigInt(DATA + 0x400 + 16 * prng.below(0x80));
      default:
        return BigInt(DATA + 0x400 + prng.below(0x800));
    }
  }

  /** A locked access that crosses a cache line is slow, and some kernels punish it. */
  private alignedAddress(): bigint {
    const { prng } = this;
    const page = [DATA, DATA, DATA, DATA + PAGE, DATA + DATA_BYTES][prng.below(5)];
    return BigInt(page + 16 * prng.below(PAGE / 16));
  }

  /** Set what an address of some width sees of a register; the rest stays random. */
  private set(number: number, value: bigint, width: number): void {
    const kept = (this.registers[number] >> BigInt(width)) << BigInt(width);
    this.registers[number] = kept | BigInt.asUintN(width, value);
  }

  private operand({ base, index, scale, displacement, segment, addressWidth }: MemoryOperand) {
    const factor = 1n << BigInt(scale);
    const wanted = this.target(segment) - BigInt(displacement.toSigned().toString());
    const width = addressWidth;
    const rest = BigInt.asUintN(width, wanted);
    if (base >= 0 && base === index) this.set(base, rest / (1n + factor), width);
    else if (base >= 0 && index >= 0) {
      const count = BigInt.asUintN(width, this.isLocked ? 64n : this.registers[index]);
      this.set(index, count, width);
      this.set(base, wanted - count * factor, width);
    } else if (base >= 0) this.set(base, wanted, width);
    else if (index >= 0) this.set(index, rest / factor, width);
  }

  private string(): void {
    const { prng } = this;
    const { addressWidth, repeat } = this.scene.instruction;
    this.set(Gpr.RSI, this.target(this.source()), addressWidth);
    this.set(Gpr.RDI, this.target(Segment.ES), addressWidth);
    if (repeat === 'none') return;
    // Not so many that they reach from the end of the code's page to its beginning.
    const count = prng.below(64) === 0 ? prng.below(480) : prng.below(20);
    this.set(Gpr.RCX, BigInt(count), addressWidth);
  }

  /** A high half with which the quotient has a chance to fit. */
  private dividend(): void {
    const { prng, registers } = this;
    const { width } = this.scene.instruction;
    const high = [0n, 1n, -1n, BigInt(prng.below(100)), -BigInt(prng.below(100))][prng.below(5)];
    if (width === 8) this.set(Gpr.RAX, (high << 8n) | (registers[Gpr.RAX] & 0xffn), 16);
    else this.set(Gpr.RDX, high, width);
  }

  /** Put selectors where the instruction will take one from. */
  private selector(): void {
    const { prng, registers } = this;
    for (let number = 0; number < 16; number++) {
      if (number === Gpr.RSP || prng.below(2) === 0) continue;
      this.set(number, BigInt(SELECTORS[prng.below(SELECTORS.length)]), 16);
    }
    if (this.scene.instruction.row.mnemonic !== 'POP') return;
    const at = this.stackOffset();
    if (at < 0 || at > PAGE - 8 || prng.below(4) === 0) return;
    registers[Gpr.RSP] &= ~7n;
    this.poke(at & ~7, BigInt(SELECTORS[prng.below(SELECTORS.length)]) | (edgeValue(prng) << 16n));
  }

  /** An index that stays in the data, for BT and kin with an operand in memory. */
  private bitIndex(): void {
    const { prng } = this;
    const { row, operands } = this.scene.instruction;
    const [first, second] = operands;
    if (!/^BT[CRS]?$/.test(row.mnemonic) || first?.kind !== 'memory') return;
    if (second?.kind !== 'register' || prng.below(8) === 0) return;
    if (second.number === first.base || second.number === first.index) return;
    const { width } = this.scene.instruction;
    this.set(second.number, BigInt(prng.below(4096)) - 2048n, width);
  }

  /** Where in the data the stack pointer points. */
  private stackOffset(): number {
    const { codeSize } = this.scene.instruction;
    const pointer = BigInt.asUintN(codeSize, this.registers[Gpr.RSP]);
    return Number(pointer) + this.bases[Segment.SS] - DATA;
  }

  /** Bounds between which an index may be. */
  private bounds(operand: MemoryOperand): void {
    const { prng } = this;
    const at = Number(this.linear(operand)) - DATA;
    if (at < 0 || at > PAGE - 8 || at % 8 !== 0 || prng.below(4) === 0) return;
    const lower = BigInt.asUintN(this.scene.instruction.width, -edgeValue(prng) >> 20n);
    const upper = BigInt.asUintN(this.scene.instruction.width - 1, edgeValue(prng));
    this.poke(at, BigInt.asUintN(64, (upper << BigInt(this.scene.instruction.width)) | lower));
  }

  /** Something in memory that a far branch can go to: an offset, and a selector behind it. */
  private farPointer(operand: MemoryOperand, usual: number): void {
    const { prng } = this;
    const linear = this.linear(operand);
    const at = Number(linear) - DATA;
    const { width } = this.scene.instruction;
    if (at < 0 || at > PAGE - 16 || at % 8 !== 0) return;
    const selector = BigInt(anySelector(usual, prng));
    const offset = BigInt.asUintN(width, edgeValue(prng));
    const pointer = (selector << BigInt(width)) | offset;
    this.poke(at, BigInt.asUintN(64, pointer));
    if (width === 64) this.poke(at + 8, pointer >> 64n);
  }

  /** Something on the stack that IRET or RETF can return to. */
  private frame(): void {
    const { prng, registers } = this;
    const { codeSize, width } = this.scene.instruction;
    const bytes = width / 8;
    const top = DATA + 0x400 + 8 * prng.below(0x100) - this.bases[Segment.SS];
    registers[Gpr.RSP] = BigInt(top);
    const code =
      prng.below(8) === 0 ? SELECTORS[prng.below(SELECTORS.length)] : CODE_SELECTORS[codeSize];
    const stack = prng.below(8) === 0 ? SELECTORS[prng.below(SELECTORS.length)] : 0x2b;
    const values = [edgeValue(prng), BigInt(code), edgeValue(prng), edgeValue(prng), BigInt(stack)];
    const image = new Uint8Array(40);
    const view = new DataView(image.buffer);
    values.forEach((value, i) => {
      for (let n = 0; n < bytes; n++) {
        view.setUint8(i * bytes + n, Number((value >> BigInt(8 * n)) & 0xffn));
      }
    });
    const start = this.stackOffset();
    for (let at = 0; at < 40; at += 8) this.poke(start + at, view.getBigUint64(at, true));
  }

  /** Make what CMPXCHG compares equal. */
  private makeEqual(): void {
    const { registers } = this;
    const { operands, width } = this.scene.instruction;
    const [first] = operands;
    if (first?.kind === 'register') {
      this.set(
        Gpr.RAX,
        first.high ? registers[first.number] >> 8n : registers[first.number],
        width,
      );
      return;
    }
    if (first?.kind !== 'memory' || [first.base, first.index].includes(Gpr.RAX)) return;
    if ([first.base, first.index].includes(Gpr.RDX)) return;
    const bits = first.width === 0 ? 64 : first.width;
    const at = Number(this.linear(first)) - DATA;
    if (at < 0 || at + bits / 8 > DATA_BYTES) return;
    const view = new DataView(this.scene.data.buffer, at);
    const low = bits === 8 ? view.getUint8(0) : bits === 16 ? view.getUint16(0, true) : null;
    const half = bits === 128 || /B$/.test(this.scene.instruction.row.mnemonic) ? bits / 2 : bits;
    if (low !== null) this.set(Gpr.RAX, BigInt(low), bits);
    else if (half === 32) this.set(Gpr.RAX, BigInt(view.getUint32(0, true)), 32);
    else this.set(Gpr.RAX, view.getBigUint64(0, true), 64);
    if (half === bits) return;
    if (half === 32) this.set(Gpr.RDX, BigInt(view.getUint32(4, true)), 32);
    else this.set(Gpr.RDX, view.getBigUint64(8, true), 64);
  }

  private linear({ base, index, scale, displacement, ...rest }: MemoryOperand): bigint {
    let sum = BigInt(displacement.toSigned().toString());
    if (base >= 0) sum += this.registers[base];
    if (index >= 0) sum += this.registers[index] << BigInt(scale);
    if (rest.ripRelative) sum += BigInt(CODE + this.scene.instruction.lengthBytes);
    return BigInt.asUintN(rest.addressWidth, sum) + BigInt(this.bases[rest.segment]);
  }

  private poke(offset: number, value: bigint): void {
    this.pokes.push([
      offset,
      Number(value & 0xffffffffn) | 0,
      Number((value >> 32n) & 0xffffffffn) | 0,
    ]);
  }
}
