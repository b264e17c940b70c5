// Faults as their users have them: recorded, replayed and looked at in the debugger; in files that
// trace-cmd and Perfetto read; on both engines at once.

import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { buildCommand, folderWith, vmxlabMany } from '../support/command-line.ts';
import { missing } from '../support/outside-tools.ts';

const noTraceCmd = missing('trace-cmd');
if (noTraceCmd !== null) console.log(`trace-cmd is not asked: ${noTraceCmd}`);
const noProtoc = missing('protoc');
if (noProtoc !== null) console.log(`Perfetto's traces are not read: ${noProtoc}`);

const GUEST = 'guest-programs/lock-tas.asm -D ITERATIONS=30 --vcpus 3 --hogs 0 --seed 4'.split(' ');
const AT = 'spurious-exit,at=again,nth=20';
const LOCK = 'preempt,lock=lock_byte:1,nth=15,for=100us';
const FAULTS = ['--fault', AT, '--fault', LOCK];

// protos/perfetto/trace: the fields that matter here, as published.
const SCHEMA = `
syntax = "proto2";
message Annotation { optional string string_value = 6; optional string name = 10; }
message Event { optional string name = 23; repeated Annotation debug_annotations = 4; }
message Packet { optional uint64 timestamp = 8; optional Event track_event = 11; }
message Trace { repeated Packet packet = 1; }
`;

/** What it prints without faults is what it prints with them: both are legal. */
const COUNTED = '90\n';

let folder = '';
/** Times in ns of the two faults, and what is told of them, by our own report. */
let told: readonly (readonly [timeNs: number, text: string])[] = [];

function faultsIn(report: string): [number, string][] {
  return [...report.matchAll(/ (\d+)\.(\d{9}): fault: +(.*)$/gm)].map(
    ([, seconds, fraction, text]) => [Number(seconds) * 1e9 + Number(fraction), text],
  );
}

beforeAll(async () => {
  buildCommand();
  folder = folderWith({ 'trace.proto': SCHEMA });
  const traces = ['t.dat', 't.pftrace'].map((name) => [
    'run',
    ...GUEST,
    ...FAULTS,
    '-q',
    '--trace',
    name,
  ]);
  const runs = await vmxlabMany(folder, [
    ...traces,
    ['record', ...GUEST, ...FAULTS, '-o', 'faulty.rec'],
    ['trace', 'report', 't.dat', '--ns'],
  ]);
  for (const [i, { status, stderr, stdout }] of runs.entries()) {
    expect([status, stderr]).toEqual([0, '']);
    if (i < traces.length) expect(stdout).toBe(COUNTED);
  }
  told = faultsIn(runs[3].stdout);
}, 60_000);

afterAll(() => rmSync(folder, { recursive: true, force: true }));

test('each happens once', () => {
  const kinds = told.map(([, text]) => /number (\d) (\S+) vm 0/.exec(text)?.slice(1));
  expect(kinds.sort()).toEqual([
    ['0', 'spurious-exit'],
    ['1', 'preempt'],
  ]);
});

test.skipIf(noTraceCmd !== null)('trace-cmd tells of them at the same times', () => {
  const report = execFileSync('trace-cmd', ['report', '-t', join(folder, 't.dat')], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  expect(faultsIn(report)).toEqual(told);
});

test.skipIf(noProtoc !== null)('Perfetto has them at the same times', () => {
  const options = ['--decode=Trace', `--proto_path=${folder}`, 'trace.proto'];
  const input = readFileSync(join(folder, 't.pftrace'));
  const text = execFileSync('protoc', options, { input, encoding: 'utf8' });
  const packets = text.split(/^packet /m).filter((packet) => /^ {4}name: "fault"$/m.test(packet));
  const found = packets.map((packet) => {
    const kind = /string_value: "(\S+)"\s+name: "kind"/.exec(packet)?.[1];
    return [Number(/timestamp: (\d+)/.exec(packet)?.[1]), kind];
  });
  expect(found).toEqual(told.map(([ns, line]) => [ns, /number \d (\S+)/.exec(line)?.[1]]));
});

test('a recording replays, on every engine', async () => {
  const replays = await vmxlabMany(folder, [
    ['replay', 'faulty.rec'],
    ['replay', 'faulty.rec', '--engine', 'interpreter', '--skip', 'off'],
  ]);
  for (const { status, stdout } of replays) {
    expect([status, stdout]).toEqual([0, expect.stringMatching(/^faulty\.rec: the same in /)]);
  }
  const [other] = await vmxlabMany(folder, [['replay', 'faulty.rec', '--fault', LOCK]]);
  expect(other.status).not.toBe(0);
});

test('the debugger goes to a fault, and back to it over both, to the same state', async () => {
  const [[first], [last]] = told;
  const looks = ['-e', 'info registers', '-e', 'info threads'];
  const session = (...places: readonly number[]) => [
    ...['debug', 'faulty.rec', '--batch'],
    ...places.flatMap((ns) => ['-e', `goto ${ns}ns`]),
    ...looks,
  ];
  const end = last + 50_000;
  const [there, back, behind, backBehind] = await vmxlabMany(folder, [
    session(first + 1000),
    session(end, first + 1000),
    session(last + 1000),
    session(end, first, last + 1000),
  ]);
  const state = ({ stdout }: { stdout: string }) => {
    const at = stdout.indexOf('(vmxlab) info registers');
    expect(at).toBeGreaterThan(0);
    return stdout.slice(at);
  };
  // A real-time thread has its pCPU.
  expect(state(there)).toMatch(/vcpu0 .* waits for pCPU 0\n/);
  expect(state(back)).toBe(state(there));
  expect(state(backBehind)).toBe(state(behind));
  expect(state(behind)).not.toBe(state(there));
});

test.each([AT, LOCK])('both engines do the same under %s', async (fault) => {
  const words = [...GUEST, '--fault', fault, '--engine', 'check', '--json'];
  const [{ status, stdout }] = await vmxlabMany(folder, [['run', ...words]]);
  const { faults, status: ending } = JSON.parse(stdout);
  expect([status, ending, faults]).toEqual([0, 'halted', [expect.objectContaining({ count: 1 })]]);
});
