// No source may throw, hang or exhaust the stack: bounds, and noise from a seeded generator.

import { describe, expect, test } from 'vitest';
import {
  type Assembled,
  type AssembleOptions,
  assemble,
  formatDiagnostic,
} from '../../src/asm/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { readFixture, readSnippets } from './snippets.ts';

/** Whatever the source, this is much more than any needs. */
const ENOUGH_MS = 10_000;

function timed(text: string, options: AssembleOptions = {}): Assembled {
  const start = performance.now();
  const assembled = assemble({ name: 'noise.asm', text }, options);
  expect(performance.now() - start).toBeLessThan(ENOUGH_MS);
  return assembled;
}

function firstError(text: string, options: AssembleOptions = {}): string {
  const assembled = timed(`bits 64\n${text}`, options);
  return assembled.kind === 'errors' ? (assembled.errors[0]?.message ?? '') : 'ok';
}

describe('bounds', () => {
  test.each<[what: string, source: string, message: RegExp]>([
    ['open parentheses', `db ${'('.repeat(100_000)}`, /nested too deeply/],
    ['signs', `db ${'-'.repeat(100_000)}1`, /nested too deeply/],
    ['a long sum', `dq 0${' + 1'.repeat(100_000)}`, /^ok$/],
    ['open brackets', `mov rax, ${'['.repeat(100_000)}`, /unexpected/],
    ['open conditions', '%if 1\n'.repeat(50_000), /no %endif/],
    ['macro definitions in each other', '%macro m 0\n'.repeat(50_000), /%endmacro is missing/],
    ['alignments of alignments', `${'align 4, '.repeat(50_000)}nop`, /cannot fill another/],
    ['prefixes', `${'rep '.repeat(50_000)}movsb`, /conflicts/],
    ['labels', 'x: '.repeat(50_000), /unknown instruction/],
    [
      'a definition that doubles',
      doubling('%define m0 1', (i) => `%define m${i} m${i - 1} + m${i - 1}`),
      /too large/,
    ],
    [
      'a text that doubles by %xdefine',
      doubling('%define m 1', () => '%xdefine m m + m'),
      /too large/,
    ],
    ['a paste of pastes', `%define a x %+ a\n${'%define b a\n'}db b`, /too large|not defined/],
    ['macros that double', doublingMacros(), /more than 250000 lines/],
    [
      'repetitions of repetitions',
      '%rep 1000000\n%rep 1000000\nnop\n%endrep\n%endrep',
      /more than 250000 lines/,
    ],
    ['a repetition without lines', '%rep 1000000\n%endrep', /^ok$/],
    ['a repetition of a blank line', '%rep 1000000\n\n%endrep', /more than 250000 lines/],
    ['space', 'resb 0x7fffffffffffffff', /too many/],
    ['output', 'times 0x10000001 nop', /larger than 256 MiB/],
    [
      'output in two sections',
      'times 0xf000000 db 0\nsection .data\ntimes 0xf000000 db 0',
      /larger than 256 MiB/,
    ],
    [
      'a chain of constants',
      Array.from({ length: 20_000 }, (_, i) => `c${i} equ c${i + 1}`).join('\n'),
      /not defined/,
    ],
    ['errors', 'mvo rax, 1\n'.repeat(50_000), /unknown instruction/],
    [
      'undefined symbols',
      Array.from({ length: 20_000 }, (_, i) => `dq s${i}`).join('\n'),
      /not defined/,
    ],
    ['long names', `${'a'.repeat(1_000_000)}: jmp ${'a'.repeat(1_000_000)}`, /^ok$/],
    ['a long string', `db \`${'\\n\u00e9'.repeat(300_000)}\``, /^ok$/],
    ['a long number', `dq ${'9'.repeat(1_000_000)}`, /does not fit/],
    ['continuation lines', `db 1${' \\\n'.repeat(100_000)}`, /^ok$/],
    ['a huge alignment', 'nop\nalign 0x40000000', /larger than 256 MiB/],
    ['a circle of sizes', 'a: times b-a nop\nb:', /defined below/],
  ])('%s', (_, source, message) => {
    expect(firstError(source)).toMatch(message);
  });

  test('a file that includes itself', () => {
    const message = firstError('%include "a"', { readFile: () => '%include "a"\n' });
    expect(message).toMatch(/includes are nested more than 64 deep/);
  });

  test('macros that call each other are not recursive', () => {
    expect(firstError('%macro a 0\nb\n%endmacro\n%macro b 0\na\n%endmacro\na')).toMatch(/unknown/);
  });

  test('a reader that gives the wrong kind', () => {
    expect(firstError('%include "a"', { readFile: () => new Uint8Array(3) })).toMatch(
      /cannot read/,
    );
    expect(firstError('incbin "a"', { readFile: () => 'text' })).toBe('ok');
  });

  test('sizes that go round in circles settle all the same', () => {
    const source =
      'a: push b - a + 124\ntimes 2 nop\nalign 4\nb: jmp c\nalign 8\nc: push c - a + 117';
    expect(firstError(source)).toBe('ok');
  });
});

