// Policies from files: which are loaded, and what is said of those that cannot be.

import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { runCheckJob } from '../../src/cli/check-job.ts';
import { profileCommand } from '../../src/cli/profile-command.ts';
import { NO_INPUT_OPTIONS } from '../../src/cli/program.ts';
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
    'hang.js': 'export default () => { for (;;); };\n',
    'none.js': 'export const spin = 1;\n',
    'wrong.js': 'export default function (\n',
    'ts.yaml': scenario('exits: { IO_INSTRUCTION: shout.ts }'),
    'js.yaml': scenario('exits: { IO_INSTRUCTION: shout.js }'),
    'cjs.yaml': scenario('exits: { IO_INSTRUCTION: shout.cjs }'),
    'hang.yaml': `${scenario('exits: { IO_INSTRUCTION: hang.js }')}check: |\n  EXPECT: 7\n`,
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

describe('a policy that does not return ends the run', () => {
  /** Real time in ms that it is given here. */
  const LIMIT_MS = 100;
  const SAYS = 'the policy vms[0].policies.exits.IO_INSTRUCTION does not return, within 0.1 s';

  test('of check', () => {
    const path = join(folder, 'hang.yaml');
    const assembly = { defines: {}, includes: [], syntax: undefined, linked: [] };
    const job = { path, index: 0, seed: null, flags: [], assembly };
    const outcome = runCheckJob(job, LIMIT_MS);
    if (outcome.kind !== 'verdict') throw new Error(outcome.lines.join());
    const { ending, failures } = outcome.verdict;
    expect(ending).toMatchObject({ status: 'policyFailed', exitCode: 20 });
    expect(failures[0].lines[0].text).toContain(SAYS);
  });

  test('of profile', () => {
    const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    const options = { ...NO_INPUT_OPTIONS, json: false, output: undefined, step: 0, top: 3 };
    const status = profileCommand({ ...options, file: join(folder, 'hang.yaml') }, LIMIT_MS);
    const text = written.mock.calls.map(([words]) => words).join('');
    written.mockRestore();
    expect([status, text]).toEqual([20, expect.stringContaining(SAYS)]);
  });
});
