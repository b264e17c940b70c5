// Bad input of all kinds: each mistake has its message, word for word, and exit code 2; never a
// stack trace, and nothing on standard output.

import { rmSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  bash,
  buildCommand,
  type Finished,
  folderWith,
  vmxlab,
  vmxlabMany,
} from '../support/command-line.ts';

const HELLO = 'guest-programs/hello.asm';

const FILES = {
  'loop.asm': 'bits 64\nspin: jmp spin\n',
  'four-errors.asm': [
    'bits 64',
    'start:',
    '    mvo rax, 1',
    '    mov byte [rax], 256 +',
    '    jmp strat',
    '\tmov rax, [rbx',
    '',
  ].join('\n'),
  'header.asm': '; vmxlab: vcpu=2 pcpus=1 memory\nbits 64\nhlt\n',
  'values.asm': '; vmxlab: pcpus=0 vcpus=x\nbits 64\nhlt\n',
  'origin.asm': 'bits 64\norg 0x7c00\nhlt\n',
  'empty.asm': '',
  'empty.bin': '',
  'nul.asm': 'hlt\0',
  'elf.bin': '\x7fELF and more',
  'flat.bin': '\x90',
  'keys.yaml': [
    'host:',
    '  pcpu: 2',
    'vms:',
    `  - program: ${HELLO}`,
    '    vcpus: many',
    '    kvm: { ple_windw: 5 }',
    'hogs: 3',
    'limits: { tme: 5ms }',
    '',
  ].join('\n'),
  'syntax.yaml': 'host: { pcpus: 2\nvms: []\n',
  'told.asm': '; vmxlab: parameter=speed=x\nbits 64\ncli\nhlt\nparam_speed: dq 0\n',
  'asked.asm': 'bits 64\ncli\nhlt\nparam_speed: dq 0\n',
  'short.asm': 'bits 64\ncli\nhlt\nparam_speed: dd 0\n',
  'told.yaml': 'vms:\n  - program: asked.asm\n    parameters: { sped: 1, speed: 2 }\n',
  'missing.yaml': 'vms:\n  - program: nope.asm\n  - program: neither.bin\n',
  'no-program.json': '{ "vms": [{ "vcpus": 2 }] }\n',
  'pin.yaml': `host: { pcpus: 2 }\nvms: [{ program: ${HELLO}, pin: ["0-2"] }]\n`,
};

let folder = '';

