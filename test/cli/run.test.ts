// `vmxlab run`: every documented exit code, the same bytes twice, and what becomes of traces, of
// Ctrl-C, of readers that go away, of terminals, and of errors in vmxlab itself.

import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bash, buildCommand, folderWith, MAIN, UNPACKED, vmxlab } from '../support/command-line.ts';
import { missing } from '../support/outside-tools.ts';

const MACHINE = pathToFileURL(join(dirname(MAIN), '../machine/index.js')).href;

/** A module that does something to the machine before each turn. */
const meddle = (how: string) =>
  [
    `import { Machine } from '${MACHINE}';`,
    'const { run } = Machine.prototype;',
    `Machine.prototype.run = function (until) { ${how}; return run.call(this, until); };`,
  ].join('\n');

const SCENARIO = `
seed: 5
note: everything that can be said
host: { pcpus: 3, hz: 1000, machine: skylake-sp, lookahead: 700 }
vms:
  - name: lock
    program: guest-programs/lock-ticket.asm
    vcpus: 2
    memory: 4M
    pin: ["0-1"]
    nice: 3
    defines: { UNUSED: 5 }
    kvm: { ple_window: 8192, kick_yields: false }
  - { name: hello, program: guest-programs/hello.asm, pin: ["2"] }
  - { name: boot, program: guest-programs/multiboot-hello.asm, append: a b, modules: [exit.asm c] }
hogs: [{ count: 2, nice: 5, pin: "1" }]
limits: { time: 2ms, instructions: 3M }
`;

const noTerminal = missing('script');

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith({
    'loop.asm': "bits 64\nmov al, 'x'\nout 0xe9, al\nspin: jmp spin\n",
    'pause.asm': 'bits 64\nspin: pause\njmp spin\n',
    'reset.asm': 'bits 64\nmov al, 0xfe\nout 0x64, al\n',
    'exit.asm': 'bits 64\nmov al, VALUE\nout 0xf4, al\n',
    'asleep.asm': 'bits 64\nsti\nhlt\n',
    'missing.asm': 'bits 64\njmp $ + 0x4000000\n',
    'halt.asm': 'bits 64\ncli\nhlt\n',
    'unexpected.asm': '; CHECK: reason VMCALL\nbits 64\ncli\nhlt\n',
    'policy.yaml': 'vms: [{program: halt.asm, policies: {exits: {HLT: policy.js}}}]\n',
    'policy.js': 'export default () => { throw new Error("no more"); };\n',
    'serial.asm': "bits 64\nmov al, 'S'\nmov edx, 0x3f8\nout dx, al\ncli\nhlt\n",
    'warned.asm': 'hlt\n',
    'all.yaml': SCENARIO,
    'no-entry.mjs': meddle("this.vms[0].vcpus[0].virtual.vmcs.write('GUEST_RFLAGS', 0)"),
    // HLT is exit reason 12.
    'no-exit.mjs': meddle(
      "this.vms[0].handlers[12] = () => ({ reason: 'INTERNAL_ERROR', suberror: 4, message: 'no' })",
    ),
    'slow.mjs': meddle(
      'this.turns = (this.turns ?? 0) + 1; if (this.turns <= 20) ' +
        'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 60)',
    ),
    'broken.mjs': meddle("if (this.instructions > 1000) throw new Error('broken on purpose')"),
  });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The codes of the table in README.md; odd ones stand in one sentence before it. */
function documentedCodes(): number[] {
  const readme = readFileSync(join(import.meta.dirname, '../../README.md'), 'utf8');
  return [...readme.matchAll(/^\| (\d+) \|/gm)].map((match) => Number(match[1]));
}

