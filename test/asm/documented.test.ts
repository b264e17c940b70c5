// docs/assembler.md must not lie: its programs assemble, to NASM's bytes; what it calls refused is
// refused here and not by NASM; its messages are the ones that come; and what it says is not there
// is what the vocabulary says.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { assemble, formatDiagnostic } from '../../src/asm/index.ts';
import { missing } from '../support/outside-tools.ts';
import { runGnu } from './gnu-as.ts';
import { runNasm } from './nasm.ts';
import { hex } from './snippets.ts';

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/assembler.md'), 'utf8');
const noNasm = missing('nasm');

/** The contents of the fenced blocks of one kind, in order. */
function blocks(kind: string): string[] {
  return [...PAGE.matchAll(new RegExp(`^\`\`\`${kind}\\n([\\s\\S]*?)^\`\`\``, 'gm'))].map(
    (match) => match[1] as string,
  );
}

const PROGRAMS = blocks('nasm').map((source, i) => [i + 1, source] as const);

/** Each line with something around it that makes it a program; `%if` and its like have two. */
function lines(kind: string): (readonly [written: string, source: string])[] {
  const written = blocks(kind)
    .join('')
    .trimEnd()
    .replace(/\n(?=%end)|(?<=^bits \d+)\n/gm, '\\n');
  return written
    .split('\n')
    .map((line) => [line, `bits 64\n${line.replace('\\n', '\n')}\nx:\ny equ 4\n`]);
}

const GAS_PROGRAMS = blocks('gas').map((source, i) => [i + 1, source] as const);

const REFUSED = lines('nasm refused');
const LAXER = lines('nasm laxer');

function assembled(text: string) {
  return assemble({ name: 'example.asm', text });
}

test('there is something to look at', () => {
  expect(PROGRAMS.length).toBeGreaterThanOrEqual(4);
  expect(REFUSED.length).toBeGreaterThan(15);
  expect(LAXER.length).toBeGreaterThan(4);
});

test.each(PROGRAMS)('program %i assembles without a warning', (_, source) => {
  const result = assembled(source);
  const said = [...(result.kind === 'errors' ? result.errors : []), ...result.warnings];
  expect(said.map(formatDiagnostic)).toEqual([]);
});

test.each(REFUSED)('refused: %s', (_, source) => {
  expect(assembled(source).kind).toBe('errors');
});

test.each(LAXER)('laxer: %s', (_, source) => {
  expect(assembled(source).kind).toBe('ok');
});

test.each(GAS_PROGRAMS)('GAS program %i makes the bytes of GNU as', (_, source) => {
  const result = assemble({ name: 'example.s', text: source });
  const said = [...(result.kind === 'errors' ? result.errors : []), ...result.warnings];
  expect(said.map(formatDiagnostic)).toEqual([]);
  if (missing('as') !== null) return;
  const [theirs] = runGnu([[source]]);
  expect(theirs?.messages).toBe('');
  expect(result.kind === 'ok' ? hex(result.bytes) : '').toBe(hex(theirs?.bytes as Uint8Array));
});

describe('NASM', () => {
  beforeEach((context) => {
    if (noNasm !== null) context.skip(noNasm);
  });

  test('makes the same bytes of the programs, without a warning', () => {
    const results = runNasm(PROGRAMS.map(([, source]) => source));
    for (const [i, [, source]] of PROGRAMS.entries()) {
      const ours = assembled(source);
      expect(results[i]?.messages).toBe('');
      expect(ours.kind === 'ok' ? hex(ours.bytes) : '').toBe(hex(results[i]?.bytes as Uint8Array));
    }
  });

  test('accepts what is refused here, and only that', () => {
    const results = runNasm([...REFUSED, ...LAXER].map(([, source]) => source));
    const accepted = [...REFUSED, ...LAXER].filter((_, i) => results[i]?.bytes !== null);
    expect(accepted).toEqual(REFUSED);
  });
});

test('messages', () => {
  const result = assembled(blocks('nasm wrong')[0] as string);
  const errors = result.kind === 'errors' ? result.errors : [];
  expect(`${errors.map(formatDiagnostic).join('\n')}\n`).toBe(blocks('text')[0]);
});

describe('what is not there', () => {
  const section = PAGE.slice(PAGE.indexOf('## Not there'), PAGE.indexOf('## Several files'));
  const words = [...section.matchAll(/`([^`]+)`/g)].map((match) => match[1] as string);

  test.each(words.filter((word) => /^[a-z]+\d*$|^%[a-z]+$/.test(word)))('%s', (word) => {
    const result = assembled(`bits 64\n${word} 5\n`);
    const messages = result.kind === 'errors' ? result.errors.map(({ message }) => message) : [];
    expect(messages.join()).toMatch(/is not supported|unknown instruction|^unexpected/);
  });

  test('is everything that the vocabulary calls unsupported', () => {
    const source = readFileSync(join(import.meta.dirname, '../../src/asm/vocabulary.ts'), 'utf8');
    const [, list = ''] = /UNSUPPORTED\b.*?new Set\(\[(.*?)\n\]\);/s.exec(source) ?? [];
    const unsupported = [...list.matchAll(/'(\w+)'/g)].map((match) => match[1] as string);
    expect(unsupported.length).toBeGreaterThan(20);
    expect(unsupported.filter((word) => !words.includes(word) && word !== 'pragma')).toEqual([]);
  });
});
