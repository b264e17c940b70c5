// `vmxlab asm`, `disasm`, `exits`, `schema`, `completion` and `--help`: what they print and write.

import { accessSync, constants, existsSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  bash,
  buildCommand,
  folderWith,
  MAIN,
  vmxlab,
  vmxlabMany,
} from '../support/command-line.ts';

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith({
    'tiny.asm':
      'bits 64\norg 0x7c00\nlimit equ 3\nstart:\n  mov eax, [rel .value]\n.value: dd limit\n',
    'defined.asm': 'bits 64\n%include "five.inc"\ndb FIVE, SIX, COUNT\n',
    noext: 'bits 64\nnop\n',
    '-dash.asm': 'bits 64\nhlt\n',
  });
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const bytesOf = (name: string) => readFileSync(join(folder, name)).toString('hex');

/** MOV EAX, [RIP + 0] and the value; worked out by hand from the SDM, 8B /r with ModR/M 05. */
const TINY = '8b050000000003000000';

// npx links to it once, and later runs what it finds there: a build has to leave it executable.
test('the command may be executed as it is built', () => {
  expect(() => accessSync(MAIN, constants.X_OK)).not.toThrow();
});

// V8 keeps a field that was undefined at first as anything, which slows down all that reads it.
test('no class of the packed command declares a field without a value', () => {
  const packed = readFileSync(join(dirname(MAIN), 'vmxlab.cjs'), 'utf8');
  const classes = packed.match(/\bclass( [\w$]+)?( extends [\w$.]+)?\{/g) ?? [];
  expect(classes.length).toBeGreaterThan(200);
  const bare = /\bclass(?: [\w$]+)?(?: extends [\w$.]+)?\{(?:#?[\w$]+(?:=[\w$.]+)?;)*?#?[\w$]+;/g;
  expect(packed.match(bare)).toBeNull();
});

/** In the order of the help. */
const COMMANDS = [
  'run',
  'check',
  'explore',
  'fuzz',
  'experiment',
  'profile',
  'record',
  'replay',
  'debug',
  'gdb',
  'dap',
  'asm',
  'disasm',
  'exits',
  'presets',
  'trace',
  'schema',
  'completion',
];

describe('asm', () => {
  test('writes beside the source, and says nothing', async () => {
    const { status, stdout, stderr } = await vmxlab(folder, ['asm', 'tiny.asm']);
    expect([status, stdout, stderr]).toEqual([0, '', '']);
    expect(bytesOf('tiny.bin')).toBe(TINY);
  });

  test('never over a source without extension', async () => {
    expect((await vmxlab(folder, ['asm', 'noext'])).status).toBe(0);
    expect([bytesOf('noext.bin'), existsSync(join(folder, 'noext'))]).toEqual(['90', true]);
    expect(readFileSync(join(folder, 'noext'), 'utf8')).toBe('bits 64\nnop\n');
  });

  test('writes bytes to standard output', async () => {
    const { stdout } = await bash(folder, 'vmxlab asm tiny.asm -o - | od -An -v -tx1');
    expect(stdout.replace(/\s/g, '')).toBe(TINY);
  });

  test('listing and symbols', async () => {
    const words = ['asm', 'tiny.asm', '-ox.bin', '-l', '-', '--symbols'];
    const { stdout } = await vmxlab(folder, words);
    expect(stdout.split('\n')).toEqual([
      '     1                                  bits 64',
      '     2                                  org 0x7c00',
      '     3                                  limit equ 3',
      '     4                                  start:',
      '     5 00000000 8B0500000000              mov eax, [rel .value]',
      '     6 00000006 03000000                .value: dd limit',
      '0000000000000003 a limit',
      '0000000000007c00 t start',
      '0000000000007c06 t start.value',
      '',
    ]);
    await vmxlab(folder, ['asm', 'tiny.asm', '-o', 'y.bin', '-l', 'y.lst']);
    expect(readFileSync(join(folder, 'y.lst'), 'utf8').split('\n').slice(0, 6)).toEqual(
      stdout.split('\n').slice(0, 6),
    );
  });

  test('--json', async () => {
    const { stdout } = await vmxlab(folder, ['asm', 'tiny.asm', '-o', 'z.bin', '--json']);
    const document = JSON.parse(stdout);
    expect(document).toMatchObject({ output: 'z.bin', lengthBytes: 10, origin: '7c00' });
    expect(document.symbols.map(({ name }: { name: string }) => name)).toEqual([
      'limit',
      'start',
      'start.value',
    ]);
  });

  test('defines and include folders, joined to the flag or not', async () => {
    const inc = folderWith({ 'five.inc': '%define FIVE 5\n' });
    const words = ['asm', 'defined.asm', '-DSIX=6', '-D', 'COUNT=7', `-I${inc}`, '-o', 'd.bin'];
    const { status, stderr } = await vmxlab(folder, words);
    rmSync(inc, { recursive: true });
    expect([status, stderr, bytesOf('d.bin')]).toEqual([0, '', '050607']);
  });

  test('a file that begins with a hyphen, behind --', async () => {
    const { status } = await vmxlab(folder, ['asm', '-o', 'dash.bin', '--', '-dash.asm']);
    expect([status, bytesOf('dash.bin')]).toEqual([0, 'f4']);
  });
});

describe('disasm', () => {
  test('a source stands where it says', async () => {
    const { stdout } = await vmxlab(folder, ['disasm', 'tiny.asm', '--length', '6']);
    expect(stdout).toBe(
      '00007c00 <start>:\n' +
        '00007c00  8B0500000000          mov eax, [rel 0x7c06]  ; <start.value>\n',
    );
  });

  test('--origin may be in the higher half', async () => {
    const words = ['disasm', 'noext', '--origin', '0xFFFFFFFF80000000', '--length', '1', '--json'];
    const { instructions } = JSON.parse((await vmxlab(folder, words)).stdout);
    // A file that is no source: 62 is the b of 'bits', which 64-bit mode has not.
    expect(instructions).toEqual([
      { address: 'ffffffff80000000', bytes: '62', text: expect.stringMatching(/^db 0x62/) },
    ]);
  });

  test('what it prints of a program can be assembled to the same program', async () => {
    const program = 'guest-programs/lock-ticket-pv.asm';
    await vmxlab(folder, ['asm', program, '-o', 'lock.bin']);
    const { stdout } = await vmxlab(folder, ['disasm', 'lock.bin']);
    const lines = stdout.trimEnd().split('\n');
    // A plain number is no address in NASM's eyes; its distance to the start is.
    const sources = lines.map((line) =>
      line
        .replace(/^\w+ +\w+ +/, '')
        .replace(/(?<=\[rel |^(?:j\w+|call|loop\w*) )(0x\w+)/, '$$$$ + $1 - 0x100000'),
    );
    await bash(
      folder,
      `cat > again.asm <<'END'\nbits 64\norg 0x100000\n${sources.join('\n')}\nEND`,
    );
    expect((await vmxlab(folder, ['asm', 'again.asm', '-o', 'again.bin'])).stderr).toBe('');
    expect(bytesOf('again.bin')).toBe(bytesOf('lock.bin'));
    expect(lines.map((line) => line.split(/ +/)[1]).join('')).toBe(
      bytesOf('lock.bin').toUpperCase(),
    );
  });
});

/**
 * Numbers and KVM's names of the exits that the laboratory knows, from the table of basic exit
 * reasons in the SDM's appendix and Linux arch/x86/include/uapi/asm/vmx.h.
 */
const EXITS = `0 EXCEPTION_NMI 1 EXTERNAL_INTERRUPT 2 TRIPLE_FAULT 3 INIT_SIGNAL 4 SIPI_SIGNAL
  7 INTERRUPT_WINDOW 8 NMI_WINDOW 9 TASK_SWITCH 10 CPUID 12 HLT 13 INVD 14 INVLPG 15 RDPMC 16 RDTSC
  18 VMCALL 19 VMCLEAR 20 VMLAUNCH 21 VMPTRLD 22 VMPTRST 23 VMREAD 24 VMRESUME 25 VMWRITE 26 VMOFF
  27 VMON 28 CR_ACCESS 29 DR_ACCESS 30 IO_INSTRUCTION 31 MSR_READ 32 MSR_WRITE 33 INVALID_STATE
  34 MSR_LOAD_FAIL 36 MWAIT_INSTRUCTION 37 MONITOR_TRAP_FLAG 39 MONITOR_INSTRUCTION
  40 PAUSE_INSTRUCTION 41 MCE_DURING_VMENTRY 43 TPR_BELOW_THRESHOLD 44 APIC_ACCESS 45 EOI_INDUCED
  46 GDTR_IDTR 47 LDTR_TR 48 EPT_VIOLATION 49 EPT_MISCONFIG 50 INVEPT 51 RDTSCP 52 PREEMPTION_TIMER
  53 INVVPID 54 WBINVD 55 XSETBV 56 APIC_WRITE 58 INVPCID 62 PML_FULL 67 UMWAIT 68 TPAUSE
  74 BUS_LOCK 75 NOTIFY`;

describe('exits', () => {
  test('lists numbers, names and meanings', async () => {
    const { stdout } = await vmxlab(folder, ['exits']);
    const [head, ...lines] = stdout.trimEnd().split('\n');
    expect(head).toBe('No.  EXIT_REASON_           Here  Meaning');
    const rows = lines.map((line) => /^ *(\d+) {2}(\w+) +(yes|-) +(\S.*)$/.exec(line) ?? []);
    expect(rows.map(([, number, name]) => `${number} ${name}`).join(' ')).toBe(
      EXITS.replace(/\s+/g, ' '),
    );
    const meanings = rows.map(([, , , , meaning]) => meaning);
    expect(new Set(meanings).size).toBe(meanings.length);
  });

  test.each(['hlt', '12', 'EXIT_REASON_HLT'])('%s is reason 12', async (reason) => {
    const { stdout } = await vmxlab(folder, ['exits', reason, '--json']);
    expect(JSON.parse(stdout).exits).toMatchObject([
      { number: 12, name: 'HLT', meaning: 'the guest executed HLT', handled: true },
    ]);
  });

  // Bits of the control words and of the qualification: SDM 3, "VM-Execution Control Fields" and
  // "Exit Qualification for MOV DR".
  test.each([
    [
      'HLT',
      ['CPU_BASED_VM_EXEC_CONTROL bit 7, "HLT exiting"', 'qualification  0', 'handler        hlt'],
    ],
    ['DR_ACCESS', ['bit 23, "MOV-DR exiting"', 'bits 2:0 ', 'bit 4 ', 'bits 11:8 ', '2 RDX']],
    ['PAUSE_INSTRUCTION', ['SECONDARY_VM_EXEC_CONTROL bit 10, "PAUSE-loop exiting"', 'PLE_GAP']],
    ['PML_FULL', ['handler        none']],
    ['TASK_SWITCH', [' yes ', 'bits 31:30', 'handler        taskSwitch']],
    ['INVALID_STATE', ['handler        none: the entry has failed']],
  ])('%s says what asks for it, its qualification, and who handles it', async (reason, parts) => {
    const { stdout } = await vmxlab(folder, ['exits', reason]);
    for (const part of parts) expect(stdout).toContain(part);
  });

  test('every reason has its page', async () => {
    const lines = (EXITS.match(/[A-Z]\w+/g) ?? []).map((name) => ['exits', name]);
    const pages = await vmxlabMany(folder, lines);
    pages.forEach(({ status, stdout }, i) => {
      expect([lines[i], status]).toEqual([lines[i], 0]);
      expect(stdout).toMatch(/^qualification /m);
      expect(stdout).toMatch(/^SDM 3 +"\w/m);
    });
  });
});

test.each(['scenario', 'experiment'])('schema prints the one of %s in docs', async (of) => {
  const { stdout } = await vmxlab(folder, ['schema', of]);
  const documented = join(import.meta.dirname, `../../docs/${of}.schema.json`);
  expect(JSON.parse(stdout)).toEqual(JSON.parse(readFileSync(documented, 'utf8')));
});

describe('presets', () => {
  test('prints every value of a kernel with its source', async () => {
    const { stdout } = await vmxlab(folder, ['presets', 'linux-4.8']);
    const [head, ...lines] = stdout.trimEnd().split('\n');
    expect(head).toBe('kernel linux-4.8: host.kernel');
    for (const line of lines) expect(line).toMatch(/^ {2}(host\.|vms\[\]\.)\S+ +\S+ +\S/);
    expect(stdout).toMatch(/kvm\.halt_poll_ns +400000 /);
  });

  test('prints machines with their costs, and everything as JSON', async () => {
    const { stdout } = await vmxlab(folder, ['presets', 'skylake-sp']);
    expect(stdout).toMatch(/^ {2}host\.costs\.instructions\.pause +140 +\[opt\]$/m);
    const all = JSON.parse((await vmxlab(folder, ['presets', '--json'])).stdout);
    expect(all.presets).toHaveLength(14);
  });

  test('prints what a machine does not have', async () => {
    const { stdout } = await vmxlab(folder, ['presets', 'xeon5160x2']);
    expect(stdout).toMatch(
      /^ {2}features\.ple +no +\[rec\] before Nehalem PAUSE-loop exiting; wi/m,
    );
    expect(stdout).toMatch(/^ {2}topology\.packages +2 /m);
  });

  test('says what is meant by a name that is not known', async () => {
    const { status, stderr } = await vmxlab(folder, ['presets', 'linux-4.11']);
    expect([status, stderr.split('\n', 1)[0]]).toEqual([
      2,
      "vmxlab: there is no machine or kernel 'linux-4.11'; did you mean 'linux-4.12'?",
    ]);
  });
});

describe('help', () => {
  test('lists the commands', async () => {
    const { status, stdout } = await vmxlab(folder, ['--help']);
    const commands = [...stdout.matchAll(/^ {2}vmxlab (\w+)/gm)].map((match) => match[1]);
    expect(commands).toEqual(COMMANDS);
    expect(status).toBe(0);
  });

  const helpful = COMMANDS.filter((command) => command !== 'completion');

  test.each(helpful)('%s has examples', async (command) => {
    const { stdout } = await vmxlab(folder, [command, '-h']);
    expect(stdout).toContain(`\nExamples:\n  vmxlab ${command} `);
    expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([]);
    if (command !== 'run') return;
    // Without --hogs there are none.
    const entry = /--hogs ([^-]*)/.exec(stdout)?.[1] ?? '';
    expect(entry.replace(/\s+/g, ' ')).toContain('(default 0)');
  });

  test('--version is that of the package', async () => {
    const path = join(import.meta.dirname, '../../package.json');
    const { version } = JSON.parse(readFileSync(path, 'utf8'));
    expect((await vmxlab(folder, ['--version'])).stdout).toBe(`${version}\n`);
  });
});

test('completion in bash', async () => {
  const cases: Readonly<Record<string, readonly string[]>> = {
    'vmxlab ': COMMANDS,
    'vmxlab run --m': ['--machine', '--memory', '--module', '--max-instructions'],
    // Nothing of ours: bash goes on with its own completion of file names.
    'vmxlab run tin': [],
  };
  const tries = Object.keys(cases).flatMap((line) => {
    const words = line.split(' ');
    return [
      `COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')})`,
      `COMP_CWORD=${words.length - 1}; COMP_LINE='${line}'; COMP_POINT=${line.length}`,
      '$complete',
      `echo "\${COMPREPLY[*]}"`,
    ];
  });
  const script = [
    'source <(vmxlab completion)',
    "complete=$(complete -p vmxlab | sed 's/.*-F \\([^ ]*\\).*/\\1/')",
    ...tries,
    'complete -p vmxlab',
  ];
  const { stdout, stderr } = await bash(folder, script.join('\n'));
  expect(stderr).toBe('');
  const lines = stdout.trimEnd().split('\n');
  expect(lines.at(-1)).toContain('-o default');
  const offered = lines.slice(0, -1).map((line) => line.split(' ').filter((word) => word !== ''));
  expect(offered.map((words) => words.sort())).toEqual(
    Object.values(cases).map((words) => [...words].sort()),
  );
});
