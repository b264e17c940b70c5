// The example at the head of each room's index.ts is executed: a line `expression; // value` must
// give that value. Imports from 'vmxlab/ROOM' mean the room in src.

import { readdirSync, readFileSync } from 'node:fs';
import Long from 'long';
import ts from 'typescript';
import { expect, test } from 'vitest';
import * as rooms from '../src/index.ts';
import * as testing from '../src/testing/index.ts';

/** Not one of the library's own: it needs vitest. */
const library = { ...rooms, testing };

const SOURCE = new URL('../src/', import.meta.url);

const ROOMS = readdirSync(SOURCE, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== 'cli')
  .map(({ name }) => name);

/** The indented lines of the comment that a file opens with. */
function exampleOf(text: string): string {
  const header = /^(\/\/.*\n)+/.exec(text)?.[0] ?? '';
  const lines = header.split('\n').filter((line) => line.startsWith('//   '));
  return lines.map((line) => line.slice(5)).join('\n');
}

/** Imports become look-ups in `rooms`, lines with a value become expectations. */
function toFunctionBody(example: string): string {
  const script = example
    .replace(/import Long from 'long';/, '')
    .replace(/import \{([^}]*)\} from 'vmxlab\/(\w+)';/g, 'const {$1} = rooms.$2;')
    .replace(
      /^(?!const |\/\/)(\S.*); \/\/ (['"[{\d-].*|true|false|null)$/gm,
      'expect($1).toEqual($2);',
    );
  return ts.transpileModule(script, { compilerOptions: { target: ts.ScriptTarget.ES2023 } })
    .outputText;
}

test.each(ROOMS)('the example of %s gives what it says', (room) => {
  const example = exampleOf(readFileSync(new URL(`${room}/index.ts`, SOURCE), 'utf8'));
  const body = toFunctionBody(example);
  expect(body).toContain('expect(');
  new Function('rooms', 'expect', 'Long', body)(library, expect, Long);
});
