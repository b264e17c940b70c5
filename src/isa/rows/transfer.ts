// SDM 2: moves, exchanges, conditional moves and sets.

import { type Domain, Flag, type Meaning } from '../domain.ts';
import type { Operand } from '../instruction.ts';
import { instruction } from '../notation.ts';
import { Gpr, Segment, type Width } from '../registers.ts';
import { CONDITIONS, hex, synonym } from './forms.ts';

const mov: Meaning = (d, dst, src) => d.write(dst, d.read(src));

/** The source as a number of the destination's width. */
const movsx: Meaning = (d, dst, src) =>
  d.write(dst, d.signExtend(widthOf(src), d.instruction.width, d.read(src)));

function widthOf(operand: Operand): Width {
  const hasWidth = operand.kind !== 'relative' && operand.kind !== 'pointer';
  if (!hasWidth || operand.width === 0 || operand.width === 128) {
    throw new TypeError('operand has no width');
  }
  return operand.width;
}

const xchg: Meaning = (d, first, second) => {
  const x = d.modify(first);
  const y = d.modify(second);
  // A memory operand is written first, for it may fault.
  const memoryLast = second.kind === 'memory';
  if (memoryLast) d.write(second, x);
  d.write(first, y);
  if (!memoryLast) d.write(second, x);
};

export function reverseBytes<V, B>(d: Domain<V, B>, w: Width, x: V): V {
  let result = d.constant(w, 0);
  for (let at = 0; at < w; at += 8) {
    const byte = d.truncate(8, d.shiftRight(x, d.constant(8, at)));
    result = d.or(result, d.shiftLeft(w, byte, d.constant(8, w - 8 - at)));
  }
  return result;
}

/** BSWAP of a 16-bit register is undefined; Intel's processors give 0. */
const bswap: Meaning = (d, dst) => {
  const w = d.instruction.width;
  d.write(dst, w === 16 ? d.constant(w, 0) : reverseBytes(d, w, d.read(dst)));
};

const xlat: Meaning = (d) => {
  const w = d.instruction.addressWidth;
  const segment = d.instruction.segmentOverride < 0 ? Segment.DS : d.instruction.segmentOverride;
  const offset = d.add(w, d.register(w, Gpr.RBX), d.register(8, Gpr.RAX));
  d.setRegister(8, Gpr.RAX, d.load(8, segment, offset));
};

const lea: Meaning = (d, dst, src) => d.write(dst, d.truncate(d.instruction.width, d.address(src)));

const native = { cost: 'system', operandSize: 'native' } as const;

