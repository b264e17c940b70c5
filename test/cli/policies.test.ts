// Policies from files: which are loaded, and what is said of those that cannot be.

import { rmSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildCommand, folderWith, vmxlab } from '../support/command-line.ts';

let folder = '';

const scenario = (policies: string) =>
  `vms:\n  - program: halts.asm\n    policies: { ${policies} }\n`;

beforeAll(() => {
  buildCommand();
  folder = folderWith({
    'halts.asm': 'bits 64\nmov al, 7\nout 0xf4, al\n',
    'shout.ts':
      'export default (vcpu: unknown, pcpu: unknown): string => { throw new Error("ho"); };\n',
    'shout.js': 'export default () => { throw new Error("hey"); };\n',
    'shout.cjs': 'module.exports = () => { throw new Error("hm"); };\n',
    'none.js': 'export const spin = 1;\n',
    'wrong.js': 'export default function (\n',
    'ts.yaml': scenario('exits: { IO_INSTRUCTION: shout.ts }'),
    'js.yaml': scenario('exits: { IO_INSTRUCTION: shout.js }'),
    'cjs.yaml': scenario('exits: { IO_INSTRUCTION: shout.cjs }'),
    'none.yaml': scenario('spin: none.js'),
    'wrong.yaml': scenario('spin: wrong.js'),
    'missing.yaml': scenario('spin: missing.js'),
    'reason.yaml': scenario('exits: { IO: shout.js }'),
  });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a policy is loaded', () => {
  test.each([
    ['ts', 'ho'],
    ['js', 'hey'],
    ['cjs', 'hm'],
  ])('from %s', async (kind, word) => {
    const { status, stdout, stderr } = await vmxlab(folder, ['run', `${kind}.yaml`]);
    expect(stdout).toContain(
      `Policy failed: the policy vms[0].policies.exits.IO_INSTRUCTION throws ${word},`,
    );
    expect([status, stderr]).toEqual([20, '']);
  });
});

describe('a policy that cannot be loaded', () => {
  test.each([
    ['none', 'the policy vms[0].policies.spin is what its module exports by default, a function'],
    ['wrong', 'the policy vms[0].policies.spin cannot be loaded: '],
    ['missing', 'the policy vms[0].policies.spin cannot be loaded: Cannot find module'],
    ['reason', "there is no exit reason 'IO'"],
  ])('is wrong input: %s', async (name, message) => {
    const { status, stdout, stderr } = await vmxlab(folder, ['run', `${name}.yaml`]);
    expect([status, stdout]).toEqual([2, '']);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain('    at ');
  });
});