const CODES: readonly (readonly [
  code: number,
  line: string,
  said: string,
  preload: string | null,
])[] = [
  [0, 'run guest-programs/hello.asm', 'Halted: every vCPU is halted with interrupts off.', null],
  [
    4,
    'run loop.asm --until 1ms',
    'Limit reached: still running after 1ms, the limit; raise it',
    null,
  ],
  [
    4,
    'run loop.asm --max-instructions 1000',
    'with --max-instructions, or limits.instructions',
    null,
  ],
  [6, 'run guest-programs/triple-fault.asm', 'Triple fault: vCPU 0 met a triple fault.', null],
  [8, 'run asleep.asm', 'waits for an interrupt, but its local APIC is not enabled', null],
  [10, 'run missing.asm', 'Not implemented: vCPU 0: emulating an access to a device', null],
  [
    12,
    'run halt.asm',
    'VM entry failed: vCPU 0: VM entry failed with 0x80000021',
    './no-entry.mjs',
  ],
  [16, 'run reset.asm', 'Reset: vCPU 0 reset the machine, by port 0x64.', null],
  [14, 'run halt.asm', 'KVM internal error: vCPU 0: no.', './no-exit.mjs'],
  [18, 'check unexpected.asm', 'FAIL unexpected.asm', null],
  [20, 'run policy.yaml', 'no more', null],
  // (value << 1) | 1, as under QEMU's isa-debug-exit.
  [1, 'run exit.asm -DVALUE=0', 'Exited with 1: vCPU 0 wrote 0 to the exit port', null],
  [33, 'run exit.asm -D VALUE=16', 'Exited with 33: vCPU 0 wrote 16 to the exit port', null],
  [
    255,
    'run exit.asm --define VALUE=0xff',
    'Exited with 255: vCPU 0 wrote 255 to the exit port',
    null,
  ],
];

describe('exit codes', () => {
  test.concurrent.each(CODES)('%i: vmxlab %s', async (code, line, said, preload) => {
    const options = preload === null ? {} : { preload };
    const { status, stdout, stderr } = await vmxlab(folder, line.split(' '), options);
    expect(stdout).toContain(said);
    expect([status, stderr]).toEqual([code, '']);
  });

  test('the documented ones are these, wrong input, a fault of ours and Ctrl-C', () => {
    const even = CODES.map(([code]) => code).filter((code) => code % 2 === 0);
    expect(documentedCodes()).toEqual([...new Set([...even, 2, 70, 130])].sort((a, b) => a - b));
  });

  test('run --help lists them', async () => {
    const { stdout } = await vmxlab(folder, ['run', '--help']);
    const [, list = ''] = /Exit codes: (.*)$/s.exec(stdout) ?? [];
    const codes = [...list.matchAll(/(?:^|;\s)(\d+)\s/g)].map((match) => Number(match[1]));
    // That of check and explore, which say what they expected, is not of a run.
    expect(codes).toEqual(documentedCodes().filter((code) => code !== 18));
    expect(list).toContain('odd: (value << 1) | 1');
  });
});

