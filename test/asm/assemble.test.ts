// What comes with the bytes: symbols, sections, origin, line map, files and defines.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { type Assembled, type AssembleOptions, assemble } from '../../src/asm/index.ts';
import { hex } from './snippets.ts';

type Ok = Assembled & { readonly kind: 'ok' };

function ok(text: string, options: AssembleOptions = {}): Ok {
  const assembled = assemble({ name: 'test.asm', text: `bits 64\n${text}` }, options);
  if (assembled.kind === 'errors') throw new Error(assembled.errors.map((e) => e.message).join());
  return assembled;
}

test('the example of the index', () => {
  const assembled = assemble({ name: 'spin.asm', text: 'bits 64\nspin: pause\njmp spin' });
  expect(assembled.kind === 'ok' ? hex(assembled.bytes) : '').toBe('f390ebfc');
});

test('nothing at all', () => {
  const { bytes, symbols, sections, lineMap, listing } = ok('');
  expect([bytes.length, symbols, sections, lineMap]).toEqual([0, [], [], []]);
  expect(listing()).toBe(`     1 ${' '.repeat(28)}     bits 64\n`);
});

describe('symbols', () => {
  const source = [
    'org 0x1000',
    'global start',
    'start: nop',
    '.loop: jmp .loop',
    'size equ $ - start',
    'end equ $',
    'section .data',
    'value: dq 5',
    'section .bss',
    'buffer: resb 16',
    '%macro m 0',
    '%%inner: nop',
    '%endmacro',
    'section .text',
    'm',
  ].join('\n');

  test('have values, sections and kinds', () => {
    const rows = ok(source).symbols.map(({ name, value, kind, section, global }) =>
      [name, `0x${value.toString(16)}`, kind, section, global ? 'global' : ''].join(' '),
    );
    expect(rows).toEqual([
      'start 0x1000 label .text global',
      'start.loop 0x1001 label .text ',
      'size 0x3 equ  ',
      'end 0x1003 equ .text ',
      'value 0x1004 label .data ',
      'buffer 0x100c label .bss ',
    ]);
  });

  test('sections say where memory is, beyond the bytes too', () => {
    const rows = ok(source).sections.map(
      ({ name, address, lengthBytes, kind }) =>
        `${name} 0x${address.toString(16)} ${lengthBytes} ${kind}`,
    );
    expect(rows).toEqual([
      '.text 0x1000 4 progbits',
      '.data 0x1004 8 progbits',
      '.bss 0x100c 16 nobits',
    ]);
  });
});

describe('the origin', () => {
  test('is 0 unless someone says otherwise', () => {
    expect(ok('dq $$').origin.toNumber()).toBe(0);
  });

  test('comes from the options if the source says nothing', () => {
    const assembled = ok('dq $$', { origin: Long.fromNumber(0x7c00) });
    expect(assembled.origin.toNumber()).toBe(0x7c00);
    expect(hex(assembled.bytes)).toBe('007c000000000000');
  });

  test('is what the source says, even in the higher half', () => {
    const assembled = ok('org 0xffffffff80000000\ndq $$\nmov rax, [$$]', { origin: Long.ONE });
    expect(assembled.origin.toUnsigned().toString(16)).toBe('ffffffff80000000');
    expect(hex(assembled.bytes)).toBe('00000080ffffffff488b042500000080');
  });
});

describe('the line map', () => {
  const rows = ({ lineMap }: Ok) =>
    lineMap.map(({ address, lengthBytes, file, line, macro }) => {
      const from = macro === null ? '' : ` by ${macro.file}:${macro.line}`;
      return `${address.toString(16)}+${lengthBytes} ${file}:${line}${from}`;
    });

  test('has an entry for each line with bytes, in order of address', () => {
    const source =
      'section .data\ndb 1\nsection .text\nnop\nx: nop\ntimes 3 nop\nequal equ 5\nsection .bss\nresb 8';
    expect(rows(ok(source))).toEqual([
      '0+1 test.asm:5',
      '1+1 test.asm:6',
      '2+3 test.asm:7',
      '8+1 test.asm:3',
    ]);
  });

  test('a macro is the line that calls it; its own line is kept', () => {
    const source = '%macro in 0\nnop\n%endmacro\n%macro out 0\nin\nhlt\n%endmacro\nout\ncli';
    expect(rows(ok(source))).toEqual([
      '0+1 test.asm:9 by test.asm:3',
      '1+1 test.asm:9 by test.asm:7',
      '2+1 test.asm:10',
    ]);
  });

  test('a repetition stays its own lines, an include its own file', () => {
    const readFile = () => '%macro m 0\nnop\n%endmacro\nsti\nm\n';
    const source = '%rep 2\nnop\n%endrep\n%include "a.inc"\nm';
    expect(rows(ok(source, { readFile }))).toEqual([
      '0+1 test.asm:3',
      '1+1 test.asm:3',
      '2+1 a.inc:4',
      '3+1 a.inc:5 by a.inc:2',
      '4+1 test.asm:6 by a.inc:2',
    ]);
  });
});

describe('files', () => {
  test('are asked for with the name of who asks', () => {
    const asked: string[] = [];
    const files: Record<string, string | Uint8Array> = {
      'lib/a.inc': '%include "b.inc"\nincbin "c.bin"\n',
      'b.inc': 'nop\n',
      'c.bin': Uint8Array.of(1, 2, 3),
    };
    const readFile: AssembleOptions['readFile'] = (path, kind, from) => {
      asked.push(`${from} wants ${kind} ${path}`);
      return files[path] ?? null;
    };
    expect(hex(ok('%include "lib/a.inc"', { readFile }).bytes)).toBe('90010203');
    expect(asked).toEqual([
      'test.asm wants text lib/a.inc',
      'lib/a.inc wants text b.inc',
      'lib/a.inc wants binary c.bin',
    ]);
  });

  test('with carriage returns and without a last line feed', () => {
    const assembled = assemble({
      name: 'dos.asm',
      text: 'bits 64\r\nmov eax, \\\r\n 5\r\nnop ; x\r\ndb "a"',
    });
    expect(assembled.kind === 'ok' ? hex(assembled.bytes) : '').toBe('b8050000009061');
  });
});

test('defines stand before the source', () => {
  const defines = { CPUS: '4', NAME: "'abc'", EMPTY: '' };
  expect(hex(ok('db CPUS * 2, NAME EMPTY\n%ifdef EMPTY\nnop\n%endif', { defines }).bytes)).toBe(
    '0861626390',
  );
  const wrong = assemble({ name: 'a', text: '' }, { defines: { '1x': '5' } });
  expect(wrong.kind === 'errors' ? wrong.errors[0]?.message : '').toBe("'1x' cannot be defined");
});

test('the same source twice gives the same result', () => {
  const source = 'a: jmp b\ntimes 130 nop\nb: jmp a\n%macro m 0\n%%x: jmp %%x\n%endmacro\nm\nm';
  expect(ok(source).bytes).toEqual(ok(source).bytes);
  expect(ok(source).listing()).toBe(ok(source).listing());
});
