// The snippets in snippets/*.txt and gas-snippets/*.txt: sources of a line or a few, with what
// becomes of them here and in NASM or GNU as. One a line: the source, `=>`, and the outcome; \n in
// a source stands for a new line.
//
//   mov rax, [rsp*1] => 488b0424      the same bytes from both
//   mov rax, [rsp*2] => rejected      an error from both
//   mov al, 256 => stricter           an error only here: NASM warns, or allows what we do not have
//   shld ax, ax, byte 5 => laxer 660fa4c005    an error only from NASM
//
// `(90*128)` in bytes means 128 bytes 90. The lines are written anew by UPDATE_SNIPPETS=1.

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Assembled } from '../../src/asm/index.ts';
import { assemble } from '../../src/asm/index.ts';

export const SNIPPETS_FOLDER = join(import.meta.dirname, 'snippets');
export const GAS_SNIPPETS_FOLDER = join(import.meta.dirname, 'gas-snippets');

export type Outcome = 'same' | 'rejected' | 'stricter' | 'laxer';

export interface Snippet {
  readonly file: string;
  readonly line: number;
  /** As it stands in the file. */
  readonly written: string;
  /** What is assembled. */
  readonly source: string;
  readonly outcome: Outcome;
  /** In hexadecimal; empty for an error. */
  readonly bytes: string;
}

/** All snippets of a folder, in order; `head` stands before each. */
export function readSnippets(folder = SNIPPETS_FOLDER, head = 'bits 64\n'): Snippet[] {
  const files = readdirSync(folder).filter((name) => name.endsWith('.txt'));
  return files.flatMap((file) => {
    const lines = readFileSync(join(folder, file), 'utf8').split('\n');
    return lines.flatMap((text, i) => {
      if (text.trim() === '' || text.startsWith('#')) return [];
      const [, written, expected] = /^(.*?)(?:\s+=> (.*))?$/.exec(text) ?? [];
      return [parse(file, i + 1, written ?? '', expected ?? 'rejected', head)];
    });
  });
}

function parse(
  file: string,
  line: number,
  written: string,
  expected: string,
  head: string,
): Snippet {
  const match = /^(rejected|stricter|laxer)? ?(.*)$/.exec(expected);
  const outcome = (match?.[1] ?? 'same') as Outcome;
  const unescaped = written.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c));
  const source = `${head}${unescaped}\n`;
  return { file, line, written, source, outcome, bytes: unpack(match?.[2] ?? '') };
}

function unpack(text: string): string {
  return text.replace(/\((..)\*(\d+)\)/g, (_, byte, count) => byte.repeat(Number(count)));
}

function pack(bytes: string): string {
  return bytes.replace(/(?<=^(?:..)*)(..)\1{7,}/g, (run, byte) => `(${byte}*${run.length / 2})`);
}

/** Write the outcomes into the files, comments kept. */
export function writeSnippets(snippets: readonly Snippet[], folder = SNIPPETS_FOLDER): void {
  const files = new Set(snippets.map(({ file }) => file));
  for (const file of files) {
    const path = join(folder, file);
    const lines = readFileSync(path, 'utf8').split('\n');
    for (const { line, written, outcome, bytes } of snippets.filter((one) => one.file === file)) {
      const shown = pack(bytes);
      const result = outcome === 'same' ? shown : `${outcome} ${shown}`.trim();
      lines[line - 1] = `${written} => ${result}`;
    }
    writeFileSync(path, lines.join('\n'));
  }
}

/** Reads what snippets include, from their folder. */
export function readFixture(path: string, kind: 'text' | 'binary'): string | Uint8Array | null {
  try {
    const bytes = readFileSync(join(SNIPPETS_FOLDER, path));
    return kind === 'text' ? bytes.toString() : new Uint8Array(bytes);
  } catch {
    return null;
  }
}

export function assembleSnippet(source: string, name = 'snippet.asm'): Assembled {
  return assemble({ name, text: source }, { readFile: readFixture });
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
