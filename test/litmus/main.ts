// `npm run litmus -- FILE`: every litmus test of a file, with store buffers and without.

import { readFileSync, statSync } from 'node:fs';
import { type LitmusTest, runLitmus } from './litmus.ts';

const USAGE = 'npm run litmus -- FILE: tests as JSON lines, as shared/conformance/README.md says';

function main(): void {
  const files = process.argv.slice(2);
  if (files.length === 0 || files.some((name) => name.startsWith('-'))) {
    console.error(USAGE);
    process.exitCode = 2;
    return;
  }
  const unreadable = files.find(
    (name) => !(statSync(name, { throwIfNoEntry: false })?.isFile() ?? false),
  );
  if (unreadable !== undefined) {
    console.error(`${unreadable}: no such file\n${USAGE}`);
    process.exitCode = 2;
    return;
  }
  let passed = 0;
  let failed = 0;
  let states = 0;
  for (const file of files) {
    for (const test of testsOf(file)) {
      const differences = (['sc', 'tso'] as const).flatMap((model) => {
        const verdict = runLitmus(test, model);
        states += verdict.states;
        return verdict.difference === null ? [] : [`${model}: ${verdict.difference}`];
      });
      if (differences.length === 0) passed++;
      else {
        failed++;
        console.log(`FAIL ${test.name}: ${differences.join('; ')}`);
      }
    }
  }
  console.log(`${states} states`);
  console.log(`${passed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

function testsOf(file: string): LitmusTest[] {
  const lines = readFileSync(file, 'utf8').split('\n');
  return lines.flatMap((line) => (line === '' ? [] : [JSON.parse(line) as LitmusTest]));
}

main();
