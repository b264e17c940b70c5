// The stack that a transfer to a more privileged level switches to, outside IA-32e mode.
// SDM 3, "Stack Switching".

import type { Descriptor } from './descriptors.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { FrameStack } from './frame-stack.ts';
import type { Processor } from './processor.ts';
import { checkStackSegment } from './segments.ts';
import { innerStack } from './task-state.ts';

export interface InnerStack {
  readonly stack: FrameStack;
  /** To be loaded into SS. */
  readonly descriptor: Descriptor;
}

/** The stack for a privilege level, from the TSS, checked. */
export function openInnerStack(processor: Processor, cpl: number, external: number): InnerStack {
  const { pointer, selector } = innerStack(processor, cpl, external);
  const rules = { vector: Vector.TS, isNullable: false, external };
  const descriptor = checkStackSegment(processor, selector, cpl, rules);
  if (descriptor === null) throw new GuestFault(Vector.TS, external);
  const code = (selector & 0xfffc) | external;
  return { stack: new FrameStack(processor, descriptor, pointer, code), descriptor };
}
