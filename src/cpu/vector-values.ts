// XMM registers, packed integers and floating-point numbers of the domain of concrete values. SDM
// 1, "Programming with Intel SSE" and "Programming with Intel SSE2".

import type { FloatFunction, LaneFunction } from '../isa/index.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { FloatUnit } from './float.ts';
import { LANE_FUNCTIONS } from './lanes.ts';
import { Cr4, Word } from './state.ts';
import { type Slot, Values } from './values.ts';

export class VectorValues extends Values {
  private readonly floats = new FloatUnit();

  xmm(width: 32 | 64, number: number, lane: number): Slot {
    const { words } = this;
    const register = Word.XMM + 4 * number;
    if (width === 32) return this.make(words[register + lane], 0);
    const at = register + 2 * lane;
    return this.make(words[at], words[at + 1]);
  }

  setXmm(width: 32 | 64, number: number, lane: number, value: Slot): void {
    const { words } = this;
    const register = Word.XMM + 4 * number;
    if (width === 32) words[register + lane] = words[value];
    else {
      const at = register + 2 * lane;
      words[at] = words[value];
      words[at + 1] = words[value + 1];
    }
  }

  lanes(name: LaneFunction, x: Slot, y: Slot): Slot {
    const { words } = this;
    const work = LANE_FUNCTIONS[name];
    return this.make(work(words[x], words[y]), work(words[x + 1], words[y + 1]));
  }

  float(name: FloatFunction, x: Slot, y: Slot): Slot {
    const { words, floats } = this;
    const mxcsr = words[Word.MXCSR];
    floats.compute(name, mxcsr, words[x], words[x + 1], words[y], words[y + 1]);
    return this.make(floats.low, floats.high);
  }

  settleFloats(): void {
    const { words, floats } = this;
    if (floats.isSettled(words[Word.MXCSR])) {
      floats.forget();
      return;
    }
    const { mxcsr, isFault } = floats.settle(words[Word.MXCSR]);
    words[Word.MXCSR] = mxcsr;
    if (!isFault) return;
    const isHandled = (words[Word.CR4] & Cr4.OSXMMEXCPT) !== 0;
    throw new GuestFault(isHandled ? Vector.XM : Vector.UD);
  }
}
