// What single instructions read and write, as one would tell it from the manual.

import { describe, expect, test } from 'vitest';
import {
  type AddressExpression,
  decode,
  type Effects,
  effectsOf,
  Flag,
  GPR_NAMES,
  type RegisterBytes,
  SEGMENT_NAMES,
} from '../../src/isa/index.ts';

const STATUS = 'CF PF AF ZF SF OF';

/** Bytes, what they are, and their effects; absent parts are empty. */
const CASES: readonly (readonly [bytes: string, text: string, effects: string])[] = [
  ['48 01 d8', 'add rax, rbx', `reads rax rbx | writes rax | sets ${STATUS}`],
  ['00 e3', 'add bl, ah', `reads rax:02 rbx:01 | writes rbx:01 | sets ${STATUS}`],
  ['66 01 d8', 'add ax, bx', `reads rax:03 rbx:03 | writes rax:03 | sets ${STATUS}`],
  ['01 d8', 'add eax, ebx', `reads rax:0f rbx:0f | writes rax | sets ${STATUS}`],
  ['31 c0', 'xor eax, eax', `writes rax | sets ${STATUS}`],
  ['19 c0', 'sbb eax, eax', `tests CF | writes rax | sets ${STATUS}`],
  ['ff c0', 'inc eax', 'reads rax:0f | writes rax | sets PF AF ZF SF OF'],
  ['d3 e0', 'shl eax, cl', `reads rax:0f rcx:01 | writes rax | may set ${STATUS}`],
  ['c1 e0 04', 'shl eax, 4', `reads rax:0f | writes rax | sets ${STATUS}`],
  ['c1 e0 20', 'shl eax, 32', 'reads rax:0f | writes rax'],
  ['c0 d0 09', 'rcl al, 9', 'reads rax:01 | writes rax:01'],
  ['d3 d0', 'rcl eax, cl', 'tests CF | reads rax:0f rcx:01 | writes rax | may set CF OF'],
  ['0f bc c1', 'bsf eax, ecx', `reads rcx:0f | may write rax | sets ${STATUS}`],
  ['f7 f1', 'div ecx', 'reads rax:0f rcx:0f rdx:0f | writes rax rdx | raises DE'],
  [
    'f0 0f b1 0f',
    'lock cmpxchg [rdi], ecx',
    `reads rax:0f rcx:0f rdi | may write rax | sets ${STATUS} | modify 32 ds:[rdi]`,
  ],
  ['8b 44 8b f8', 'mov eax, [rbx+rcx*4-8]', 'reads rcx rbx | writes rax | read 32 ds:[4rcx+rbx-8]'],
  ['67 8b 03', 'mov eax, [ebx]', 'reads rbx:0f | writes rax | read 32 ds:[rbx]a32'],
  ['64 8b 04 25 10 00 00 00', 'mov eax, [fs:16]', 'writes rax | read 32 fs:[+16]'],
  ['8b 05 04 00 00 00', 'mov eax, [rip+4]', 'writes rax | read 32 ds:[rip+4]'],
  ['8d 44 00 01', 'lea eax, [rax+rax+1]', 'reads rax:0f | writes rax'],
  ['50', 'push rax', 'reads rax rsp | writes rsp | write 64 ss:[rsp-8]'],
  [
    '8f 44 24 08',
    'pop qword [rsp+8]',
    'reads rsp | writes rsp | read 64 ss:[rsp] | write 64 ss:[rsp+16]',
  ],
  ['c9', 'leave', 'reads rbp | writes rsp rbp | read 64 ss:[rbp]'],
  ['e8 00 00 00 00', 'call', 'reads rsp | writes rsp | write 64 ss:[rsp-8] | jumps always'],
  ['75 fe', 'jne', 'tests ZF | jumps sometimes'],
  ['e2 fe', 'loop', 'reads rcx | writes rcx | jumps sometimes'],
  ['a4', 'movsb', 'tests DF | reads rsi rdi | writes rsi rdi | read 8 ds:[rsi] | write 8 es:[rdi]'],
  [
    'f3 a6',
    'repe cmpsb',
    `tests DF | reads rcx rsi rdi | may write rcx rsi rdi | may set ${STATUS}` +
      ' | maybe read 8 es:[rdi] | maybe read 8 ds:[rsi] | repeats',
  ],
  ['0f ab 03', 'bts [rbx], eax', 'reads rax:0f rbx | sets CF | modify 32 ds:unknown'],
  ['d7', 'xlatb', 'reads rax:01 rbx | writes rax:01 | read 8 ds:unknown'],
  ['f3 90', 'pause', ''],
  ['0f a2', 'cpuid', 'reads rax:0f rcx:0f | writes rax rcx rdx rbx | calls cpuid'],
  ['0f 31', 'rdtsc', 'writes rax rdx | calls readTsc'],
  ['0f 0b', 'ud2', 'raises UD'],
];

describe('effectsOf', () => {
  test.each(CASES)('%s %s', (bytes, _text, expected) => {
    const code = Uint8Array.from(bytes.split(' '), (byte) => Number.parseInt(byte, 16));
    const decoded = decode(code, 0, code.length, 64);
    if (decoded.kind !== 'instruction') throw new Error(decoded.kind);
    expect(textOf(effectsOf(decoded.instruction))).toBe(expected);
  });
});

function textOf(effects: Effects): string {
  const parts = [
    ['tests', flagNames(effects.flagsRead)],
    ['reads', registerNames(effects.registersRead)],
    ['writes', registerNames(effects.registersWritten)],
    ['may write', registerNames(effects.registersMaybeWritten)],
    ['sets', flagNames(effects.flagsWritten)],
    ['may set', flagNames(effects.flagsMaybeWritten)],
    ...effects.memory.map(({ kind, width, segment, address, certain }) => [
      `${certain ? '' : 'maybe '}${kind} ${width}`,
      `${SEGMENT_NAMES[segment]}:${addressText(address)}`,
    ]),
    ['jumps', effects.jumps === 'never' ? '' : effects.jumps],
    ['raises', effects.raises.join(' ')],
    ['calls', effects.calls.join(' ')],
  ].filter(([, list]) => list !== '');
  const text = parts.map((part) => part.join(' ')).join(' | ');
  return effects.repeats ? `${text} | repeats` : text;
}

function registerNames(list: readonly RegisterBytes[]): string {
  return list
    .map(({ number, bytes }) => {
      const part = bytes === 0xff ? '' : `:${bytes.toString(16).padStart(2, '0')}`;
      return `${GPR_NAMES[number]}${part}`;
    })
    .join(' ');
}

function flagNames(mask: number): string {
  return Object.entries(Flag)
    .filter(([, bit]) => (mask >> bit) & 1)
    .map(([name]) => name)
    .join(' ');
}

function addressText(address: AddressExpression | 'unknown'): string {
  if (address === 'unknown') return address;
  const { terms, displacement, ripRelative, width } = address;
  const registers = terms.map(({ register, factor }) => {
    return `${factor === 1 ? '' : factor}${GPR_NAMES[register]}`;
  });
  const sum = [...(ripRelative ? ['rip'] : []), ...registers].join('+');
  const sign = displacement.isNegative() ? '' : '+';
  const constant = displacement.isZero() ? '' : `${sign}${displacement}`;
  return `[${sum}${constant}]${width === 64 ? '' : `a${width}`}`;
}
