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

const pushFlags: Meaning = (d) => push(d, d.instruction.width, d.call('pushFlags'));

const popFlags: Meaning = (d) => {
  d.call('popFlags', pop(d, d.instruction.width));
};

const stack = { default64: true } as const;
const stackSystem = { default64: true, cost: 'system' } as const;

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
        const selector = d.truncate(16, pop(d, d.instruction.width));
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
  ...['PUSHFQ', 'PUSHF'].flatMap((name, alias) =>
    instruction(name, 'Push RFLAGS', stackSystem, pushFlags, [['', 'o64 9C', synonym(alias)]]),
  ),
  ...instruction('PUSHFW', 'Push FLAGS', stackSystem, pushFlags, [['', 'o16 9C']]),
  ...['POPFQ', 'POPF'].flatMap((name, alias) =>
    instruction(name, 'Pop RFLAGS', stackSystem, popFlags, [['', 'o64 9D', synonym(alias)]]),
  ),
  ...instruction('POPFW', 'Pop FLAGS', stackSystem, popFlags, [['', 'o16 9D']]),
];
