// `vmxlab run --trace` and `vmxlab trace`: every format, what trace-cmd says of it, and files that
// are no traces.

import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bash, buildCommand, folderWith, vmxlab } from '../support/command-line.ts';
import { missing } from '../support/outside-tools.ts';

const noTraceCmd = missing('trace-cmd');
if (noTraceCmd !== null) console.log(`trace-cmd is not asked: ${noTraceCmd}`);

let folder = '';

const run = async (...words: readonly string[]) => {
  const finished = await vmxlab(folder, words);
  return { ...finished, lines: finished.stdout.trimEnd().split('\n') };
};

const fileBytes = (name: string) => readFileSync(join(folder, name));

const LOCK = ['run', 'guest-programs/lock-ticket-pv.asm', '-q', '--trace'];

beforeAll(async () => {
  buildCommand();
  folder = folderWith({});
  for (const file of ['run.dat', 'run.txt', 'run.pftrace']) await run(...LOCK, file);
  const bytes = fileBytes('run.dat');
  writeFileSync(join(folder, 'short.dat'), bytes.subarray(0, bytes.length - 100));
  writeFileSync(join(folder, 'cut.dat'), bytes.subarray(0, 1000));
  const text = fileBytes('run.txt').toString();
  writeFileSync(join(folder, 'short.txt'), text.slice(0, text.lastIndexOf('\n', text.length - 2)));
  writeFileSync(join(folder, 'odd.txt'), text.replace('reason HLT', 'reason HALT'));
  writeFileSync(join(folder, 'notes.txt'), 'This is no trace.\n');
  writeFileSync(join(folder, 'empty.txt'), '');
  const foreign = '  bash-77  [001] d.h2.  12.000001: irq_handler_entry: irq=9 name=acpi\n';
  writeFileSync(join(folder, 'foreign.txt'), text.replace(/\n( +<idle>)/, `\n${foreign}$1`));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('run --trace', () => {
  test('writes what the name says, or what is asked for', async () => {
    await run(...LOCK, 'a', '--trace-format', 'dat');
    await run(...LOCK, 'b.dat', '--trace-format', 'text');
    await run(...LOCK, 'c.perfetto-trace');
    expect(fileBytes('a').equals(fileBytes('run.dat'))).toBe(true);
    expect(fileBytes('b.dat').equals(fileBytes('run.txt'))).toBe(true);
    expect(fileBytes('c.perfetto-trace').equals(fileBytes('run.pftrace'))).toBe(true);
  });

  test('leaves no other files behind', () => {
    expect(readdirSync(folder).filter((name) => name.includes('.pages'))).toEqual([]);
  });

  test('writes trace.dat into pipes, too', async () => {
    const { status, stdout } = await bash(
      folder,
      `vmxlab ${LOCK.join(' ')} >(cat > pipe.dat) --trace-format dat > /dev/null; echo $?`,
    );
    expect([status, stdout]).toEqual([0, '0\n']);
    await expect.poll(() => fileBytes('pipe.dat').equals(fileBytes('run.dat'))).toBe(true);
  });

  test.each([
    ['--trace-format needs --trace', ['run', 'guest-programs/hello.asm', '--trace-format', 'dat']],
    [
      "--trace-format: expected text, dat, perfetto, not 'xml'",
      [...LOCK, 'x', '--trace-format', 'xml'],
    ],
    ['cannot write no/such/run.dat: no such folder', [...LOCK, 'no/such/run.dat']],
  ])('%s', async (message, words) => {
    const { status, stderr } = await run(...words);
    expect([status, stderr]).toEqual([2, expect.stringContaining(`vmxlab: ${message}`)]);
  });
});

test('run --stats kvm shows the counters, as kvm_stat does', async () => {
  const words = ['run', 'guest-programs/lock-ticket-pv.asm', '--stats', 'kvm'];
  const { lines } = await run(...words);
  const { stdout } = await run(...words, '--json');
  const { vcpus } = JSON.parse(stdout);
  for (const name of Object.keys(vcpus[0].statistics)) {
    const sum = vcpus.reduce(
      (total: number, one: (typeof vcpus)[0]) => total + one.statistics[name],
      0,
    );
    expect(lines).toContain(name.padEnd(42) + String(sum).padStart(10));
  }
});

describe('trace', () => {
  test.skipIf(noTraceCmd !== null)('report prints what trace-cmd report prints', async () => {
    const theirs = await bash(
      folder,
      'trace-cmd report -N run.dat; trace-cmd report -N -t run.dat',
    );
    const ours = await bash(
      folder,
      'vmxlab trace report run.dat; vmxlab trace report run.dat --ns',
    );
    expect(ours.stdout.split('\n').length).toBeGreaterThan(100);
    expect(ours).toEqual(theirs);
  });

  test('convert makes what run would have written', async () => {
    for (const file of ['run.txt', 'run.pftrace', 'run.dat']) {
      const to = `converted-${file}`;
      expect(await run('trace', 'convert', 'run.dat', to)).toMatchObject({ status: 0, stderr: '' });
      expect(fileBytes(to).equals(fileBytes(file)), file).toBe(true);
    }
  });

  test('text, and what trace-cmd prints, is read as well, to the microsecond', async () => {
    await bash(folder, 'vmxlab trace report run.dat --ns > report.txt');
    await run('trace', 'convert', 'report.txt', 'from-report', '--to', 'dat');
    expect(fileBytes('from-report').equals(fileBytes('run.dat'))).toBe(true);
    await run('trace', 'convert', 'run.txt', 'from-text.dat');
    await run('trace', 'convert', 'from-text.dat', 'again.txt');
    // Within a microsecond, the order is that of pCPUs.
    const sorted = (name: string) => fileBytes(name).toString().split('\n').sort();
    expect(sorted('again.txt')).toEqual(sorted('run.txt'));
  });

  test('stat sums up', async () => {
    const { lines } = await run('trace', 'stat', 'run.dat');
    expect(lines[0]).toBe('Analyze events for all VMs, all VCPUs:');
    const exits = [
      ...fileBytes('run.txt')
        .toString()
        .matchAll(/: kvm_exit: vcpu \d+ reason (\w+)/g),
    ];
    const rows = lines.slice(4, -2).map((line) => line.trim().split(/ +/, 2));
    expect(rows.map(([name]) => name).sort()).toEqual(
      [...new Set(exits.map(([, name]) => name))].sort(),
    );
    // The last HLT of each of the four vCPUs has not ended.
    const counted = exits.length - 4;
    expect(rows.reduce((sum, [, count]) => sum + Number(count), 0)).toBe(counted);
    expect(lines.at(-1)).toMatch(`Total Samples:${counted}, Total events handled time:`);
    const byTime = await run('trace', 'stat', 'run.dat', '--key', 'time', '--vcpu', '1');
    expect(byTime.lines[0]).toBe('Analyze events for all VMs, VCPU 1:');
    const means = byTime.lines.slice(4, -2).map((line) => Number(/([\d.]+)us \(/.exec(line)?.[1]));
    expect(means).toEqual([...means].sort((a, b) => b - a));
    const counts = await run('trace', 'stat', 'run.dat', '--event', 'tracepoints');
    const calls = exits.filter(([, name]) => name === 'VMCALL').length;
    expect(counts.lines).toContain('kvm_exit(VMCALL)'.padEnd(42) + String(calls).padStart(10));
  });

  test('events that there are not here are left out, and named', async () => {
    const { status, stderr, lines } = await run('trace', 'report', 'foreign.txt');
    expect(status).toBe(0);
    const left = 'left out, for there are no such tracepoints here: irq_handler_entry (1)\n';
    expect(stderr).toBe(`foreign.txt: ${left}`);
    expect(lines.length).toBe((await run('trace', 'report', 'run.txt')).lines.length);
  });

  test.each([
    ['short.dat: offset 0x', ['report', 'short.dat']],
    ['cut.dat: offset 0x', ['stat', 'cut.dat']],
    [
      /short\.txt: line \d+: expected more events: the head says \d+, but there are \d+/,
      ['report', 'short.txt'],
    ],
    [
      /odd\.txt: line \d+: expected the text of kvm_exit, found "vcpu \d reason HALT/,
      ['report', 'odd.txt'],
    ],
    ["notes.txt: line 1: expected 'task-pid", ['convert', 'notes.txt', 'x.dat']],
    ['empty.txt: is empty', ['report', 'empty.txt']],
    ['run.pftrace: offset 0x0: expected trace.dat or text', ['report', 'run.pftrace']],
    ['missing.dat: no such file', ['report', 'missing.dat']],
    ['guest-programs: is a directory, not a file', ['report', 'guest-programs']],
    ['run.dat: is what is read', ['convert', 'run.dat', './run.dat']],
    ["expected 'vmxlab trace convert FROM TO'", ['convert', 'run.dat']],
    ["'raport' is not something to do with a trace; did you mean 'report'?", ['raport', 'run.dat']],
    [
      "--event: expected vmexit, mmio, ioport, msr, tracepoints, not 'x'",
      ['stat', 'run.dat', '--event', 'x'],
    ],
    ["--key: expected sample or time, not 'x'", ['stat', 'run.dat', '--key', 'x']],
    [
      '--vcpu: there is no vCPU 99 in run.dat; known: 0 to 3\n',
      ['stat', 'run.dat', '--vcpu', '99'],
    ],
    [
      '--vcpu: tracepoints are counted of all; expected --event vmexit, mmio, ioport, msr\n',
      ['stat', 'run.dat', '--event', 'tracepoints', '--vcpu', '0'],
    ],
    [
      '--key: tracepoints are counted of all; expected --event vmexit',
      ['stat', 'run.dat', '--event', 'tracepoints', '--key', 'time'],
    ],
    ["--to: expected text, dat, perfetto, not 'x'", ['convert', 'run.dat', 'y', '--to', 'x']],
    ['trace needs to know what to do', []],
  ])('refuses: %s', async (message, words) => {
    const { status, stderr } = await run('trace', ...words);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^vmxlab: /);
  });
});
