// The declarations that the build emits stand on their own: a program that uses the library
// compiles against them with nothing but the library of the language itself, without the types of
// Node and browsers.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { beforeAll, expect, test } from 'vitest';
import { buildCommand, MAIN } from './support/command-line.ts';

const DIST = join(dirname(MAIN), '..');

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  lib: ['lib.es2022.d.ts'],
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
  types: [],
  strict: true,
  skipLibCheck: false,
  noEmit: true,
};

/** What the compiler has to say about a program and all declarations that it uses. */
function problemsOf(text: string): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-consumer-'));
  try {
    const file = join(folder, 'consumer.mts');
    writeFileSync(file, text);
    const program = ts.createProgram([file], OPTIONS);
    return ts
      .getPreEmitDiagnostics(program)
      .filter((one) => one.file?.fileName === file || one.file?.fileName.startsWith(DIST))
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

beforeAll(() => buildCommand());

test('a program that uses every room compiles', () => {
  const text = [
    `import { Compiler, compilableMemory } from '${DIST}/cpu/index.js';`,
    `import { checkScenario, Machine } from '${DIST}/machine/index.js';`,
    `export const memory: ArrayBuffer = compilableMemory(4096, 1).buffer;`,
    'export type Storage = ConstructorParameters<typeof Compiler>[0];',
    "export const checked = checkScenario({ vms: [{ program: 'a' }] });",
    'export const end = (machine: Machine) => machine.run()?.exitCode;',
  ];
  expect(problemsOf(text.join('\n'))).toEqual([]);
});

test('one that does not fit the declarations does not', () => {
  const imports = `import { compilableMemory } from '${DIST}/cpu/index.js';`;
  expect(problemsOf(`${imports}\ncompilableMemory('4 KB', 1);`)).toHaveLength(1);
});
