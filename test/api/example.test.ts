// The examples of docs/kvm-api.md are executed, and the program on the page with them.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import * as api from '../../src/api/index.ts';

const ROOT = join(import.meta.dirname, '../..');

/** Run statements that import from vmxlab/api; the value of an expression at their end. */
function execute(source: string, value: string, names: Readonly<Record<string, unknown>> = {}) {
  const script = source
    .replace(/import \{([^}]*)\} from 'vmxlab\/api';/, 'const {$1} = api;')
    .replace(/^export /gm, '');
  const options = { compilerOptions: { target: ts.ScriptTarget.ES2023 } };
  const { outputText } = ts.transpileModule(`${script}\nreturn ${value};`, options);
  return new Function('api', ...Object.keys(names), outputText)(api, ...Object.values(names));
}

test('two and two is four, and a new line', () => {
  const source = readFileSync(join(ROOT, 'examples/two-and-two.ts'), 'utf8');
  expect(execute(source, 'twoAndTwo()')).toBe('4\n');
});

test('a serial port with interrupts sends a line, a byte time for each byte', () => {
  const source = readFileSync(join(ROOT, 'examples/serial-interrupts.ts'), 'utf8');
  const { output, us } = execute(source, 'serialInterrupts()');
  expect(output).toBe('Hello, irqfd!\n');
  // Fourteen times ten bits at 115200 baud, and the way to the guest and back.
  expect(us).toBeGreaterThan(14 * 86.8);
  expect(us).toBeLessThan(14 * 86.8 * 1.1);
});

test('the program of the page prints what it says', () => {
  const page = readFileSync(join(ROOT, 'docs/kvm-api.md'), 'utf8');
  const source = /```js\n([\s\S]*?)```/.exec(page)?.[1] ?? '';
  const lines: string[] = [];
  const ending = execute(source, 'vcpu.page.exitReasonName', {
    console: { log: (line: string) => lines.push(line) },
  });
  expect([ending, lines]).toEqual(['HLT', ['4']]);
});
