// The listing, against text written down and, if NASM is there, against `nasm -l`.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import { missing } from '../support/outside-tools.ts';
import { runNasm } from './nasm.ts';
import { readFixture, SNIPPETS_FOLDER } from './snippets.ts';

const noNasm = missing('nasm');

function listingOf(text: string): string {
  const assembled = assemble({ name: 'in0.asm', text }, { readFile: readFixture });
  if (assembled.kind === 'errors') throw new Error(assembled.errors.map((e) => e.message).join());
  return assembled.listing();
}

test('bytes that go on, fields, reservations, repetitions and macros', () => {
  const source = [
    'bits 64',
    '%macro twice 1',
    '  %1       ; comment',
    '%endmacro',
    'start: twice nop',
    "db 'ten bytes!'",
    'times 3 dw 5',
    'mov rax, start',
    'jmp data',
    'section .data',
    'data: dd data',
    'section .bss',
    'resb 3',
    'resb 100',
  ];
  expect(listingOf(source.join('\n')).split('\n')).toEqual([
    '     1                                  bits 64',
    '     2                                  %macro twice 1',
    '     3                                    %1       ; comment',
    '     4                                  %endmacro',
    '     5                                  start: twice nop',
    '     5                              <1> start: ',
    '     3 00000000 90                  <1>  %1',
    "     6 00000001 74656E206279746573-     db 'ten bytes!'",
    '     6 0000000A 21                 ',
    '     7 0000000B 0500<rep 3h>            times 3 dw 5',
    '     8 00000011 48B8-                   mov rax, start',
    '     8 00000013 [0000000000000000] ',
    '     9 0000001B E9(00000000)            jmp data',
    '    10                                  section .data',
    '    11 00000000 [00000000]              data: dd data',
    '    12                                  section .bss',
    '    13 00000000 ??????                  resb 3',
    '    14 00000003 <res 64h>               resb 100',
    '',
  ]);
});

const sources = readdirSync(SNIPPETS_FOLDER)
  .filter((name) => name.startsWith('listing-'))
  .map((name) => [name, readFileSync(join(SNIPPETS_FOLDER, name), 'utf8')] as const);

describe('against NASM', () => {
  beforeEach((context) => {
    if (noNasm !== null) context.skip(noNasm);
  });

  test.each(sources)('%s', (_, text) => {
    const [result] = runNasm([text]);
    expect(result?.messages.replace(/.*warning.*\n/g, '')).toBe('');
    // Warnings stand in NASM's listing only.
    const theirs = (result?.listing ?? '').replace(/^ *\d+ +\*{6,}.*\n/gm, '');
    expect(listingOf(text)).toBe(theirs);
  });
});
