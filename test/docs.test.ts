// Documents must not lie: every vmxlab command that they show is executed, links lead somewhere,
// and the reference of scenario keys is the one that the declaration gives.

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reference, SCENARIO } from '../src/machine/index.ts';
import { buildCommand, MAIN } from './support/command-line.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
  .concat(readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`))
  .concat(readdirSync(join(ROOT, 'docs/decisions')).map((name) => `docs/decisions/${name}`))
  .filter((name) => name.endsWith('.md'));

const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');

/** Commands of `sh` blocks, and of code spans that begin with `npx vmxlab`. */
function commandsOf(text: string): string[] {
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap((match) =>
    (match[1] as string).split('\n').map((line) => line.replace(/\s+#.*$/, '').trim()),
  );
  const spans = [...text.matchAll(/`(npx vmxlab [^`]+)`/g)].map((match) => match[1] as string);
  return [...blocks, ...spans].filter((line) => /^(npx )?vmxlab /.test(line));
}

describe('commands in documents', () => {
  let folder = '';

  beforeAll(() => {
    buildCommand();
    folder = mkdtempSync(join(tmpdir(), 'vmxlab-docs-'));
    symlinkSync(join(ROOT, 'guest-programs'), join(folder, 'guest-programs'));
    writeFileSync(join(folder, 'start.asm'), 'bits 64\nextern stop\ncall stop\n');
    writeFileSync(join(folder, 'lib.s'), '.globl stop\nstop: cli; hlt\n');
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const shown = DOCUMENTS.flatMap((name) =>
    commandsOf(read(name)).map((command) => [name, command] as const),
  );

  test.each(shown)('%s: %s', (_name, command) => {
    const words = command.replace(/^(npx )?vmxlab /, '').split(/\s+/);
    const { status, stderr } = spawnSync('node', [MAIN, ...words], {
      cwd: folder,
      encoding: 'utf8',
    });
    // Programs may end with a code of their own; wrong usage and our own errors are what we look
    // for.
    expect([2, 70, null], `${command}\n${stderr}`).not.toContain(status);
  });

  test('there are some', () => {
    expect(shown.length).toBeGreaterThan(5);
  });
});

test.each(DOCUMENTS)('links in %s lead somewhere', (name) => {
  const targets = [...read(name).matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)]
    .map((match) => match[1] as string)
    .filter((target) => !/^https?:/.test(target));
  const broken = targets.filter((target) => !existsSync(join(ROOT, dirname(name), target)));
  expect(broken).toEqual([]);
});

const START = '<!-- keys: generated from the declaration -->';
const END = '<!-- end of keys -->';

function keyTable(): string {
  const rows = reference(SCENARIO).map(({ key, summary, expected, fallback, flag }) => {
    const cells = [`\`${key}\``, summary, expected, fallback, flag === null ? '' : `\`--${flag}\``];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    '| key | what it is | expected | default | flag |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

test('docs/scenario.md lists the keys as they are declared', () => {
  const path = join(ROOT, 'docs/scenario.md');
  const text = readFileSync(path, 'utf8');
  const from = text.indexOf(START) + START.length;
  const to = text.indexOf(END);
  const wanted = `${text.slice(0, from)}\n\n${keyTable()}\n\n${text.slice(to)}`;
  if (process.env.VMXLAB_UPDATE_GOLDEN === '1') writeFileSync(path, wanted);
  else expect(text).toBe(wanted);
});
