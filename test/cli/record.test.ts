// `vmxlab record` and `vmxlab replay`, and recordings where other commands take programs.

import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Hash, Prng } from '../../src/sim/index.ts';
import { buildCommand, folderWith, vmxlab, vmxlabMany } from '../support/command-line.ts';

let folder = '';

const LOCK = 'guest-programs/lock-ticket.asm -D ITERATIONS=20 --hogs 0 --seed 5'.split(' ');

beforeAll(async () => {
  buildCommand();
  folder = folderWith({
    'pause.js': 'export default () => 0;\n',
    'policy.yaml':
      'vms: [{ program: guest-programs/hello.asm, policies: { halt_poll: pause.js } }]\n',
    'text.rec': 'not a recording\n',
    'told.asm':
      'bits 64\nmov rax, [param_in]\nmov [result_out], rax\ncli\nhlt\n' +
      'param_in: dq 0\nresult_out: dq 0\n',
  });
  const { status, stderr } = await vmxlab(folder, ['record', ...LOCK, '-o', 'lock.rec']);
  expect([status, stderr]).toEqual([0, '']);
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Body {
  scenario: { vms: { image: string; program: string }[]; [key: string]: unknown };
  run: { samples: { hash: string; time: number }[] };
}

/** A copy with other contents, and a digest that is right. */
function changed(name: string, change: (body: Body) => void): string {
  const file = readFileSync(join(folder, 'lock.rec'));
  const body: Body = JSON.parse(
    brotliDecompressSync(file.subarray(file.indexOf(10) + 1)).toString(),
  );
  change(body);
  const packed = brotliCompressSync(JSON.stringify(body));
  const header = `vmxlab recording 3 ${new Hash().bytes(packed).digest()}\n`;
  writeFileSync(join(folder, name), Buffer.concat([Buffer.from(header), packed]));
  return name;
}

test('a recording of kilobytes replays as it was, by every engine', async () => {
  expect(statSync(join(folder, 'lock.rec')).size).toBeLessThan(20_000);
  const replays = await vmxlabMany(folder, [
    ['replay', 'lock.rec'],
    ['replay', 'lock.rec', '--engine', 'interpreter'],
    ['replay', 'lock.rec', '--skip', 'off'],
  ]);
  const [{ stdout }] = replays;
  expect(stdout).toMatch(
    /^lock\.rec: the same in \d+ intervals, \d+ instructions, \d+ trace records; every vCPU .*\n$/,
  );
  for (const replay of replays) expect(replay).toEqual({ status: 0, stdout, stderr: '' });
});

test('parameters are recorded, and may be others when it is run again', async () => {
  const [recorded] = await vmxlabMany(folder, [
    'record told.asm --parameter in=5 -o told.rec'.split(' '),
  ]);
  expect(recorded).toMatchObject({ status: 0, stderr: '' });
  const [replay, run, other] = await vmxlabMany(folder, [
    ['replay', 'told.rec'],
    ['run', 'told.rec', '--json'],
    ['run', 'told.rec', '--json', '--parameter', 'in=6'],
  ]);
  expect(replay).toMatchObject({ status: 0, stderr: '' });
  const out = ({ stdout }: { stdout: string }) => JSON.parse(stdout).vms[0].results.out;
  expect([out(run), out(other)]).toEqual([[5], [6]]);
});

test('commands take a recording for the program and its settings', async () => {
  const [original, again, more, debugged, profiled] = await vmxlabMany(folder, [
    ['run', ...LOCK, '--json'],
    ['run', 'lock.rec', '--json'],
    ['run', 'lock.rec', '--json', '--seed', '6'],
    ['debug', 'lock.rec', '--batch', '-e', 'break again', '-e', 'continue', '-e', 'list'],
    ['profile', 'lock.rec', '--top', '3'],
  ]);
  const { scenario: _, ...report } = JSON.parse(original.stdout);
  const { scenario: __, ...sameReport } = JSON.parse(again.stdout);
  expect(sameReport).toEqual(report);
  expect(JSON.parse(more.stdout)).not.toMatchObject(report);
  expect(debugged.stdout).toContain('<again> at lib/counter.inc:33');
  // The text is in the recording: its file is nowhere near.
  expect(debugged.stdout).toMatch(/\n.*33.*pass_time THINK\n/);
  expect([debugged.status, debugged.stderr]).toEqual([0, '']);
  expect(profiled.stdout).toContain('<again+0x5> lib/counter.inc:33');
});

describe('a replay that diverges', () => {
  test('shows the interval and both sides', async () => {
    const other = '0123456789abcdef'.repeat(2);
    changed('tampered.rec', ({ run }) => {
      run.samples[2].hash = other;
    });
    const { status, stdout, stderr } = await vmxlab(folder, ['replay', 'tampered.rec']);
    expect([status, stderr]).toEqual([18, '']);
    expect(stdout).toMatch(
      /^tampered\.rec: the run diverges from the recording in interval 3 of \d+, between /,
    );
    expect(stdout).toMatch(new RegExp(`\n  state hash +${other} +[\\da-f]{32}\n`));
    expect(stdout).toMatch(/\n {2}vCPU 3 RIP +0x[\da-f]+ +0x[\da-f]+\n/);
    expect(stdout).toContain('Up to there the trace shows no difference.');
  });

  test('shows the trace record that is the first to differ', async () => {
    changed('hogs.rec', ({ scenario }) => {
      scenario.hogs = [{ count: 1 }];
    });
    const [text, json] = await vmxlabMany(folder, [
      ['replay', 'hogs.rec'],
      ['replay', 'hogs.rec', '--json'],
    ]);
    expect([text.status, json.status]).toEqual([18, 18]);
    expect(text.stdout).toMatch(
      /\nTrace record \d+ is the first that differs, at event \d+; recorded \(-\) and now \(\+\):\n/,
    );
    const sides = text.stdout.split('now (+):\n')[1].replaceAll(/^(.).*$/gm, '$1');
    expect(sides).toMatch(/^(?: \n)*(?:-\n){1,3}(?:\+\n){1,3}$/);
    const { divergence } = JSON.parse(json.stdout);
    expect(divergence.recorded.hash).not.toBe(divergence.now.hash);
    expect(divergence.trace.recorded[0]).not.toBe(divergence.trace.now[0]);
  });
});

describe('what cannot be recorded or replayed', () => {
  test('is said in one line', async () => {
    changed('policy.rec', ({ scenario }) => {
      scenario.vms[0] = { ...scenario.vms[0], ...{ policies: { halt_poll: 'pause.js' } } };
    });
    changed('file.rec', ({ scenario }) => {
      scenario.vms[0].image = '';
    });
    changed('key.rec', ({ scenario }) => {
      scenario.sed = 1;
    });
    const lines: [words: string[], message: string][] = [
      [['record', 'policy.yaml', '-o', 'p.rec'], 'a run with policies cannot be recorded'],
      [['record', ...LOCK], 'record needs --output (-o)'],
      [['record', 'lock.rec', '-o', 'lock.rec'], 'give the recording another name'],
      [['record', 'lock.rec', '-o', '-'], 'expected a file'],
      [['record', 'lock.rec', '-o', 'none/p.rec'], 'no such folder'],
      [['replay', 'missing.rec'], 'missing.rec: no such file'],
      [['replay', 'text.rec'], 'text.rec: is no recording'],
      [['replay', 'guest-programs/hello.asm'], 'is no recording'],
      [['replay', 'policy.rec'], 'does not contain its programs'],
      [['replay', 'file.rec'], 'does not contain its programs'],
      [['run', 'file.rec'], 'does not contain its programs'],
      [['replay', 'key.rec'], "key.rec: sed: unknown key 'sed'; did you mean 'seed'?"],
      [['replay', 'lock.rec', '--seed', '2'], 'seed'],
    ];
    const results = await vmxlabMany(
      folder,
      lines.map(([words]) => words),
    );
    for (const [i, { status, stdout, stderr }] of results.entries()) {
      expect([status, stdout, stderr]).toEqual([2, '', expect.stringContaining(lines[i][1])]);
      expect(stderr).not.toContain('    at ');
    }
  });

  test('nor a file that is cut short or changed anywhere', async () => {
    const file = readFileSync(join(folder, 'lock.rec'));
    const chance = new Prng(3);
    const names = Array.from({ length: 30 }, (_, i) => {
      const isCut = i % 2 === 0;
      const bytes = isCut
        ? file.subarray(0, 17 + chance.below(file.length - 17))
        : Buffer.from(file);
      if (!isCut) bytes[17 + chance.below(file.length - 17)] ^= 1 << chance.below(8);
      writeFileSync(join(folder, `damaged${i}.rec`), bytes);
      return `damaged${i}.rec`;
    });
    const commands = ['replay', 'run', 'debug'];
    const results = await vmxlabMany(
      folder,
      names.map((name, i) => [commands[i % 3], name]),
    );
    for (const [i, { status, stdout, stderr }] of results.entries()) {
      expect([status, stdout]).toEqual([2, '']);
      expect(stderr).toMatch(new RegExp(`^vmxlab: damaged${i}\\.rec: is a .*recording.*\n$`));
    }
  });
});
