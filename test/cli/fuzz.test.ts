// `vmxlab fuzz` as its users start it: what it keeps and prints can be used as it says, how many
// jobs there are makes no difference, and the cases that are kept here do nothing wrong.

import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bash, buildCommand, folderWith, vmxlab } from '../support/command-line.ts';

const PROGRAM = 'guest-programs/hidden-fault.asm';

/** Cases that together come by everything but the fault. */
const KEPT = join(import.meta.dirname, '../fuzz/kept/hidden-fault');

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith({});
}, 120_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const fuzz = (...words: readonly string[]) => vmxlab(folder, ['fuzz', ...words]);

describe('a fault that is found', () => {
  let text = '';

  beforeAll(async () => {
    const { status, stdout, stderr } = await fuzz(PROGRAM, '--seed', '2', '--jobs', '1');
    expect([status, stderr]).toEqual([18, '']);
    text = stdout;
  }, 120_000);

  const command = (name: string) => new RegExp(`^ +${name}: +(.*)$`, 'm').exec(text)?.[1] ?? '';

  test('is shown with the input that leads to it', () => {
    expect(text).toMatch(
      /^FAIL tripleFault: vCPU 0 met a triple fault, at 0x10\w+ <start\+0x\w+>$/m,
    );
    expect(text).toMatch(/^ {2}run [\d,]+, made smaller: input 564d5821 "VMX!"$/m);
    expect(text).toMatch(/^2,\d{3} runs in .*: 5 cases kept, 10 edges, /m);
  });

  test('can be run again and opened in the debugger by the commands that are printed', async () => {
    const again = await bash(folder, command('again'));
    expect([again.status, again.stdout]).toEqual([
      0,
      expect.stringMatching('the same in 1 interval.*triple fault'),
    ]);
    const words = `${command('debug')} --batch --ex 'exit backward' --ex 'x/4xb fuzz_input'`;
    const debug = await bash(folder, words);
    expect(debug.stdout).toMatch(/0x56.*0x4d.*0x58.*0x21/);
  });

  test('is kept beside the cases of the folder, and runs again', async () => {
    const kept = readdirSync(join(folder, 'hidden-fault.fuzz')).filter((name) =>
      name.endsWith('.json'),
    );
    expect(kept.length).toBe(3);
    const findings = readdirSync(join(folder, 'hidden-fault.fuzz/findings'));
    const one = findings.find((name) => name.endsWith('.json')) ?? '';
    const replay = await fuzz(PROGRAM, '--replay', `hidden-fault.fuzz/findings/${one}`);
    expect([replay.status, replay.stdout]).toEqual([
      18,
      expect.stringMatching(/^FAIL tripleFault/),
    ]);
  });
});

test('what comes by the serial port is found, kept, repeated, replayed and opened', async () => {
  const SERIAL = 'guest-programs/serial-command.asm';
  const found = await fuzz(SERIAL);
  expect([found.status, found.stderr]).toEqual([18, '']);
  expect(found.stdout).toContain('serial input of up to 64 bytes, seed 1');
  expect(found.stdout).toContain('made smaller: serial input 564d5821 "VMX!"');
  const line = (name: string) =>
    new RegExp(`^ +${name}: +(.*)$`, 'm').exec(found.stdout)?.[1] ?? '';
  const again = await bash(folder, line('again'));
  expect(again.stdout).toMatch('triple fault');
  const debug = await bash(
    folder,
    `${line('debug')} --batch --ex reverse-stepi --ex 'info registers rip'`,
  );
  expect([debug.status, debug.stdout]).toEqual([0, expect.stringMatching('letter.fourth')]);
  const path = /kept in (.*\.json)/.exec(found.stdout)?.[1] ?? '';
  const replay = await fuzz(SERIAL, '--replay', path);
  expect([replay.status, replay.stdout]).toEqual([18, expect.stringMatching(/^FAIL tripleFault/)]);
  const fewer = await fuzz(SERIAL, '--minimise');
  expect([fewer.status, fewer.stdout]).toEqual([0, expect.stringMatching(/: \d+ cases, now \d+,/)]);
}, 120_000);

test('how many run at once makes no difference', async () => {
  const words = [PROGRAM, '--json', '--seed', '3', '--runs', '700', '--corpus', 'same'];
  const outputs: string[] = [];
  for (const jobs of ['1', '3']) {
    const { status, stdout } = await fuzz(...words, '--jobs', jobs);
    expect(status).toBe(0);
    outputs.push(stdout + readdirSync(join(folder, 'same')));
    rmSync(join(folder, 'same'), { recursive: true });
  }
  expect(outputs[1]).toBe(outputs[0]);
  expect(JSON.parse(outputs[0].slice(0, outputs[0].lastIndexOf('}') + 1)).runs).toBe(700);
}, 120_000);

describe('cases that are kept', () => {
  test('do nothing wrong, and come by what they came by', async () => {
    const { status, stdout } = await fuzz(PROGRAM, '--runs', '0', '--json', '--corpus', KEPT);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ features: { edges: 10 }, findings: [] });
  });

  test('become fewer and smaller', async () => {
    cpSync(KEPT, join(folder, 'large'), { recursive: true });
    mkdirSync(join(folder, 'large'), { recursive: true });
    writeFileSync(join(folder, 'large/seed'), 'VMX? and much more'.slice(0, 16));
    const { status, stdout } = await fuzz(PROGRAM, '--minimise', '--corpus', 'large');
    expect([status, stdout]).toEqual([
      0,
      expect.stringMatching(/^large: 6 cases, now 5, with the same 12 features/),
    ]);
    expect(existsSync(join(folder, 'large/seed'))).toBe(true);
  });
});

describe('what is wrong is said', () => {
  test.each([
    [['--for', '5'], "--for: expected a time such as 10s, 5m or 1h, not '5'"],
    [['--jobs', '0'], '--jobs: expected a number from 1, not 0'],
    [['--store-buffers'], '--store-buffers needs --strategy random or pct: in time there are none'],
    [
      ['--configuration', 'X'],
      `--configuration: ${PROGRAM} has no RUN line named 'X'; it names none`,
    ],
    [['--replay', PROGRAM], `${PROGRAM}: is no case of vmxlab fuzz: no JSON`],
    [['--vary', 'nix'], "--vary: a scenario has no value 'nix'"],
  ])('%j', async (words, message) => {
    const { status, stderr } = await fuzz(PROGRAM, ...words);
    expect([status, stderr]).toEqual([2, `vmxlab: ${message}\n`]);
  });

  test('an input for a program that expects none, and one that is too long', async () => {
    mkdirSync(join(folder, 'seeds'));
    writeFileSync(join(folder, 'seeds/long'), 'x'.repeat(17));
    const long = await fuzz(PROGRAM, '--corpus', 'seeds');
    expect([long.status, long.stderr]).toEqual([
      2,
      'vmxlab: seeds/long: has 17 bytes of input, and the program has room for 16\n',
    ]);
    const none = await fuzz('guest-programs/hello.asm', '--corpus', 'seeds');
    expect([none.status, none.stderr]).toEqual([
      2,
      'vmxlab: seeds/long: is an input, but the program has no label fuzz_input; --vary ' +
        'vms[].serial_input sends it to COM1\n',
    ]);
  });
});
