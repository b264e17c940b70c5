// An experiment that is killed, at moments of chance: what was finished stays, what is there is
// intact, and in the end the table is the one of a run that nobody disturbed. VMXLAB_KILLS says how
// often; a few times by default, 50 before a release.

import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Prng } from '../../src/sim/index.ts';
import { buildCommand, folderWith, MAIN, vmxlab } from '../support/command-line.ts';

const KILLS = Number(process.env.VMXLAB_KILLS ?? 3);

const FILES = {
  'rounds.asm': 'bits 64\nmov ecx, ROUNDS\nagain: out 0x80, al\ndec ecx\njnz again\ncli\nhlt\n',
  'rounds.yaml': `
scenario: { vms: [{ program: rounds.asm, vcpus: 2 }] }
factors:
  rounds: { few: { "vms[0].defines.ROUNDS": 500 }, many: { "vms[0].defines.ROUNDS": 1500 } }
  pcpus: [1, 2]
seeds: 8
outputs: { time: virtualNs, exits: "sum(exits[IO_INSTRUCTION].count)" }
`,
};

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith(FILES);
}, 180_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Digest of each result by name. */
function results(store: string): Map<string, string> {
  const names = readdirSync(join(folder, store), { recursive: true, encoding: 'utf8' });
  const digest = (name: string) =>
    createHash('sha256')
      .update(readFileSync(join(folder, store, name)))
      .digest('hex');
  return new Map(
    names.filter((name) => name.endsWith('.json.gz')).map((name) => [name, digest(name)]),
  );
}

/** The folder is not there before an experiment starts, and its files come while one looks. */
function resultCount(store: string): number {
  try {
    return results(store).size;
  } catch {
    return 0;
  }
}

/** Start an experiment and kill it after some time; true if it was still running. */
function startAndKill(afterMs: number): Promise<boolean> {
  const words = [MAIN, 'experiment', 'rounds.yaml', '--store', 'killed'];
  const child = spawn(process.execPath, words, { cwd: folder, stdio: 'ignore' });
  const timer = setTimeout(() => child.kill('SIGKILL'), afterMs);
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (_, signal) => {
      clearTimeout(timer);
      resolve(signal === 'SIGKILL');
    });
  });
}

test(`killed ${KILLS} times, it loses nothing and comes to the same table`, async () => {
  const words = ['experiment', 'rounds.yaml', '--store'];
  const before = Date.now();
  const whole = await vmxlab(folder, [...words, 'whole']);
  const tookMs = Date.now() - before;
  expect(whole).toMatchObject({ status: 0, stderr: '' });
  const wanted = results('whole');
  expect(wanted.size).toBe(32);

  await vmxlab(folder, [...words, 'killed', '--shard', '1/32']);
  const prng = new Prng(1);
  let known = results('killed');
  let killed = 0;
  for (let i = 0; i < KILLS; i++) {
    if (await startAndKill(prng.below(tookMs))) killed++;
    const now = results('killed');
    for (const [name, digest] of known) expect(now.get(name)).toBe(digest);
    for (const [name, digest] of now) expect(wanted.get(name)).toBe(digest);
    // Once it is complete there is nothing left to disturb.
    if (now.size === wanted.size) rmSync(join(folder, 'killed', [...now.keys()][0] ?? ''));
    known = results('killed');
  }
  expect(killed).toBeGreaterThan(0);
  const last = await vmxlab(folder, [...words, 'killed']);
  expect(last).toEqual(whole);
  expect(results('killed')).toEqual(wanted);
}, 600_000);

test('Ctrl-C says how far it has come, and keeps that', async () => {
  const words = [MAIN, 'experiment', 'rounds.yaml', '--store', 'interrupted', '--seeds', '40'];
  const child = spawn(process.execPath, words, { cwd: folder });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  // Once, for the second time means at once; when more is finished than workers may not have told.
  const timer = setInterval(() => {
    if (resultCount('interrupted') <= availableParallelism()) return;
    clearInterval(timer);
    child.kill('SIGINT');
  }, 20);
  const status = await new Promise((resolve) => child.on('close', resolve));
  expect(status).toBe(130);
  const [, done = ''] = /^vmxlab: interrupted: (\d+) of 160 runs are done;/.exec(stderr) ?? [];
  expect(Number(done)).toBeGreaterThan(0);
  expect(resultCount('interrupted')).toBeGreaterThanOrEqual(Number(done));
}, 120_000);