export const transfer = [
  ...instruction('MOV', 'Move', {}, mov, [
    ['r/m8, r8', '88 /r'],
    ['r/m16|32|64, r16|32|64', '89 /r'],
    ['r8, r/m8', '8A /r'],
    ['r16|32|64, r/m16|32|64', '8B /r'],
    ['r8, imm8', 'B0+r ib'],
    ['r16|32, imm16|32', 'B8+r iw|id'],
    ['r64, uimm32', 'B8+r id', { encodeOnly: true }],
    ['r/m8, imm8', 'C6 /0 ib'],
    ['r/m16|32|64, imm16|32|32', 'C7 /0 iw|id|id'],
    ['r64, imm64', 'o64 B8+r io'],
    ['AL, moffs8', 'A0 mo'],
    ['AX|EAX|RAX, moffs16|32|64', 'A1 mo'],
    ['moffs8, AL', 'A2 mo'],
    ['moffs16|32|64, AX|EAX|RAX', 'A3 mo'],
  ]),
  ...instruction(
    'MOV',
    'Move from a segment register',
    {},
    (d, dst, src) => {
      const number = src.kind === 'register' ? src.number : 0;
      d.write(dst, d.call('readSegment', d.constant(8, number)));
    },
    [
      ['m16, Sreg', '8C /r'],
      // Zero-extended with or without REX.W.
      ['r64, Sreg', '8C /r', { encodeOnly: true }],
      ['r16|32|64, Sreg', '8C /r'],
    ],
  ),
  ...instruction(
    'MOV',
    'Move to a segment register',
    { cost: 'system' },
    (d, dst, src) => {
      const number = dst.kind === 'register' ? dst.number : 0;
      d.call('loadSegment', d.constant(8, number), d.truncate(16, d.read(src)));
    },
    [
      ['Sreg-CS, r/m16', '8E /r'],
      ['Sreg-CS, r32', '8E /r', { encodeOnly: true }],
      ['Sreg-CS, r64', '8E /r', { encodeOnly: true }],
    ],
  ),
  ...instruction(
    'MOV',
    'Move to or from a control register',
    { ...native, privilege: 'supervisor', intercept: 'CR_ACCESS' },
    (d, dst, src) => {
      if (dst.kind === 'register' && dst.class === 'control') {
        d.call('writeControl', d.constant(8, dst.number), d.read(src));
      } else if (src.kind === 'register') {
        d.write(dst, d.call('readControl', d.constant(8, src.number)));
      }
    },
    [
      ['r32|64, CRn', '0F 20 /r'],
      ['CRn, r32|64', '0F 22 /r'],
    ],
  ),
  ...instruction(
    'MOV',
    'Move to or from a debug register',
    { ...native, privilege: 'supervisor', intercept: 'DR_ACCESS' },
    (d, dst, src) => {
      if (dst.kind === 'register' && dst.class === 'debug') {
        d.call('writeDebug', d.constant(8, dst.number), d.read(src));
      } else if (src.kind === 'register') {
        d.write(dst, d.call('readDebug', d.constant(8, src.number)));
      }
    },
    [
      ['r32|64, DRn', '0F 21 /r'],
      ['DRn, r32|64', '0F 23 /r'],
    ],
  ),
  ...instruction('MOVZX', 'Move with zero-extension', {}, mov, [
    ['r16|32|64, r/m8', '0F B6 /r'],
    ['r16|32|64, r/m16', '0F B7 /r'],
  ]),
  ...instruction('MOVSX', 'Move with sign-extension', {}, movsx, [
    ['r16|32|64, r/m8', '0F BE /r'],
    ['r16|32|64, r/m16', '0F BF /r'],
  ]),
  ...instruction('MOVSXD', 'Move with sign-extension', { only64: true }, movsx, [
    ['r64, r/m32', 'o64 63 /r'],
    ['r32, r/m32', 'o32 63 /r'],
    ['r16, r/m16', 'o16 63 /r'],
  ]),
  ...instruction('LEA', 'Load effective address', {}, lea, [['r16|32|64, m', '8D /r']]),
  ...instruction('XCHG', 'Exchange', { lock: true, alwaysLocked: true }, xchg, [
    ['AX|RAX, r16|64', '90+r'],
    ['r16|64, AX|RAX', '90+r', { encodeOnly: true }],
    ['EAX, r32-EAX', 'o32 90+r'],
    ['EAX, r32', 'o32 90+r', { encodeOnly: true, not64: true }],
    ['r32-EAX, EAX', 'o32 90+r', { encodeOnly: true }],
    // NASM encodes the first of two registers as ModRM.reg; disassemblers name it second.
    ['r8, r/m8', '86 /r', { encodeOnly: true }],
    ['r16|32|64, r/m16|32|64', '87 /r', { encodeOnly: true }],
    ['r/m8, r8', '86 /r'],
    ['r/m16|32|64, r16|32|64', '87 /r'],
  ]),
  ...instruction('MOVNTI', 'Move with a non-temporal hint', { operandSize: 'dword' }, mov, [
    ['m32|64, r32|64', 'NP 0F C3 /r'],
  ]),
  ...instruction('BSWAP', 'Byte swap', {}, bswap, [['r16|32|64', '0F C8+r']]),
  ...instruction('XLATB', 'Table look-up translation', {}, xlat, [['', 'D7']]),
  ...instruction(
    'SALC',
    'Set AL from CF',
    { not64: true },
    (d) => d.setRegister(8, Gpr.RAX, d.sub(8, d.constant(8, 0), d.fromCondition(d.flag(Flag.CF)))),
    [['', 'D6']],
  ),
  ...CONDITIONS.flatMap((names, code) =>
    names.flatMap((name, alias) => [
      ...instruction(
        `CMOV${name}`,
        'Conditional move',
        {},
        (d, dst, src) => {
          // The source is read in any case; a 32-bit destination is zero-extended in any case.
          const value = d.read(src);
          d.write(dst, d.select(d.condition(code), value, d.read(dst)));
        },
        [['r16|32|64, r/m16|32|64', `0F ${hex(0x40 + code)} /r`, synonym(alias)]],
      ),
      ...instruction(
        `SET${name}`,
        'Set byte on condition',
        {},
        (d, dst) => d.write(dst, d.fromCondition(d.condition(code))),
        [['r/m8', `0F ${hex(0x90 + code)} /r`, synonym(alias)]],
      ),
    ]),
  ),
];
