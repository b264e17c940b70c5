// Our KVM API beside the real one: the same programs give the same exits, members of kvm_run and
// registers. What the real one says is recorded in recorded.txt; where /dev/kvm opens, it is asked
// again, so that the record cannot lie. VMXLAB_UPDATE_GOLDEN=1 records anew there.
//
// The kernel that was recorded runs guests at CPL 0 through its instruction emulator, so the record
// is good for the sequence and shape of exits, not for debug traps that only hardware gives.

import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { KVM_PROGRAM_NAMES, kvmScript } from '../support/kvm-programs.ts';
import { runKvmScript } from '../support/kvm-script.ts';
import { wrongUses } from '../support/kvm-wrong-uses.ts';
import { missing } from '../support/outside-tools.ts';

const RECORD = join(import.meta.dirname, 'recorded.txt');
const RECORDED_ERRORS = join(import.meta.dirname, 'recorded-errors.txt');

/** The lines of each program, by its name. */
function byProgram(lines: readonly string[]): Map<string, readonly string[]> {
  const found = new Map<string, string[]>();
  let own: string[] = [];
  for (const line of lines) {
    if (line.startsWith('# ')) {
      own = [];
      found.set(line.slice(2), own);
    } else if (line !== '') own.push(line);
  }
  return found;
}

/** RF of a guest that is shut down is not looked at: whether it is set depends on the fault. */
function comparable(line: string): string {
  const shutdown = /^SHUTDOWN .* rflags=([0-9a-f]+)/.exec(line);
  if (shutdown === null) return line;
  const flags = Number.parseInt(shutdown[1] ?? '0', 16) & ~0x10000;
  return line.replace(/rflags=[0-9a-f]+/, `rflags=${flags.toString(16)}`);
}

const read = (path: string) => readFileSync(path, 'utf8').split('\n');

describe('programs', () => {
  const recorded = byProgram(read(RECORD));
  let ours: ReadonlyMap<string, readonly string[]> = new Map();

  beforeAll(() => {
    ours = byProgram(runKvmScript(kvmScript()));
  });

  test('there are enough, and all are recorded', () => {
    expect(KVM_PROGRAM_NAMES.length).toBeGreaterThanOrEqual(30);
    expect([...recorded.keys()]).toEqual(KVM_PROGRAM_NAMES);
  });

  test.each(KVM_PROGRAM_NAMES)('%s', (name) => {
    expect((ours.get(name) ?? []).map(comparable)).toEqual(
      (recorded.get(name) ?? []).map(comparable),
    );
  });
});

describe('wrong use', () => {
  const recorded = new Map(
    read(RECORDED_ERRORS)
      .filter((line) => line !== '')
      .map((line) => line.split(' ') as [string, string]),
  );
  const uses = wrongUses();

  test.each(uses)('%s', (name, use) => {
    expect(recorded.has(name), 'is not recorded').toBe(true);
    expect(use()).toBe(recorded.get(name));
  });
});

/** Why the real one cannot be asked, or null. */
function whyNotReal(): string | null {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
  } catch {
    return '/dev/kvm does not open here';
  }
  return missing('gcc');
}

const reason = whyNotReal();
if (reason !== null) console.log(`not compared with the real KVM: ${reason}`);

describe.skipIf(reason !== null)('the real KVM', () => {
  let folder = '';
  const runner = () => join(folder, 'runner');

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'vmxlab-kvm-'));
    const source = join(import.meta.dirname, 'kvm-runner.c');
    execFileSync('gcc', ['-D_GNU_SOURCE', '-O1', '-o', runner(), source]);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('says what is recorded', () => {
    const output = execFileSync(runner(), { input: kvmScript(), encoding: 'utf8' });
    if (process.env.VMXLAB_UPDATE_GOLDEN === '1') writeFileSync(RECORD, output);
    expect(output).toBe(readFileSync(RECORD, 'utf8'));
  });

  test('refuses what is recorded', () => {
    const output = execFileSync(runner(), ['errors'], { encoding: 'utf8' });
    if (process.env.VMXLAB_UPDATE_GOLDEN === '1') writeFileSync(RECORDED_ERRORS, output);
    expect(output).toBe(readFileSync(RECORDED_ERRORS, 'utf8'));
  });
});