describe('what is printed', () => {
  test('a guest prints, a report follows; --quiet leaves only the guest', async () => {
    const words = ['run', 'guest-programs/hello.asm'];
    const { stdout } = await vmxlab(folder, words);
    expect(stdout).toMatch(/^Hello from VMX non-root operation!\n\nHalted: /);
    expect(stdout).toMatch(/\nTry next:\n {2}vmxlab run guest-programs\/hello\.asm --trace /);
    const quiet = await vmxlab(folder, [...words, '-q']);
    expect(quiet.stdout).toBe('Hello from VMX non-root operation!\n');
  });

  test('what COM1 sends is reported', async () => {
    const { stdout } = await vmxlab(folder, ['run', 'serial.asm', '--quiet']);
    expect(stdout).toBe('COM1: S\n');
  });

  test('--stats engine says what the engine did, and --json too', async () => {
    const words = ['run', 'guest-programs/hello.asm', '--engine', 'compiled', '--stats', 'engine'];
    expect((await vmxlab(folder, words)).stdout).toMatch(/^Engine: \d+ instructions compiled/m);
    const { stats } = JSON.parse((await vmxlab(folder, [...words, '--json'])).stdout);
    expect(stats.engine.regions.compilationNs).toBeGreaterThanOrEqual(0);
    const plain = await vmxlab(folder, words.slice(0, 2));
    expect(plain.stdout).not.toContain('Engine:');
    const wrong = await vmxlab(folder, [...words.slice(0, 2), '--stats', 'engin']);
    expect(wrong).toMatchObject({ status: 2 });
    expect(wrong.stderr).toBe("vmxlab: --stats: unknown 'engin'; did you mean 'engine'?\n");
  });

  test('warnings of the assembler go to standard error', async () => {
    const { stdout, stderr } = await vmxlab(folder, ['run', 'warned.asm', '--json']);
    expect(stderr).toMatch(/^warned\.asm:1:1: warning: no 'bits 64' before the first instruction/);
    expect(JSON.parse(stdout).status).toBe('halted');
  });

  test('no escape codes where no terminal is', async () => {
    const { stdout, stderr } = await vmxlab(folder, ['run', 'guest-programs/triple-fault.asm']);
    expect(stdout + stderr).not.toContain('\x1b');
  });

  test('colour on a terminal, unless NO_COLOR says no', async (context) => {
    if (noTerminal !== null) context.skip(noTerminal);
    const line = `script -qec "'${process.execPath}' '${MAIN}' run halt.asm" /dev/null`;
    expect((await bash(folder, line, { env: { NO_COLOR: '' } })).stdout).toContain(
      '\x1b[32mHalted',
    );
    expect((await bash(folder, line, { env: { NO_COLOR: '1' } })).stdout).not.toContain('\x1b');
  });

  test('progress on a terminal, when it takes longer than a second', async (context) => {
    if (noTerminal !== null) context.skip(noTerminal);
    // The first twenty turns are held up, so that they take longer; there may be many more of them,
    // as they become shorter where they take long.
    const node = `'${process.execPath}' --import ./slow.mjs '${UNPACKED}'`;
    const command = `${node} run pause.asm --json --until 20ms > report.json`;
    const { stdout } = await bash(folder, `script -qec "${command}" /dev/null`);
    expect(stdout).toMatch(/\r[\d.]+ ms of virtual time, [\d.]+ M instructions, [\d.]+ M\/s/);
    expect(stdout).toMatch(/\r +\r$/);
    expect(stdout).not.toContain('\x1b');
    const report = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'));
    expect(report.exitCode).toBe(4);
  });
});

describe('the same twice', () => {
  test.each([
    'run all.yaml --json',
    'run guest-programs/lock-tas.asm --vcpus 3 --pcpus 2 --until 3ms --json',
  ])('vmxlab %s', async (line) => {
    const runs = [vmxlab(folder, line.split(' ')), vmxlab(folder, line.split(' '))];
    const [first, second] = await Promise.all(runs);
    expect(first?.stdout).toBe(second?.stdout);
    expect(JSON.parse(first?.stdout ?? '')).toMatchObject({ schemaVersion: 1, status: 'limit' });
  });

  test('traces too; another seed is another schedule', async () => {
    const run = (seed: number, trace: string) =>
      vmxlab(folder, ['run', 'all.yaml', '--seed', `${seed}`, '--trace', trace]);
    await Promise.all([run(5, 'a.txt'), run(5, 'b.txt'), run(6, 'c.txt')]);
    const [a = '', b, c] = ['a.txt', 'b.txt', 'c.txt'].map((name) =>
      readFileSync(join(folder, name), 'utf8'),
    );
    expect(a).toBe(b);
    expect(a).not.toBe(c);
    const entries = a.split('\n').filter((line) => /^ .*: kvm_|^ .*: sched_/.test(line)).length;
    expect(entries).toBeGreaterThan(100);
    const lines = a
      .trimEnd()
      .split('\n')
      .filter((line) => !line.startsWith('#')).length;
    expect(a).toContain(`entries-in-buffer/entries-written: ${lines}/${lines}   #P:3`);
  });

  test('flags override the header, the header the defaults', async () => {
    const count = async (words: readonly string[]) => {
      const { stdout } = await vmxlab(folder, ['run', ...words, '--until', '2ms', '--json']);
      const { vcpus, pcpus } = JSON.parse(stdout);
      return [vcpus.length, pcpus.length];
    };
    const program = 'guest-programs/lock-ticket-pv.asm';
    expect(readFileSync(join(folder, program), 'utf8')).toMatch(/^; vmxlab: vcpus=4 pcpus=2/);
    expect(await count([program])).toEqual([4, 2]);
    expect(await count([program, '--vcpus', '3'])).toEqual([3, 2]);
    expect(await count(['loop.asm'])).toEqual([1, 1]);
  });
});

