// `vmxlab explore`: what it prints, keeps and repeats; the locks that are shipped; wrong usage.

import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildCommand, folderWith, vmxlab, vmxlabMany } from '../support/command-line.ts';
import { LOST_UPDATE } from '../support/exploration.ts';

const PROGRAM = `; vmxlab: vcpus=2\nbits 64\ndefault rel\n${LOST_UPDATE}`;

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith({
    'lost.asm': PROGRAM,
    'mended.asm': PROGRAM.replace('mov [counter], eax', 'lock inc dword [counter]'),
    'two.yaml': 'vms: [{program: lost.asm}, {program: lost.asm}]\n',
    'many.yaml': 'vms: [{program: lost.asm, vcpus: 11}]\n',
    'later.yaml': 'vms: [{program: lost.asm, delay: 5ms}]\n',
    'notes.txt': 'none\n',
    'future.json': '{"format": "vmxlab schedule", "version": 3, "schedule": "0"}\n',
    'broken.json':
      '{"format": "vmxlab schedule", "version": 2, "schedule": "0 x", "program": "", "storeBuffers": false}\n',
  });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('shows, saves and replays the schedule that goes wrong', async () => {
  const words = ['explore', 'lost.asm', '--save', 'lost.json'];
  const found = await vmxlab(folder, words);
  expect(found.status).toBe(18);
  expect(found.stdout).toMatch(
    /^[\d,]+ states, [\d,]+ transitions, [\d,]+ schedules, [\d,]+ steps, \d+\.\d s \([\d,]+ states, [\d,]+ schedules a second\)$/m,
  );
  expect(found.stdout).toMatch(/^FAIL ending: vCPU 0 wrote 1 to the exit port$/m);
  expect(found.stdout).toMatch(/^After 2 switches between vCPUs:$/m);
  expect(found.stdout).toMatch(/^ {2}vCPU [01] {2}0x10000e {2}lock inc dword \[rel 0x100080\]/m);
  const saved = JSON.parse(readFileSync(join(folder, 'lost.json'), 'utf8'));
  expect(saved).toMatchObject({ format: 'vmxlab schedule', version: 2, storeBuffers: false });
  const again = await vmxlab(folder, ['explore', 'lost.asm', '--replay', 'lost.json']);
  expect(again.status).toBe(18);
  const story = (text: string) => text.slice(text.indexOf('  vCPU'), text.lastIndexOf('  vCPU'));
  expect(story(again.stdout)).toBe(story(found.stdout));
});

test('goes on from a schedule where the program has changed', async () => {
  await vmxlab(folder, ['explore', 'lost.asm', '--save', 'old.json']);
  const { status, stdout } = await vmxlab(folder, [
    'explore',
    'mended.asm',
    '--replay',
    'old.json',
  ]);
  expect(stdout).toMatch(/^The program is not the one that old\.json is of\.$/m);
  expect([status, /^PASS$/m.test(stdout)]).toEqual([0, true]);
});

test('one JSON document', async () => {
  const { status, stdout } = await vmxlab(folder, ['explore', 'mended.asm', '--json']);
  expect(status).toBe(0);
  expect(JSON.parse(stdout)).toMatchObject({ verdict: 'pass', violation: null, schedule: null });
});

describe('the locks that are shipped keep others out, and wake whom they have to', () => {
  const SMALL = ['-D', 'ITERATIONS=2', '-D', 'THINK=1', '-D', 'HOLD=1', '-D', 'SPIN_THRESHOLD=1'];

  test.each([
    [['lock-tas.asm', '--vcpus', '2', '--output', '4']],
    [['lock-tas.asm', '--vcpus', '2', '--output', '4', '--store-buffers']],
    [['lock-ticket.asm', '--vcpus', '2', '--output', '4']],
    [['lock-ticket.asm', '--vcpus', '2', '--output', '4', '--store-buffers']],
    [['lock-ticket.asm', '--vcpus', '3', '--output', '6', '--preemptions', '1']],
    [['lock-ticket-pv.asm', '--vcpus', '2', '--output', '4', '--preemptions', '2']],
  ])('%s', async ([name, ...words]) => {
    const line = ['explore', `guest-programs/${name}`, ...words, ...SMALL];
    const { status, stdout } = await vmxlab(folder, line);
    expect(stdout).toMatch(/^PASS$/m);
    expect(status).toBe(0);
  });
});

test('wrong usage is told', async () => {
  const lines = [
    ['explore'],
    ['explore', 'two.yaml'],
    ['explore', 'many.yaml'],
    ['explore', 'guest-programs/bugs/double-injection.yaml', '--strategy', 'pct'],
    ['explore', 'later.yaml'],
    ['explore', 'lost.asm', '--strategy', 'pctt'],
    ['explore', 'lost.asm', '--depth', '0'],
    ['explore', 'lost.asm', '--states', 'many'],
    ['explore', 'lost.asm', '--exclusive', 'look'],
    ['explore', 'lost.asm', '--exclusive', 'look..nowhere'],
    ['explore', 'lost.asm', '--exclusive', 'done..look'],
    ['explore', 'lost.asm', '--replay', 'notes.txt'],
    ['explore', 'lost.asm', '--replay', 'future.json'],
    ['explore', 'lost.asm', '--replay', 'broken.json'],
    ['explore', 'lost.asm', '--replay', 'absent.json'],
    ['explore', 'lost.asm', '--save', 'lost.asm'],
  ];
  const finished = await vmxlabMany(folder, lines);
  expect(finished.map(({ status }) => status)).toEqual(lines.map(() => 2));
  expect(finished.map(({ stderr }) => stderr.split('\n')[0])).toEqual([
    'vmxlab: explore needs a file, as run does, such as',
    'vmxlab: explore: one virtual machine expected',
    'vmxlab: explore: at most 10 vCPUs can be explored',
    'vmxlab: guest-programs/bugs/double-injection.yaml: policies are not explored: what they touch \
cannot be told',
    'vmxlab: later.yaml: delays are not explored: everything begins at any time',
    "vmxlab: --strategy: expected one of all, random, pct, not 'pctt'",
    'vmxlab: --depth: expected a whole number from 1 on',
    "vmxlab: --states: expected a whole number such as 64 or 0x40, not 'many'",
    "vmxlab: --exclusive: expected two labels such as enter..leave, not 'look'",
    "vmxlab: --exclusive: the program has no label 'nowhere'",
    "vmxlab: --exclusive: 'look' does not lie behind 'done'",
    'vmxlab: notes.txt: is not a schedule that --save wrote: no JSON',
    'vmxlab: future.json: version 3 of the format is not known; explore again, and save it again',
    'vmxlab: broken.json: the schedule cannot be read',
    'vmxlab: absent.json: no such file',
    'vmxlab: lost.asm: is what is explored; give the schedule another name',
  ]);
});