beforeAll(() => {
  buildCommand();
  folder = folderWith({ ...FILES, 'big.bin': '', 'big.asm': '', 'big.yaml': '' });
  // Sparse: they take no room on the disk.
  for (const name of ['big.bin', 'big.asm', 'big.yaml']) {
    truncateSync(join(folder, name), 3 * 2 ** 30);
  }
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const LIST =
  'the commands are run, check, explore, fuzz, experiment, profile, record, replay, debug, gdb, ' +
  'dap, asm, disasm, exits, presets, trace, schema, completion';
const HELP = "see 'vmxlab --help'";
const flagsOf = (command: string) => `'vmxlab ${command} --help' lists the flags`;
const needs = (command: string, what: string, example: string) =>
  [
    `vmxlab: ${command} needs a file: ${what}, such as`,
    `  vmxlab ${example}`,
    `'vmxlab ${command} --help' says more.`,
  ] as const;

const needsAsRun = (command: string, example: string) =>
  [
    `vmxlab: ${command} needs a file, as run does, such as`,
    `  vmxlab ${example}`,
    `'vmxlab ${command} --help' says more.`,
  ] as const;

type Mistake = readonly [command: string, ...message: string[]];

/** The command line, and the lines on standard error. */
const MISTAKES: Readonly<Record<string, readonly Mistake[]>> = {
  'commands and flags': [
    ['', `vmxlab: expected a command; ${LIST}; ${HELP}`],
    ['--json exits', `vmxlab: expected a command before '--json'; ${LIST}; ${HELP}`],
    ['rnu loop.asm', "vmxlab: unknown command 'rnu'; did you mean 'run'?"],
    ['frobnicate', `vmxlab: unknown command 'frobnicate'; ${LIST}`],
    [
      'run',
      ...needs(
        'run',
        'a program (.asm, .s, ELF, flat binary) or a scenario (.yaml, .json)',
        `run ${HELLO}`,
      ),
    ],
    ['asm', ...needs('asm', 'an assembly source', `asm ${HELLO} -o hello.bin`)],
    [
      'disasm',
      ...needs('disasm', 'an ELF image, a flat binary or an assembly source', `disasm ${HELLO}`),
    ],
    [
      'run loop.asm --memroy 5M --hosg 2',
      "vmxlab: unknown flag '--memroy'; did you mean '--memory'?",
      "vmxlab: unknown flag '--hosg'; did you mean '--hogs'?",
      flagsOf('run'),
    ],
    [
      'run -vcpus 2 loop.asm',
      "vmxlab: unknown flag '-vcpus'; did you mean '--vcpus'?",
      flagsOf('run'),
    ],
    ['gdb', ...needsAsRun('gdb', 'gdb guest-programs/lock-ticket.asm')],
    ['gdb nope.asm', 'vmxlab: nope.asm: no such file'],
    ['gdb loop.asm --port 70000', 'vmxlab: --port: 70000 is above 65535'],
    [
      'gdb loop.asm --listen 203.0.113.1',
      'vmxlab: cannot listen on 203.0.113.1:1234: this machine has no such address',
    ],
    ['dap nope.asm', 'vmxlab: nope.asm: no such file'],
    [
      'run flat.bin -D ROUNDS=5',
      'vmxlab: -D: expected a source to assemble; images run as they are',
    ],
    ['run loop.asm --json=yes', 'vmxlab: --json takes no value', flagsOf('run')],
    ['run loop.asm more.asm', 'vmxlab: more.asm: no such file'],
    ['disasm loop.asm more.asm', "vmxlab: unexpected argument 'more.asm'"],
  ],
  'values of flags': [
    ['run loop.asm --vcpus 0', 'vmxlab: --vcpus: expected a whole number from 1 to 64, not "0"'],
    [
      'run loop.asm --pcpus 9999',
      'vmxlab: --pcpus: expected a whole number from 1 to 256, not "9999"',
    ],
    [
      'run loop.asm --memory 10x',
      'vmxlab: --memory: expected a size from 2M to 2G, such as 64M, not "10x"',
    ],
    [
      'run loop.asm --seed -1',
      'vmxlab: --seed: expected a whole number from 0 to 9007199254740991, not "-1"',
    ],
    [
      'run loop.asm --until abc',
      'vmxlab: --until: expected a duration such as 10ms, 500us or 2s, not "abc"',
    ],
    [
      'run loop.asm --until 0.1ns',
      'vmxlab: --until: expected a duration such as 10ms, 500us or 2s, not "0.1ns"',
    ],
    [
      'run loop.asm --vcpus 1.5 --hogs -5',
      'vmxlab: --vcpus: expected a whole number from 1 to 64, not "1.5"',
      'vmxlab: --hogs: expected a whole number from 0 to 1024, not "-5"',
    ],
    ['run loop.asm --vcpus 2 --vcpus 3', 'vmxlab: --vcpus is given 2 times'],
    [
      'run asked.asm --parameter sped=1 --parameter speed=2 --parameter size=3',
      "vmxlab: --parameter: sped: the program has no label 'param_sped'; did you mean 'speed'?",
      "vmxlab: --parameter: size: the program has no label 'param_size'; it has speed",
    ],
    [
      'run asked.asm --parameter speed',
      'vmxlab: --parameter: speed: expected a whole number from 0 to 9007199254740991, not ""',
    ],
    [
      'run asked.asm --parameter speed=-1',
      'vmxlab: --parameter: speed: expected a whole number from 0 to 9007199254740991, not "-1"',
    ],
    ['run short.asm', "vmxlab: short.asm: the label 'param_speed' needs 8 bytes, and has 4"],
    ['run loop.asm --trace=', 'vmxlab: --trace needs a value'],
    ['asm loop.asm -D', 'vmxlab: -D needs a value'],
    ['debug loop.asm --batch -ex', 'vmxlab: --ex needs a value'],
    ['debug loop.asm --batch -e when -e', 'vmxlab: -e needs a value'],
    ['experiment x0 --compare lock=ticket', 'vmxlab: --compare needs 2 values'],
    ['experiment x0 --dry-run', "vmxlab: --dry-run: is for 'vmxlab experiment submit'"],
    ['experiment merge x0 --shards 2', "vmxlab: --shards: is for 'vmxlab experiment submit'"],
    ['experiment x0 --sbatch=-v', "vmxlab: --sbatch: is for 'vmxlab experiment submit'"],
    ['asm loop.asm -D5x=1', "vmxlab: --define: '5x' cannot be the name of a macro"],
    [
      'disasm loop.asm --length -1',
      "vmxlab: --length: expected a whole number such as 64 or 0x40, not '-1'",
    ],
    [
      'disasm loop.asm --origin 0x1g',
      "vmxlab: --origin: expected an address such as 0x100000, not '0x1g'",
    ],
    ['disasm loop.asm --skip 2', 'vmxlab: --skip 2 leaves nothing: there are 2 bytes'],
    ['exits HTL', "vmxlab: there is no exit reason 'HTL'; did you mean HLT?"],
    ['exits pause', "vmxlab: there is no exit reason 'pause'; did you mean PAUSE_INSTRUCTION?"],
  ],
  files: [
    ['run nope.asm', 'vmxlab: nope.asm: no such file'],
    ['run loop.asm/x', 'vmxlab: loop.asm/x: a part of the path is not a directory'],
    ['run guest-programs', 'vmxlab: guest-programs: is a directory, not a file'],
    ["run ''", 'vmxlab: the name of the file is empty'],
    ['run empty.bin', 'vmxlab: empty.bin: is empty'],
    ['run empty.asm', 'vmxlab: empty.asm: has no instructions to run'],
    ['asm nul.asm -o x.bin', 'vmxlab: nul.asm: is not a text file'],
    ['run elf.bin', 'vmxlab: elf.bin: is an ELF file that ends within its header (13 of 64 bytes)'],
    [
      'run big.bin',
      'vmxlab: big.bin: the program takes 3.0 GiB, but 16M of memory leave 15.0 MiB above ' +
        'the load address; --memory gives more (a size from 2M to 2G, such as 64M)',
    ],
    ['run big.asm', 'vmxlab: big.asm: is too large (3.0 GiB; at most 4.0 MiB are read)'],
    ['run big.yaml', 'vmxlab: big.yaml: is too large (3.0 GiB; at most 256.0 MiB are read)'],
    ['run loop.asm --trace no/t.txt', 'vmxlab: cannot write no/t.txt: no such folder'],
    [
      'run loop.asm --trace ./loop.asm',
      'vmxlab: ./loop.asm: is what is run; give the trace another name',
    ],
    ['asm loop.asm -o no/x.bin', 'vmxlab: cannot write no/x.bin: no such folder'],
    [
      'asm loop.asm -o loop.asm',
      'vmxlab: loop.asm: is the source; give the output another name with -o',
    ],
    ['asm loop.asm -o - -l -', 'vmxlab: the program and the listing cannot share standard output'],
    [
      'asm loop.asm -o x.bin -l - --json',
      'vmxlab: the listing and --json cannot share standard output',
    ],
  ],
  sources: [
    [
      'asm four-errors.asm',
      "four-errors.asm:3:5: error: unknown instruction 'mvo'",
      '    mvo rax, 1',
      '    ^',
      'expected: mov',
      'four-errors.asm:4:26: error: the line ends here',
      '    mov byte [rax], 256 +',
      '                         ^',
      "expected: a number, a symbol, an operator, '('",
      "four-errors.asm:5:9: error: 'strat' is not defined",
      '    jmp strat',
      '        ^',
      'expected: start',
      'four-errors.asm:6:15: error: the line ends here',
      '\tmov rax, [rbx',
      '\t             ^',
      "expected: ']', an operator",
      '4 errors',
    ],
    [
      'run header.asm',
      "header.asm:1:11: error: unknown setting 'vcpu'; did you mean 'vcpus'?",
      '; vmxlab: vcpu=2 pcpus=1 memory',
      '          ^',
      'header.asm:1:26: error: expected memory=VALUE',
      '; vmxlab: vcpu=2 pcpus=1 memory',
      '                         ^',
    ],
    [
      'run values.asm',
      'values.asm:1:11: error: pcpus: expected a whole number from 1 to 256, not "0"',
      '; vmxlab: pcpus=0 vcpus=x',
      '          ^',
      'values.asm:1:19: error: vcpus: expected a whole number from 1 to 64, not "x"',
      '; vmxlab: pcpus=0 vcpus=x',
      '                  ^',
    ],
    [
      'run told.asm',
      'told.asm:1:11: error: parameter: speed: expected a whole number from 0 to ' +
        '9007199254740991, not "x"',
      '; vmxlab: parameter=speed=x',
      '          ^',
    ],
    [
      'run origin.asm',
      'vmxlab: origin.asm: org 0x7c00, but programs are loaded at 0x100000; write ' +
        "'org 0x100000', or leave it out",
    ],
  ],
  scenarios: [
    [
      'run keys.yaml',
      "keys.yaml:2:3: error: host.pcpu: unknown key 'pcpu'; did you mean 'pcpus'?",
      '  pcpu: 2',
      '  ^',
      'keys.yaml:5:5: error: vms[0].vcpus: expected a whole number from 1 to 64, not "many"',
      '    vcpus: many',
      '    ^',
      "keys.yaml:6:12: error: vms[0].kvm.ple_windw: unknown key 'ple_windw'; " +
        "did you mean 'ple_window'?",
      '    kvm: { ple_windw: 5 }',
      '           ^',
      'keys.yaml:7:1: error: hogs: expected a list',
      'hogs: 3',
      '^',
      "keys.yaml:8:11: error: limits.tme: unknown key 'tme'; did you mean 'time'?",
      'limits: { tme: 5ms }',
      '          ^',
    ],
    [
      'run told.yaml',
      "told.yaml:3:19: error: vms[0].parameters.sped: the program has no label 'param_sped'; " +
        "did you mean 'speed'?",
      '    parameters: { sped: 1, speed: 2 }',
      '                  ^',
    ],
    [
      'run missing.yaml',
      'missing.yaml:2:5: error: vms[0].program: nope.asm: no such file',
      '  - program: nope.asm',
      '    ^',
      'missing.yaml:3:5: error: vms[1].program: neither.bin: no such file',
      '  - program: neither.bin',
      '    ^',
    ],
    [
      'run no-program.json',
      'no-program.json:1:11: error: vms[0].program: missing; expected a program or an image',
      '{ "vms": [{ "vcpus": 2 }] }',
      '          ^',
    ],
    [
      'run pin.yaml',
      'pin.yaml:2:50: error: vms[0].pin[0]: there is no pCPU 2: host.pcpus is 2',
      `vms: [{ program: ${HELLO}, pin: ["0-2"] }]`,
      '                                                 ^',
    ],
  ],
};

describe.each(Object.entries(MISTAKES))('mistakes in %s', (_, mistakes) => {
  let finished: ReadonlyMap<string, Finished> = new Map();

  beforeAll(async () => {
    const lines = mistakes.map(([line]) => line);
    const wordsOf = (line: string) =>
      line.split(' ').flatMap((word) => (word === '' ? [] : [word.replace("''", '')]));
    const results = await vmxlabMany(folder, lines.map(wordsOf));
    finished = new Map(lines.map((line, i) => [line, results[i] as Finished]));
  });

  test.each(mistakes)('vmxlab %s', (line, ...message) => {
    const { status, stdout, stderr } = finished.get(line) as Finished;
    expect(stderr.split('\n')).toEqual([...message, '']);
    expect([status, stdout]).toEqual([2, '']);
  });
});

test('a syntax error of YAML names the place and shows the line', async () => {
  const { status, stderr } = await vmxlab(folder, ['run', 'syntax.yaml']);
  expect(stderr).toMatch(/^syntax\.yaml:2:\d+: error: .*\nvms: \[\]\n *\^\n/);
  expect(status).toBe(2);
});

test('aliases of aliases end as an error, not in a thousand million values', async () => {
  const names = [...'abcdefghi'];
  const lines = names.map((name, i) => {
    const item = i === 0 ? 'x' : `*${names[i - 1]}`;
    return `${name}: &${name} [${Array(9).fill(item)}]`;
  });
  const { status, stderr } = await bash(
    folder,
    `cat > bomb.yaml <<'END'
${lines.join('\n')}
END
vmxlab run bomb.yaml`,
  );
  expect(stderr).toContain('bomb.yaml:1:1: error: aliases make this too large; write values out');
  expect(status).toBe(2);
});

test('a full disk is no error of ours', async () => {
  const full = await bash(folder, 'vmxlab exits > /dev/full');
  expect(full.stderr).toBe('vmxlab: cannot write standard output: no space left on the device\n');
  expect(full.status).toBe(2);
  const trace = await vmxlab(folder, ['run', HELLO, '--trace', '/dev/full']);
  expect(trace.stderr).toBe('vmxlab: cannot write /dev/full: no space left on the device\n');
  expect(trace.status).toBe(2);
});

test('messages are the same in every language of the environment', async () => {
  const env = { LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE.UTF-8', LANGUAGE: 'de' };
  const { stderr } = await vmxlab(folder, ['exits', 'HLT', 'PAUSE'], { env });
  expect(stderr).toBe("vmxlab: unexpected argument 'PAUSE'\n");
});
