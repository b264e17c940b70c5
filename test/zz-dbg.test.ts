import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'vitest';
import { assembleImageWithNasm } from './images/emulators.ts';
import { runUnderOurs } from './images/ours.ts';
test('x', () => {
  for (const name of (process.env.IMAGES ?? '').split(' ')) {
    const { lines, status, message } = runUnderOurs(assembleImageWithNasm(`test/images/${name}.asm`), 1);
    writeFileSync(`/tmp/cpu-paging-${name}.txt`, `${lines.join('\n')}\n`);
    console.log(name, status, message);
  }
});