describe('when someone goes away', () => {
  test.each(['exits', 'run guest-programs/triple-fault.asm', 'run all.yaml --json'])(
    'a reader who has seen enough of vmxlab %s ends it quietly',
    async (line) => {
      const { stdout, stderr } = await bash(folder, `vmxlab ${line} | head -1 > /dev/null`);
      expect([stdout, stderr]).toEqual(['', '']);
    },
  );

  test('Ctrl-C reports how far it came', async () => {
    const words = ['run', 'loop.asm', '--until', '1000s', '--max-instructions', '100G'];
    const { status, stdout, stderr } = await vmxlab(folder, words, { interruptAt: 'x' });
    expect(stdout).toMatch(/^x\n\nInterrupted: stopped by Ctrl-C; this is how far it came\.\n/);
    expect(stdout).toContain('EXTERNAL_INTERRUPT');
    expect([status, stderr]).toEqual([130, '']);
  });
});

describe('an error in vmxlab itself', () => {
  const crashFiles = () => readdirSync(folder).filter((name) => /^vmxlab-crash-/.test(name));

  test('leaves a file that makes it happen again', async () => {
    const { status, stderr } = await vmxlab(folder, ['run', 'all.yaml', '--seed', '7'], {
      preload: './broken.mjs',
    });
    const [file = ''] = crashFiles();
    expect(stderr.split('\n')).toEqual([
      'vmxlab: internal error: broken on purpose',
      'This is a fault of vmxlab 0.1.0, not of your program. Please report it with',
      `the file ${file}; 'vmxlab run ${file}' makes it happen again.`,
      '',
    ]);
    expect(status).toBe(70);
    const again = await vmxlab(folder, ['run', file], { preload: './broken.mjs' });
    expect([again.status, again.stderr.split('\n')[0]]).toEqual([
      70,
      'vmxlab: internal error: broken on purpose',
    ]);
    expect(JSON.parse(readFileSync(join(folder, file), 'utf8')).note).toMatch(
      /broken on purpose\n/,
    );
    // Where nothing is broken, the file runs as the scenario does, programs and all.
    const [original, replayed] = await Promise.all([
      vmxlab(folder, ['run', 'all.yaml', '--seed', '7', '--json']),
      vmxlab(folder, ['run', file, '--json']),
    ]);
    // It has no source, so no names for addresses.
    const withoutNames = (text = '') =>
      JSON.stringify(JSON.parse(text, (key, value) => (key === 'symbols' ? null : value)));
    expect(withoutNames(replayed?.stdout)).toBe(withoutNames(original?.stdout));
    expect(JSON.parse(replayed?.stdout ?? '').instructions).toBeGreaterThan(1000);
  });

  test('outside of a run says what to report', async () => {
    const before = crashFiles();
    const preload = folderWith({
      'broken.mjs': 'JSON.stringify = () => { throw new Error("broken on purpose"); };',
    });
    const { status, stderr } = await vmxlab(folder, ['exits', '--json'], {
      preload: join(preload, 'broken.mjs'),
    });
    rmSync(preload, { recursive: true });
    expect(stderr.split('\n').filter((line) => !line.startsWith('    at '))).toEqual([
      'vmxlab: internal error: broken on purpose',
      'This is a fault of vmxlab 0.1.0, not of your program. Please report it with',
      'the command line and this text:',
      'Error: broken on purpose',
      '',
    ]);
    expect([status, crashFiles()]).toEqual([70, before]);
  });
});
