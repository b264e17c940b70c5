// What npm and npx do before the command is started first: it is built if it has to be, and then
// one line on standard error says so.

import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';

const TOOL = join(import.meta.dirname, '../../tools/prepare.js');
const MESSAGE = 'vmxlab: building the command, which takes some seconds\n';

const BUILD = `
const fs = require('node:fs');
fs.mkdirSync('dist/cli', { recursive: true });
for (const name of ['launch.js', 'vmxlab.cjs']) fs.writeFileSync('dist/cli/' + name, '');
`;

const folder = mkdtempSync(join(tmpdir(), 'vmxlab-prepare-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** A time of so many minutes before now, for a file that is to be older than what is built. */
function makeOld(name: string): void {
  const time = Date.now() / 1000 - 600;
  utimesSync(join(folder, name), time, time);
}

function prepare() {
  const { status, stderr } = spawnSync(process.execPath, [TOOL], {
    cwd: folder,
    encoding: 'utf8',
  });
  // npm may have something to say, too.
  return { status, hasBuilt: stderr.includes(MESSAGE) };
}

test('what is newer than its sources is not built again', () => {
  mkdirSync(join(folder, 'src/sim'), { recursive: true });
  const scripts = { build: 'node build.cjs' };
  const files = {
    'package.json': JSON.stringify({ scripts }),
    'build.cjs': BUILD,
    'src/sim/a.ts': '',
    'src/sim/b.ts': '',
    'tsconfig.json': '{}',
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  for (const name of [...Object.keys(files), 'src', 'src/sim']) makeOld(name);
  expect(prepare()).toEqual({ status: 0, hasBuilt: true });
  expect(prepare()).toEqual({ status: 0, hasBuilt: false });
  writeFileSync(join(folder, 'src/sim/a.ts'), '// changed');
  expect(prepare()).toEqual({ status: 0, hasBuilt: true });
  makeOld('src/sim/a.ts');
  expect(prepare()).toEqual({ status: 0, hasBuilt: false });
  rmSync(join(folder, 'src/sim/b.ts'));
  expect(prepare()).toEqual({ status: 0, hasBuilt: true });
  makeOld('src/sim');
  rmSync(join(folder, 'dist/cli/vmxlab.cjs'));
  expect(prepare()).toEqual({ status: 0, hasBuilt: true });
  writeFileSync(join(folder, 'build.cjs'), 'process.exitCode = 3;');
  rmSync(join(folder, 'dist'), { recursive: true });
  expect(prepare()).toEqual({ status: 3, hasBuilt: true });
});
