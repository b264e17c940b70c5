// Commands that say values: print, output, printf; and what they keep.

import type Long from 'long';
import { DebugError } from '../debug-error.ts';
import { readMapped } from '../remote-memory.ts';
import { type Command, type Context, command } from './command.ts';
import { addressOf, partsOf } from './parse.ts';
import { hex, valueLine } from './print.ts';
import { valueNames } from './words.ts';

/** The value, with the number under which it is kept; the last one again if none is given. */
function print({ session, vcpu }: Context, text: string, format: string): string[] {
  const { variables } = session;
  if (text === '' && variables.printed.length === 0) throw new DebugError('an expression expected');
  const expression = text === '' ? '$' : text;
  const line = valueLine(session, vcpu, expression, format);
  return [`$${variables.add(session.evaluate(vcpu, expression))} = ${line}`];
}

function output({ session, vcpu }: Context, text: string, format: string): string[] {
  if (text === '') throw new DebugError('an expression expected');
  return [valueLine(session, vcpu, text, format)];
}

function show({ session: { variables } }: Context, text: string): string[] {
  if (text === 'values') return variables.printed.map((value, i) => `$${i + 1} = ${hex(value)}`);
  if (text === 'version') return ["'vmxlab --version' says it."];
  if (text !== 'convenience') throw new DebugError("'show values' or 'show convenience'");
  return [...variables.named].map(([name, value]) => `$${name} = ${hex(value)}`);
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', a: '', r: '' };

/** A text as a program's: `\n`, `\t`, `\"`, `\\`, as lines. */
export function linesOfText(text: string): string[] {
  const plain = text.replace(/\\(.?)/gs, (_, letter: string) => ESCAPES[letter] ?? letter);
  return plain.replace(/\n$/, '').split('\n');
}

/** Flags, width, length and conversion of C's printf. */
const CONVERSION = /%([-+ #0]*)(\d*)(hh|h|ll|l|z|j)?([a-zA-Z%])?/g;

const CONVERSIONS = 'diuxXocsp';

const BITS: Readonly<Record<string, number>> = { hh: 8, h: 16, l: 64, ll: 64, z: 64, j: 64 };

const MOST_WIDTH = 200;

/** `"format", EXPR, ...` as gdb's: without `l` a value has 32 bits. */
function printf(context: Context, text: string): string[] {
  const [, format, rest] = /^"((?:[^"\\]|\\.)*)"\s*(?:,(.*))?$/s.exec(text) ?? [];
  if (format === undefined) throw new DebugError('"FORMAT" expected, and values behind commas');
  const values = rest === undefined ? [] : partsOf(rest);
  let used = 0;
  const said = format.replace(CONVERSION, (all, flags, width, size = '', letter = '') => {
    if (all === '%%') return '%%';
    if (letter === '' || !CONVERSIONS.includes(letter))
      throw new DebugError(`'${all}' is no conversion`);
    const value = values[used++];
    if (value === undefined) throw new DebugError(`no value for '${all}'`);
    const address = addressOf(context.session, context.vcpu, value);
    // What is said may contain a backslash or %.
    const shown = converted(context, address, letter, BITS[size] ?? 32, flags);
    return padded(shown, flags, Number(width)).replace(/[\\%]/g, (one) => one.repeat(2));
  });
  if (used < values.length) throw new DebugError(`${used} values expected, not ${values.length}`);
  return linesOfText(said.replaceAll('%%', '%'));
}

function converted(
  { session, vcpu }: Context,
  value: Long,
  letter: string,
  bits: number,
  flags: string,
): string {
  const all = BigInt(value.toUnsigned().toString());
  const unsigned = BigInt.asUintN(bits, all);
  const prefix = flags.includes('#') && unsigned !== 0n;
  switch (letter) {
    case 'd':
    case 'i': {
      const signed = BigInt.asIntN(bits, all);
      const sign = flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
      return `${signed < 0n ? '' : sign}${signed}`;
    }
    case 'u':
      return String(unsigned);
    case 'o':
      return `${prefix ? '0' : ''}${unsigned.toString(8)}`;
    case 'x':
      return `${prefix ? '0x' : ''}${unsigned.toString(16)}`;
    case 'X':
      return `${prefix ? '0X' : ''}${unsigned.toString(16).toUpperCase()}`;
    case 'p':
      return hex(all);
    case 'c':
      return String.fromCharCode(Number(all & 0xffn));
    default: {
      const bytes = readMapped(session, vcpu, value, MOST_WIDTH);
      if (bytes.length === 0) throw new DebugError(`no memory at ${hex(value)}`);
      const zero = bytes.indexOf(0);
      return String.fromCharCode(...(zero < 0 ? bytes : bytes.subarray(0, zero)));
    }
  }
}

function padded(text: string, flags: string, width: number): string {
  if (width > MOST_WIDTH) throw new DebugError(`a width of at most ${MOST_WIDTH} expected`);
  if (flags.includes('-')) return text.padEnd(width);
  if (!flags.includes('0')) return text.padStart(width);
  const [, head = '', digits = ''] = /^([-+ ]?(?:0[xX])?)(.*)$/s.exec(text) ?? [];
  return `${head}${digits.padStart(width - head.length, '0')}`;
}

export const OUTPUT: readonly Command[] = [
  command(
    'print p inspect call',
    '[/FORMAT] [EXPR]',
    'the value of an expression, kept as $1, $2, ...; $ is the last, $$ the one before',
    print,
    { words: valueNames },
  ),
  command('output', '[/FORMAT] EXPR', 'the value alone, which is not kept', output, {
    words: valueNames,
  }),
  command('printf', '"FORMAT"[, EXPR...]', "values in C's printf format: d u x o c s p", printf, {
    words: valueNames,
  }),
  command('show', 'values|convenience', 'the values that are kept, and the variables', show, {
    words: () => ['values', 'convenience'],
  }),
];
