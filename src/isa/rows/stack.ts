// SDM 2: the stack instructions, and push and pop as other meanings use them.

import type { Domain, Meaning } from '../domain.ts';
import { instruction } from '../notation.ts';
import { Gpr, Segment, type Width } from '../registers.ts';
import { hex, synonym } from './forms.ts';

/** Store below the stack pointer, then move it: a fault in the store leaves RSP alone. */
export function push<V, B>(d: Domain<V, B>, width: Width, value: V): void {
  const top = d.sub(d.stackWidth, stackPointer(d), d.constant(d.stackWidth, width / 8));
  d.store(width, Segment.SS, top, value);
  d.setRegister(d.stackWidth, Gpr.RSP, top);
}

/** Load from the top of the stack and move the stack pointer up. */
export function pop<V, B>(d: Domain<V, B>, width: Width): V {
  const top = stackPointer(d);
  const value = d.load(width, Segment.SS, top);
  const above = d.add(d.stackWidth, top, d.constant(d.stackWidth, width / 8));
  d.setRegister(d.stackWidth, Gpr.RSP, above);
  return value;
}

function stackPointer<V, B>(d: Domain<V, B>): V {
  return d.register(d.stackWidth, Gpr.RSP);
}

const leave: Meaning = (d) => {
  const w = d.instruction.width;
  d.setRegister(d.stackWidth, Gpr.RSP, d.register(d.stackWidth, Gpr.RBP));
  d.setRegister(w, Gpr.RBP, pop(d, w));
};

const NESTING_LEVELS = 32;

/**
 * ENTER: a frame of so many bytes, and on it the frame pointers of the procedures around this one.
 * The new top must be writable, though nothing is written there.
 */
const enter: Meaning = (d, size, nesting) => {
  const w = d.instruction.width;
  const sw = d.stackWidth;
  const level = nesting.kind === 'immediate' ? nesting.value.low % NESTING_LEVELS : 0;
  push(d, w, d.register(w, Gpr.RBP));
  const frame = stackPointer(d);
  for (let outer = 1; outer < level; outer++) {
    const distance = d.constant(sw, (outer * w) / 8);
    push(d, w, d.load(w, Segment.SS, d.sub(sw, d.register(sw, Gpr.RBP), distance)));
  }
  if (level > 0) push(d, w, d.truncate(w, frame));
  const top = d.sub(sw, stackPointer(d), d.read(size));
  d.loadForWrite(w, Segment.SS, top);
  // Of RBP only the operand size is written on Intel's processors, whatever the stack size.
  d.setRegister(w, Gpr.RBP, d.truncate(w, frame));
  d.setRegister(sw, Gpr.RSP, top);
};

const pushFlags: Meaning = (d) => push(d, d.instruction.width, d.call('pushFlags'));

const popFlags: Meaning = (d) => {
  d.call('popFlags', pop(d, d.instruction.width));
};

const stack = { operandSize: 'default64' } as const;
const stackSystem = { operandSize: 'default64', cost: 'system' } as const;

function segmentRows(name: string, number: number, pushOpcode: number) {
  return [
    ...instruction(
      'PUSH',
      'Push a segment register',
      stack,
      (d) => push(d, d.instruction.width, d.call('readSegment', d.constant(8, number))),
      [[name, `0F ${hex(pushOpcode)}`]],
    ),
    ...instruction(
      'POP',
      'Pop a segment register',
      stackSystem,
      (d) => {
        // Intel's processors read no more than the selector.
        const sw = d.stackWidth;
        const top = stackPointer(d);
        const selector = d.load(16, Segment.SS, top);
        d.setRegister(sw, Gpr.RSP, d.add(sw, top, d.constant(sw, d.instruction.width / 8)));
        d.call('loadSegment', d.constant(8, number), selector);
      },
      [[name, `0F ${hex(pushOpcode + 1)}`]],
    ),
  ];
}

export const stackRows = [
  ...instruction('PUSH', 'Push', stack, (d, src) => push(d, d.instruction.width, d.read(src)), [
    ['r16|64', '50+r'],
    ['imm8', 'o64 6A ib'],
    ['imm8', 'o16 6A ib'],
    ['imm16', 'o16 68 iw'],
    ['imm32', 'o64 68 id'],
    ['r/m16|64', 'FF /6'],
  ]),
  // The address of a memory operand that uses RSP is computed with its value after the pop.
  ...instruction('POP', 'Pop', stack, (d, dst) => d.write(dst, pop(d, d.instruction.width)), [
    ['r16|64', '58+r'],
    ['r/m16|64', '8F /0'],
  ]),
  ...segmentRows('FS', Segment.FS, 0xa0),
  ...segmentRows('GS', Segment.GS, 0xa8),
  ...instruction('LEAVE', 'Release a stack frame', stack, leave, [['', 'o64 C9']]),
  ...instruction('LEAVE', 'Release a stack frame', stack, leave, [['', 'o16 C9']]),
  ...instruction('ENTER', 'Make a stack frame', stack, enter, [
    ['uimm16, uimm8', 'o64 C8 iw ib'],
    ['uimm16, uimm8', 'o16 C8 iw ib'],
  ]),
  ...['PUSHFQ', 'PUSHF'].flatMap((name, alias) =>
    instruction(name, 'Push RFLAGS', stackSystem, pushFlags, [['', 'o64 9C', synonym(alias)]]),
  ),
  ...instruction('PUSHFW', 'Push FLAGS', stackSystem, pushFlags, [['', 'o16 9C']]),
  ...['POPFQ', 'POPF'].flatMap((name, alias) =>
    instruction(name, 'Pop RFLAGS', stackSystem, popFlags, [['', 'o64 9D', synonym(alias)]]),
  ),
  ...instruction('POPFW', 'Pop FLAGS', stackSystem, popFlags, [['', 'o16 9D']]),
];
