// `vmxlab debug` as its users start it: from a script, a pipe and a terminal. The walk-through of
// the documentation is what it prints.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildCommand, MAIN } from '../support/command-line.ts';
import { HAS_TMUX, Tmux } from '../support/tmux.ts';

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
    "'/9zz': a count, a size (b h w g) and a format (x d u o t a c s i) expected",
    "'set $NAME = VALUE', 'set u64[ADDRESS] = VALUE' or 'set vmcs FIELD = VALUE'",
    'column 2: a value expected',
    "unknown command 'stepp'; did you mean 'step'?",
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
  expect(answers[1]).toMatchObject({ command: 'p 6 * 7', lines: ['$1 = 0x2a'], isError: false });
  expect(answers[0].when.event).toBeGreaterThan(0);
  expect(status).toBe(0);
});

/** What a script of commands prints on either side; the guest's hogs are left out. */
function script(...commands: readonly string[]) {
  const { stdout, stderr } = debug([
    ...[PROGRAM, '--hogs', '0', '--batch'],
    ...commands.flatMap((command) => ['-e', command]),
  ]);
  const answers = stdout.split(/^\(vmxlab\) .*\n/m).slice(1);
  return { answers, problems: stderr.trim().split('\n') };
}

const HAS_GCC = spawnSync('gcc', ['--version']).status === 0 || process.env.CI === 'true';
if (!HAS_GCC) process.stdout.write('without gcc no source in C is listed\n');

describe('list', () => {
  const source = readFileSync(join(ROOT, 'guest-programs/lib/counter.inc'), 'utf8').split('\n');
  const wanted = (first: number, last: number, here: number) =>
    source
      .slice(first - 1, last)
      .map((text, i) => {
        const number = first + i;
        return `${number === here ? '=>' : '  '} ${String(number).padEnd(4)} ${text}`.trimEnd();
      })
      .concat('')
      .join('\n');

  test('shows the source around the next instruction, what is behind and what was before', () => {
    const { answers } = script('list', 'list', 'list -', 'list 40', 'list/3 counter.inc:2');
    expect(answers[0]).toBe(wanted(23, 32, 28));
    expect(answers[1]).toBe(wanted(33, 42, 28));
    expect(answers[2]).toBe(wanted(23, 32, 28));
    expect(answers[3]).toBe(wanted(35, 44, 28));
    expect(answers[4]).toBe(wanted(1, 3, 28));
  });

  test('begins anew where the machine has gone, and takes symbols and addresses', () => {
    const { answers } = script('list', 'stepi 2', 'list', 'list done', 'list *0x100003');
    expect(answers[2]).toBe(wanted(25, 34, 30));
    expect(answers[3]).toBe(wanted(49, 58, 30));
    expect(answers[4]).toBe(wanted(24, 33, 30));
  });

  test.runIf(HAS_GCC)('shows C by the line table of DWARF', () => {
    const folder = mkdtempSync(join(tmpdir(), 'vmxlab-list-'));
    const lines = [
      'int count;',
      'void _start(void) {',
      '  count++;',
      '  for (;;)',
      '    count--;',
      '}',
    ];
    writeFileSync(join(folder, 'count.c'), `${lines.join('\n')}\n`);
    const flags = ['-g', '-O0', '-ffreestanding', '-fno-pic', '-static', '-nostdlib'];
    execFileSync('gcc', [...flags, '-o', 'count.elf', 'count.c'], { cwd: folder });
    const words = ['--batch', '-e', 'list', '-e', 'list count.c:5', '-e', 'tbreak count.c:5'];
    const { stdout } = spawnSync(
      process.execPath,
      [MAIN, 'debug', 'count.elf', ...words, '-e', 'c', '-e', 'list'],
      { cwd: folder, encoding: 'utf8' },
    );
    const listed = (here: number) =>
      lines.map((text, i) => `${i + 1 === here ? '=>' : '  '} ${i + 1}    ${text}`).join('\n');
    const answers = stdout.split(/^\(vmxlab\) .*\n/m);
    expect([answers[1], answers[2]]).toEqual([`${listed(2)}\n`, `${listed(2)}\n`]);
    expect(answers[5]).toBe(`${listed(5)}\n`);
  });

  test('says what is wrong', () => {
    const { problems } = script('list nowhere', 'list no.c:1', 'list counter.inc:400', 'list 0');
    expect(problems).toEqual([
      "no symbol named 'nowhere'",
      "no code comes from a file named 'no.c'",
      'lib/counter.inc has 64 lines',
      "a number from 1 expected, not '0'",
    ]);
  });
});

test('an unknown name is answered with the nearest one; topics are found too', () => {
  const { problems } = script(
    'breka start',
    'exits',
    'delete checkpoint x',
    'when now',
    'reverse-s',
  );
  expect(problems).toEqual([
    "unknown command 'breka'; did you mean 'break'?",
    "unknown command 'exits'; did you mean 'info exits'?",
    "no checkpoint 'x'",
    "'when' takes no argument",
    "'reverse-s' may be reverse-step, reverse-stepi",
  ]);
});

test('a checkpoint is gone when it was deleted, and its number is not given again', () => {
  const { answers, problems } = script(
    ...['checkpoint one', 'si', 'checkpoint two', 'delete checkpoint one', 'info checkpoints'],
    ...['goto one', 'goto two', 'checkpoint', 'delete checkpoint 2 3', 'info checkpoints'],
  );
  expect(answers[4]).toMatch(/^2 {2}two {2}event \d+\n$/);
  expect(answers[7]).toMatch(/^checkpoint 3, mark3, /);
  expect(answers[9]).toBe('');
  expect(problems).toEqual(["no checkpoint 'one'"]);
});

test.runIf(HAS_TMUX)('a terminal completes, and is resized', () => {
  const terminal = new Tmux(ROOT, 80, 24, ['NO_COLOR=1']);
  try {
    terminal.type(`${process.execPath} ${MAIN} debug --no-tui ${PROGRAM} --hogs 0`);
    terminal.waitFor(/^\(vmxlab\)$/m);
    terminal.press('info thr', 'Tab', 'Enter');
    terminal.waitFor(/vcpu3/);
    terminal.resize(100, 30);
    terminal.type('p 40 + 2');
    terminal.waitFor(/^\$1 = 0x2a$/m);
  } finally {
    terminal.end();
  }
});