/** Definitions each of which is twice the one before; then the last is used. */
function doubling(first: string, next: (i: number) => string): string {
  const lines = [first];
  for (let i = 1; i <= 40; i++) lines.push(next(i));
  const last = next(40).includes('m40') ? 'm40' : 'm';
  return `${lines.join('\n')}\ndb ${last}`;
}

function doublingMacros(): string {
  const lines = ['%macro m0 0\nnop\n%endmacro'];
  for (let i = 1; i <= 40; i++) lines.push(`%macro m${i} 0\nm${i - 1}\nm${i - 1}\n%endmacro`);
  return `${lines.join('\n')}\nm40`;
}

const WORDS = [
  ...['mov', 'add', 'jmp', 'call', 'push', 'lea', 'rep', 'lock', 'nop', 'rax', 'ebx', 'cl', 'fs'],
  ...['db', 'dq', 'resb', 'times', 'equ', 'align', 'section', 'org', 'bits', 'default', 'incbin'],
  ...[
    'a',
    'b',
    '.l',
    '..@x',
    '$',
    '$$',
    '$a',
    'a:',
    'b:',
    '.l:',
    'byte',
    'qword',
    'strict',
    'short',
  ],
  ...[
    'rel',
    'abs',
    '[',
    ']',
    '(',
    ')',
    '{',
    '}',
    ',',
    ':',
    '+',
    '-',
    '*',
    '/',
    '%',
    '%%',
    '<<',
    '&&',
  ],
  ...[
    '0',
    '1',
    '64',
    '-1',
    '0x7fffffff',
    '1e5',
    '0b12',
    "'abc'",
    '"x',
    '`\\x41`',
    '?',
    '!',
    '~',
    ';',
  ],
  ...['%define', '%xdefine', '%assign', '%macro', '%endmacro', '%rep', '%endrep', '%if', '%else'],
  ...[
    '%elif',
    '%endif',
    '%ifdef',
    '%ifidn',
    '%include',
    '%1',
    '%0',
    '%{1}',
    '%%l',
    '%+',
    '%rotate',
  ],
  ...[
    '%exitrep',
    '%error',
    '%undef',
    '%strlen',
    '%substr',
    '\\',
    '\n',
    '\n',
    '\n',
    '\t',
    '\r\n',
    '#',
  ],
  ...['.text', '.bss', 'nobits', 'align=', '"inc.asm"', '\u00e9', '\u{1f600}', '\ud800', '\0', '@'],
] as const;

function check(text: string, seed: number): void {
  try {
    const assembled = timed(text, { readFile: readFixture });
    const said = assembled.kind === 'errors' ? assembled.errors : [];
    if (assembled.kind === 'errors') expect(said.length).toBeGreaterThan(0);
    else assembled.listing();
    for (const diagnostic of [...said, ...assembled.warnings]) {
      expect(diagnostic.line).toBeGreaterThan(0);
      expect(diagnostic.column).toBeGreaterThan(0);
      expect(diagnostic.message).not.toBe('');
      expect(formatDiagnostic(diagnostic)).toContain(`${diagnostic.line}:${diagnostic.column}`);
    }
  } catch (thrown) {
    throw new Error(`seed ${seed}: ${JSON.stringify(text)}`, { cause: thrown });
  }
}

describe('noise', () => {
  test('of words', () => {
    for (let seed = 0; seed < 3000; seed++) {
      const prng = new Prng(seed);
      const words = Array.from(
        { length: 1 + prng.below(60) },
        () => WORDS[prng.below(WORDS.length)],
      );
      check(words.join(prng.below(4) ? ' ' : ''), seed);
    }
  });

  test('of snippets with words put in, taken out and exchanged', () => {
    const snippets = readSnippets();
    for (let seed = 0; seed < 4000; seed++) {
      const prng = new Prng(seed);
      const pick = () => snippets[prng.below(snippets.length)]?.source ?? '';
      const pieces = (pick() + pick()).split(/(\b|(?<=\W))/);
      for (let change = 0; change < 4; change++) {
        const word = WORDS[prng.below(WORDS.length)] ?? '';
        pieces.splice(
          prng.below(pieces.length + 1),
          prng.below(3),
          ...(prng.below(2) ? [word] : []),
        );
      }
      check(pieces.join(''), seed);
    }
  });

  test('of characters', () => {
    for (let seed = 0; seed < 1000; seed++) {
      const prng = new Prng(seed);
      const text = Array.from({ length: prng.below(200) }, () =>
        String.fromCharCode(prng.below(128)),
      );
      check(text.join(''), seed);
    }
  });
});
