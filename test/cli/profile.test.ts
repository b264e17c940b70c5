// `vmxlab profile`: the same guest profile twice, shares of host time that add up, and mistakes.

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildCommand, folderWith, vmxlab } from '../support/command-line.ts';

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith({
    'loop.asm':
      'bits 64\n    mov ecx, 3000000\nspin:\n    dec ecx\n    jnz spin\n    cli\n    hlt\n',
  });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LINE = ['profile', 'loop.asm', '--engine', 'compiled'];

test('names the hottest block, and what the host did', async () => {
  const { status, stdout } = await vmxlab(folder, LINE);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^ *9\d\.\d\d% +\d+ {2}0x100005 <spin> loop\.asm:4, 2 instructions$/m);
  expect(stdout).toMatch(/^ +\d+\.\d\d% +\d+\.\d ms {2}compiled$/m);
});

test('the guest is the same twice, the shares of the host add up', async () => {
  const [one, two] = await Promise.all(
    [1, 2].map(async () => JSON.parse((await vmxlab(folder, [...LINE, '--json'])).stdout)),
  );
  expect(one.guest).toEqual(two.guest);
  const sum = one.host.reduce((total: number, { share }: { share: number }) => total + share, 0);
  expect(sum).toBeCloseTo(1, 9);
});

test('a flame graph has a profile for each vCPU and one for the host', async () => {
  const words = ['--vcpus', '2', '-o', 'out.json', '--step', '5000'];
  expect((await vmxlab(folder, [...LINE, ...words])).stdout).toContain('out.json opens in');
  const { profiles } = JSON.parse(readFileSync(join(folder, 'out.json'), 'utf8'));
  expect(profiles.map(({ name }: { name: string }) => name)).toEqual([
    'vCPU 0, virtual time',
    'vCPU 1, virtual time',
    'host, real time',
  ]);
});

test.each([
  [['profile'], 'profile needs a file'],
  [['profile', 'loop.asm', '-o', 'loop.asm'], 'loop.asm: is what is run'],
  [['profile', 'loop.asm', '--step', 'x'], '--step: expected a whole number'],
  [['profile', 'loop.asm', '--trace', 'x'], "unknown flag '--trace'"],
])('%j is a mistake', async (words, said) => {
  const { status, stderr } = await vmxlab(folder, words);
  expect(status).toBe(2);
  expect(stderr).toContain(said);
});
