// `vmxlab debug` as its users start it: from a script, a pipe and a terminal. The walk-through of
// the documentation is what it prints.

import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, expect, test } from 'vitest';
import { buildCommand, MAIN } from '../support/command-line.ts';

const ROOT = join(fileURLToPath(import.meta.url), '../../..');
const PROGRAM = 'guest-programs/lock-ticket.asm';

beforeAll(buildCommand, 120_000);

function debug(words: readonly string[], input = '') {
  const started = spawnSync(process.execPath, [MAIN, 'debug', ...words], {
    ...{ cwd: ROOT, input, encoding: 'utf8', timeout: 60_000 },
  });
  return { stdout: started.stdout, stderr: started.stderr, status: started.status };
}

test('the walk-through of docs/debugger.md is what the debugger prints', () => {
  const text = readFileSync(join(ROOT, 'docs/debugger.md'), 'utf8');
  const [, line = '', expected = ''] =
    /```text\n\$ npx vmxlab debug (.*)\n([^`]*)```/.exec(text) ?? [];
  const commands = [...expected.matchAll(/^\(vmxlab\) (.*)$/gm)].flatMap(([, said]) => [
    '-e',
    said,
  ]);
  expect(commands.length).toBeGreaterThan(10);
  expect(debug([...line.split(' '), ...commands]).stdout).toBe(expected);
});

test('commands come from a pipe, and what is wrong with them is said', () => {
  const garbage =
    'si\nfoo\nbreak nowhere\n\u0000\u0001\nx/9zz 1\nset rax\nbreak *1 if (\nstepp\nwhen\n';
  const { stdout, stderr, status } = debug([PROGRAM, '--hogs', '0'], garbage);
  expect(stderr.split('\n')).toEqual([
    "unknown command 'foo'; 'help' lists them",
    "no symbol named 'nowhere'",
    "unknown command '??'; 'help' lists them",
    "'/9zz': a count, a size (b h w g) and a format (x d u c i) expected",
    "'set $REGISTER = VALUE', 'set u64[ADDRESS] = VALUE' or 'set vmcs FIELD = VALUE'",
    'column 2: a value expected',
    "unknown command 'stepp'; did you mean 'stepi'?",
    '',
  ]);
  expect(stdout).toMatch(/\(vmxlab\) when\nevent \d+, \d+ cycles/);
  expect(status).toBe(2);
});

test('answers are objects with --json', () => {
  const { stdout, status } = debug([
    PROGRAM,
    '--json',
    '--batch',
    '-ex',
    'exit',
    '--ex',
    'p 6 * 7',
  ]);
  const answers = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(answers[1]).toMatchObject({ command: 'p 6 * 7', lines: ['0x2a'], isError: false });
  expect(answers[0].when.event).toBeGreaterThan(0);
  expect(status).toBe(0);
});

const hasTmux = spawnSync('tmux', ['-V']).status === 0;
if (!hasTmux) process.stdout.write('without tmux no terminal is tested\n');

test.runIf(hasTmux || process.env.CI === 'true')('a terminal completes, and is resized', () => {
  const name = `vmxlab-test-${process.pid}`;
  const tmux = (...words: string[]) =>
    execFileSync('tmux', ['-L', name, ...words], { cwd: ROOT, encoding: 'utf8' });
  const waitFor = (text: string) => {
    for (let i = 0; i < 200; i++) {
      const screen = tmux('capture-pane', '-p', '-t', name);
      if (screen.includes(text)) return screen;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
    }
    throw new Error(`'${text}' did not appear:\n${tmux('capture-pane', '-p', '-t', name)}`);
  };
  const start = `NO_COLOR=1 ${process.execPath} ${MAIN} debug ${PROGRAM} --hogs 0`;
  tmux('new-session', '-d', '-s', name, '-x', '80', '-y', '24', start);
  try {
    waitFor('(vmxlab)');
    tmux('send-keys', '-t', name, 'info thr', 'Tab', 'Enter');
    waitFor('vcpu3');
    tmux('resize-window', '-t', name, '-x', '100', '-y', '30');
    tmux('send-keys', '-t', name, 'p 40 + 2', 'Enter');
    waitFor('0x2a');
  } finally {
    tmux('kill-server');
  }
});
