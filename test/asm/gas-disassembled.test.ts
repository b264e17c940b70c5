// GAS syntax against objdump: encodings of every row of the instruction table, printed by objdump
// in AT&T and in Intel syntax, must assemble to the bytes that GNU as makes of the same text. That
// is not always the encoding that was printed: some have a shorter equal.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import { CODE_SIZES, type CodeSize, rowsIn } from '../../src/isa/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { disassembleWithObjdump, missing, SLOT_BYTES, slotOf } from '../support/outside-tools.ts';
import { ANYWHERE, randomEncoding } from '../support/row-encodings.ts';
import { hex } from './snippets.ts';

const noObjdump = missing('objdump');
const noAs = missing('as');

const PER_ROW = 16;

/** Encodings of every row that GAS can express: the target of a branch would be a bare number. */
function encodings(codeSize: CodeSize): Uint8Array[] {
  const prng = new Prng(20);
  return rowsIn(codeSize).flatMap((row) => {
    if (row.encodeOnly || row.operands.some(({ place }) => place === 'relative')) return [];
    const count = row.pattern.modrm === 'none' ? 4 : PER_ROW;
    return Array.from({ length: count }, () => randomEncoding(row, prng, ANYWHERE, codeSize));
  });
}

/** Why we refuse what objdump prints; everything else has to work. */
const REFUSED: readonly (readonly [text: RegExp, reason: string])[] = [
  [/%?\b[er]iz\b/, 'a register that stands for none, to ask for a SIB byte'],
  [/0x\w+:0xffff[89a-f]/, 'an offset of 16 bits that objdump extends'],
  [/\beip\b/, 'an address relative to EIP'],
  [/^addr32.*mov .*0x12345678/, 'encodings with A0 to A3, whose address has 32 bits'],
  [/\(bad\)|^\.byte/, 'no instruction to objdump'],
];

/** Assemble each text in a slot of its own with GNU as; null where it has errors. */
function assembledByGnu(
  head: string,
  texts: readonly string[],
  codeSize: CodeSize,
): (string | null)[] {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-gas-'));
  try {
    const results = new Array<string | null>(texts.length).fill(null);
    let left = texts.map((_, i) => i);
    for (let round = 0; round < 4; round++) {
      const lines = left.map((i, slot) => `${texts[i]}\n.org ${(slot + 1) * SLOT_BYTES}, 0xcc`);
      writeFileSync(join(folder, 'in.s'), `${head}\n${lines.join('\n')}\n`);
      let messages = '';
      try {
        const mode = codeSize === 64 ? '--64' : '--32';
        execFileSync('as', [mode, '-W', '-o', 'in.o', 'in.s'], { cwd: folder, stdio: 'pipe' });
      } catch (thrown) {
        messages = String((thrown as { stderr: Buffer }).stderr);
      }
      const wrong = new Set(
        [...messages.matchAll(/in\.s:(\d+): Error/g)].map(([, line]) => (Number(line) - 2) >> 1),
      );
      if (wrong.size === 0) {
        execFileSync('objcopy', ['-O', 'binary', '-j', '.text', 'in.o', 'out'], { cwd: folder });
        const bytes = readFileSync(join(folder, 'out'));
        left.forEach((i, slot) => {
          const end = (slot + 1) * SLOT_BYTES;
          results[i] = hex(bytes.subarray(slot * SLOT_BYTES, end));
        });
        return results;
      }
      left = left.filter((_, slot) => !wrong.has(slot));
    }
    throw new Error('as still finds errors');
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function ours(head: string, text: string): string {
  const assembled = assemble({ name: 'line.s', text: `${head}\n${text}\n` });
  if (assembled.kind === 'errors') return assembled.errors.map(({ message }) => message).join();
  return hex(slotOf(assembled.bytes));
}

describe('what objdump prints', () => {
  beforeEach((context) => {
    const reason = noObjdump ?? noAs;
    if (reason !== null) context.skip(reason);
  });

  const SYNTAXES = [
    ['att', '.att_syntax'],
    ['intel', '.intel_syntax noprefix'],
  ] as const;
  const CASES = SYNTAXES.flatMap(([syntax, directive]) =>
    CODE_SIZES.map((codeSize) => [codeSize, syntax, `.code${codeSize}; ${directive}`] as const),
  );

  test.each(CASES)('of %i-bit code in %s syntax', (codeSize, syntax, head) => {
    const codes = encodings(codeSize);
    const printed = disassembleWithObjdump(codes, syntax, codeSize).map(({ text }) =>
      text.replace(/\s*(#.*)?$/, ''),
    );
    const texts = [...new Set(printed)].filter(
      (text) => !REFUSED.some(([pattern]) => pattern.test(text)),
    );
    const theirs = assembledByGnu(head, texts, codeSize);
    const differing = texts.flatMap((text, i) => {
      const bytes = theirs[i];
      if (bytes === null) return [];
      const mine = ours(head, text);
      return mine === bytes ? [] : [`${text} => ${mine}, not ${bytes}`];
    });
    expect(differing).toEqual([]);
    expect(theirs.filter((bytes) => bytes !== null).length).toBeGreaterThan(2000);
  });
});
