// XMM registers in the compiling domain. They stay in the processor's state: a block loads each
// half once, and stores what an instruction writes at its end.

import type { FloatFunction, LaneFunction } from '../../isa/index.ts';
import { Mxcsr } from '../float-exact.ts';
import { Cr0, Cr4, Word } from '../state.ts';
import { BlockMemory } from './block-memory.ts';
import { Declined } from './block-state.ts';
import { FLOAT_EMISSION, type FloatGuards } from './float-emission.ts';
import { LANE_EMISSION } from './lane-emission.ts';
import { Op, Type } from './module.ts';
import {
  and32,
  and64,
  cut,
  int,
  long,
  type Node,
  narrow,
  not,
  or64,
  shl64,
  shr64,
} from './nodes.ts';
import { HAS_SIMD } from './simd.ts';

/** What a block knows of vectors; kept if the instruction is not declined. */
interface Vectors {
  /** Halves of registers by 2 * number + half. */
  readonly halves: ReadonlyMap<number, Node>;
  /** SSE was found to be switched on. */
  readonly isOn: boolean;
  /** MXCSR, when it was found to be the usual one but for its flags. */
  readonly mxcsr: Node | null;
}

const CONTROL = Mxcsr.DAZ | Mxcsr.MASKS | Mxcsr.ROUNDING | Mxcsr.FTZ;
/** The flag of inexactness. */
const INEXACT = 1 << 5;

export class BlockVectors extends BlockMemory {
  protected vectors: Vectors = { halves: new Map(), isOn: false, mxcsr: null };
  /** Halves that the instruction writes. */
  private readonly written = new Map<number, Node>();

  /** #UD or #NM, which the interpreter raises, unless SSE is switched on. */
  protected needVectors(): void {
    if (this.vectors.isOn) return;
    const off = and32(this.stateWord(Word.CR0), int(Cr0.EM | Cr0.TS));
    this.giveUpIf(not(not(off)));
    this.giveUpIf(not(and32(this.stateWord(Word.CR4), int(Cr4.OSFXSR))));
    this.vectors = { ...this.vectors, isOn: true };
  }

  /** At the end of an instruction, or if it was declined. */
  protected settleVectors(isDone: boolean): void {
    if (isDone && this.written.size > 0) {
      for (const [half, value] of this.written) {
        this.effects.push({ kind: 'storeState', offset: halfOffset(half), value });
      }
      const halves = new Map([...this.vectors.halves, ...this.written]);
      this.vectors = { ...this.vectors, halves };
    }
    this.written.clear();
  }

  xmm(width: 32 | 64, number: number, lane: number): Node {
    if (width === 64) return this.half(2 * number + lane);
    const half = this.half(2 * number + (lane >> 1));
    return (lane & 1) === 0 ? cut(32, half) : shr64(half, WORD);
  }

  private half(half: number): Node {
    const known = this.written.get(half) ?? this.vectors.halves.get(half);
    if (known !== undefined) return known;
    const value = this.stateLong(halfOffset(half) / 4);
    if (this.depth === 0) {
      this.vectors = { ...this.vectors, halves: new Map([...this.vectors.halves, [half, value]]) };
    }
    return value;
  }

  setXmm(width: 32 | 64, number: number, lane: number, value: Node): void {
    if (this.depth > 0) throw new Declined('writes to XMM registers in some cases');
    if (width === 64) {
      this.written.set(2 * number + lane, value);
      return;
    }
    const half = 2 * number + (lane >> 1);
    const old = this.half(half);
    const isLow = (lane & 1) === 0;
    const kept = isLow ? and64(old, UPPER) : cut(32, old);
    this.written.set(half, or64(kept, isLow ? value : shl64(value, WORD)));
  }

  lanes(name: LaneFunction, x: Node, y: Node): Node {
    if (!HAS_SIMD) throw new Declined('packed integers');
    return LANE_EMISSION[name](x, y);
  }

  float(name: FloatFunction, x: Node, y: Node): Node {
    if (name !== 'int32ToDouble') this.needUsualMxcsr();
    return FLOAT_EMISSION[name](this.floatGuards, x, y);
  }

  private readonly floatGuards: FloatGuards = {
    giveUpIf: (condition) => this.giveUpIf(condition),
    giveUpIfFirst: (isInexact) => {
      const whenTrue = this.apart(() => this.giveUpIf(isInexact));
      if (whenTrue.length === 0) return;
      const condition = not(and32(this.vectors.mxcsr ?? int(0), int(INEXACT)));
      this.effects.push({ kind: 'if', condition, whenTrue, whenFalse: [] });
    },
  };

  private needUsualMxcsr(): void {
    if (this.vectors.mxcsr !== null) return;
    if (this.depth > 0) throw new Declined('computes with floating-point numbers in some cases');
    const mxcsr = this.stateWord(Word.MXCSR);
    const control = and32(mxcsr, int(CONTROL));
    this.giveUpIf(narrow(1, Op.i32Ne, Type.I32, control, int(Mxcsr.MASKS)));
    this.vectors = { ...this.vectors, mxcsr };
  }

  /** What is computed here signals nothing that MXCSR does not say already. */
  settleFloats(): void {}
}

const WORD = long(32n);
const UPPER = long(0xffffffff00000000n);

function halfOffset(half: number): number {
  return 4 * Word.XMM + 8 * half;
}
