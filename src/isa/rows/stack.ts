// SDM 2: the stack instructions, and push and pop as other meanings use them.

import type { Domain, Meaning } from '../domain.ts';
import { type FormAttributes, instruction } from '../notation.ts';
import { Gpr, Segment, type Width } from '../registers.ts';
import type { Attributes } from '../row.ts';
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

/** With a 32-bit operand size Intel's processors leave the upper half of the slot as it is. */
function pushSelector<V, B>(d: Domain<V, B>, selector: V): void {
  const { width } = d.instruction;
  if (width !== 32) {
    push(d, width, selector);
    return;
  }
  const top = d.sub(d.stackWidth, stackPointer(d), d.constant(d.stackWidth, 4));
  d.store(16, Segment.SS, top, selector);
  d.setRegister(d.stackWidth, Gpr.RSP, top);
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
  // Of the stack pointer as much as the operand size, also if the stack's is smaller.
  const frame = d.register(w, Gpr.RSP);
  for (let outer = 1; outer < level; outer++) {
    const distance = d.constant(sw, (outer * w) / 8);
    push(d, w, d.load(w, Segment.SS, d.sub(sw, d.register(sw, Gpr.RBP), distance)));
  }
  if (level > 0) push(d, w, frame);
  const top = d.sub(sw, stackPointer(d), d.read(size));
  d.loadForWrite(w, Segment.SS, top);
  // Of RBP only the operand size is written on Intel's processors, whatever the stack size.
  d.setRegister(w, Gpr.RBP, frame);
  d.setRegister(sw, Gpr.RSP, top);
};

const pushFlags: Meaning = (d) => push(d, d.instruction.width, d.call('pushFlags'));

const popFlags: Meaning = (d) => {
  d.call('popFlags', pop(d, d.instruction.width));
};

const stack = { operandSize: 'default64' } as const;
const stackSystem = { operandSize: 'default64', cost: 'system' } as const;

/** PUSHA and POPA: the general registers by number. POPA leaves the stack pointer out. */
const pushAll: Meaning = (d) => {
  const w = d.instruction.width;
  const values = ALL_GPRS.map((number) => d.register(w, number));
  for (const value of values) push(d, w, value);
};

const popAll: Meaning = (d) => {
  const w = d.instruction.width;
  const values = ALL_GPRS.toReversed().map((number) => ({ number, value: pop(d, w) }));
  for (const { number, value } of values) {
    if (number !== Gpr.RSP) d.setRegister(w, number, value);
  }
};

const ALL_GPRS = [0, 1, 2, 3, 4, 5, 6, 7];

/** In full: `0F A0`. POP is the next opcode; CS has none. */
function segmentRows(name: string, number: number, opcode: string, special: FormAttributes = {}) {
  return [
    ...instruction(
      'PUSH',
      'Push a segment register',
      stack,
      (d) => pushSelector(d, d.call('readSegment', d.constant(8, number))),
      [[name, opcode, special]],
    ),
    ...(number === Segment.CS ? [] : popSegmentRows(name, number, nextOpcode(opcode), special)),
  ];
}

function popSegmentRows(name: string, number: number, opcode: string, special: FormAttributes) {
  return instruction(
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
    [[name, opcode, special]],
  );
}

function nextOpcode(opcode: string): string {
  return opcode.slice(0, -2) + hex(Number.parseInt(opcode.slice(-2), 16) + 1);
}

/** Outside 64-bit mode: the name with D, and the name alone for the operand size of the code. */
function openRows(
  stem: string,
  summary: string,
  opcode: string,
  attributes: Attributes,
  meaning: Meaning,
) {
  return [
    ...instruction(`${stem}D`, summary, attributes, meaning, [
      ['', `o32 ${opcode}`, { not64: true }],
    ]),
    ...instruction(stem, summary, { ...attributes, not64: true }, meaning, [
      ['', `o32 ${opcode}`, { encodeOnly: true }],
      ['', `o16 ${opcode}`, { encodeOnly: true }],
    ]),
  ];
}

function allRows(stem: string, summary: string, opcode: string, meaning: Meaning) {
  const attributes = { not64: true } as const;
  return [
    ...instruction(`${stem}W`, summary, attributes, meaning, [['', `o16 ${opcode}`]]),
    ...openRows(stem, summary, opcode, {}, meaning),
  ];
}

export const stackRows = [
  ...instruction('PUSH', 'Push', stack, (d, src) => push(d, d.instruction.width, d.read(src)), [
    ['r16|32|64', '50+r'],
    ['imm8', 'o64 6A ib'],
    ['imm8', 'o32 6A ib'],
    ['imm8', 'o16 6A ib'],
    ['imm16', 'o16 68 iw'],
    ['imm32', 'o64 68 id'],
    ['imm32', 'o32 68 id'],
    ['r/m16|32|64', 'FF /6'],
  ]),
  // The address of a memory operand that uses RSP is computed with its value after the pop.
  ...instruction('POP', 'Pop', stack, (d, dst) => d.write(dst, pop(d, d.instruction.width)), [
    ['r16|32|64', '58+r'],
    ['r/m16|32|64', '8F /0'],
  ]),
  ...segmentRows('ES', Segment.ES, '06', { not64: true }),
  ...segmentRows('CS', Segment.CS, '0E', { not64: true }),
  ...segmentRows('SS', Segment.SS, '16', { not64: true }),
  ...segmentRows('DS', Segment.DS, '1E', { not64: true }),
  ...segmentRows('FS', Segment.FS, '0F A0'),
  ...segmentRows('GS', Segment.GS, '0F A8'),
  ...allRows('PUSHA', 'Push all general registers', '60', pushAll),
  ...allRows('POPA', 'Pop all general registers', '61', popAll),
  ...instruction('LEAVE', 'Release a stack frame', stack, leave, [['', 'o64 C9']]),
  ...instruction('LEAVE', 'Release a stack frame', stack, leave, [['', 'o32 C9']]),
  ...instruction('LEAVE', 'Release a stack frame', stack, leave, [['', 'o16 C9']]),
  ...instruction('ENTER', 'Make a stack frame', stack, enter, [
    ['uimm16, uimm8', 'o64 C8 iw ib'],
    ['uimm16, uimm8', 'o32 C8 iw ib'],
    ['uimm16, uimm8', 'o16 C8 iw ib'],
  ]),
  ...['PUSHFQ', 'PUSHF'].flatMap((name, alias) =>
    instruction(name, 'Push RFLAGS', stackSystem, pushFlags, [['', 'o64 9C', synonym(alias)]]),
  ),
  ...openRows('PUSHF', 'Push EFLAGS', '9C', stackSystem, pushFlags),
  ...instruction('PUSHFW', 'Push FLAGS', stackSystem, pushFlags, [['', 'o16 9C']]),
  ...['POPFQ', 'POPF'].flatMap((name, alias) =>
    instruction(name, 'Pop RFLAGS', stackSystem, popFlags, [['', 'o64 9D', synonym(alias)]]),
  ),
  ...openRows('POPF', 'Pop EFLAGS', '9D', stackSystem, popFlags),
  ...instruction('POPFW', 'Pop FLAGS', stackSystem, popFlags, [['', 'o16 9D']]),
];
