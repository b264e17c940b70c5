// Stacks as events, returns and far branches use them: several values are pushed or popped, and
// only when all of it has gone well does the stack pointer move. Such a stack may belong to a
// segment that is not in SS yet.

import Long from 'long';
import { Segment } from '../isa/index.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { stackWidthOf } from './mode.ts';
import type { Processor } from './processor.ts';
import { isWithin } from './segmentation.ts';
import { Rights, SEGMENT_WORDS, Word } from './state.ts';

/** The parts of a stack segment that count. */
export interface StackSegment {
  readonly base: number;
  readonly limit: number;
  readonly rights: number;
}

export class FrameStack {
  /** Offset of the top, cut to the width of the stack pointer. */
  top: Long;
  private readonly processor: Processor;
  /** Null in 64-bit mode, which looks at no segment. */
  private readonly segment: StackSegment | null;
  /** Of the fault when the segment ends too early. */
  private readonly errorCode: number;

  constructor(processor: Processor, segment: StackSegment | null, top: Long, errorCode: number) {
    this.processor = processor;
    this.segment = segment;
    this.errorCode = errorCode;
    this.top = this.cut(top);
  }

  /** Fault unless so many bytes can be pushed, as far as the segment goes. */
  requireRoom(lengthBytes: number): void {
    this.check(this.cut(this.top.sub(lengthBytes)), lengthBytes);
  }

  push(value: Long, lengthBytes: number): void {
    const top = this.cut(this.top.sub(lengthBytes));
    this.check(top, lengthBytes);
    const { low, high } = this.linear(top);
    this.processor.mmu.write(low, high, lengthBytes, value, true);
    this.top = top;
  }

  pushAll(values: readonly Long[], lengthBytes: number): void {
    for (const value of values) this.push(value, lengthBytes);
  }

  /** Zero-extended. */
  pop(lengthBytes: number): Long {
    this.check(this.top, lengthBytes);
    const { low, high } = this.linear(this.top);
    const value = this.processor.mmu.read(low, high, lengthBytes, true);
    this.skip(lengthBytes);
    return value;
  }

  /** Move the top up. */
  skip(lengthBytes: number): void {
    this.top = this.cut(this.top.add(lengthBytes));
  }

  private check(offset: Long, lengthBytes: number): void {
    const { segment } = this;
    if (segment === null) return;
    const isUsable = this.processor.mode === 'real' || (segment.rights & Rights.UNUSABLE) === 0;
    if (!isUsable || !isWithin(segment.rights, segment.limit, offset.low, lengthBytes)) {
      throw new GuestFault(Vector.SS, this.errorCode);
    }
  }

  private linear(offset: Long): Long {
    const { segment } = this;
    return segment === null ? offset : Long.fromBits((segment.base + offset.low) | 0, 0);
  }

  private cut(offset: Long): Long {
    const { segment } = this;
    if (segment === null) return offset;
    const isWide = (segment.rights & Rights.DB) !== 0;
    return Long.fromBits(isWide ? offset.low : offset.low & 0xffff, 0);
  }
}

/** The stack in use. */
export function currentStack(processor: Processor, errorCode = 0): FrameStack {
  const { state, mode } = processor;
  const { words } = state;
  const register = SEGMENT_WORDS[Segment.SS];
  const segment = {
    base: words[register.base],
    limit: words[register.limit],
    rights: words[register.rights],
  };
  const top = state.get64(Word.RSP);
  return new FrameStack(processor, mode === '64-bit' ? null : segment, top, errorCode);
}

/** Move the stack pointer, as far as SS lets it: of a 16-bit stack the upper part stays. */
export function setStackPointer(processor: Processor, top: Long): void {
  const { state } = processor;
  const width = stackWidthOf(state);
  if (width === 64) state.set64(Word.RSP, top);
  else if (width === 32) state.set64(Word.RSP, Long.fromBits(top.low, 0));
  else {
    const { words } = state;
    words[Word.RSP] = (words[Word.RSP] & ~0xffff) | (top.low & 0xffff);
  }
}
