// Documents must not lie: every vmxlab command that they show is executed, links lead somewhere,
// and the reference of scenario keys is the one that the declaration gives.

import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { commandTable, keyTable as screenKeys } from '../src/debug/index.ts';
import { DEFINITION } from '../src/experiment/index.ts';
import { IRQCHIP_PORTS, PV_FEATURE_LIST } from '../src/kvm/index.ts';
import {
  FAULTS,
  holding,
  KERNEL_PARAMETERS,
  KERNELS,
  keysOf,
  PORT_RANGES,
  printValue,
  reference,
  SCENARIO,
} from '../src/machine/index.ts';
import { TRACEPOINTS } from '../src/trace/index.ts';
import { buildCommand, MAIN } from './support/command-line.ts';
import { ScreenUnderTest } from './support/debug-screen.ts';
import { instructionPage } from './support/instruction-page.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..');

const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md']
  .concat(readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`))
  .concat(readdirSync(join(ROOT, 'docs/decisions')).map((name) => `docs/decisions/${name}`))
  .filter((name) => name.endsWith('.md'));

const read = (name: string) => readFileSync(join(ROOT, name), 'utf8');

/** Commands of `sh` blocks, and of code spans that begin with `npx vmxlab`. */
function commandsOf(text: string): string[] {
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap((match) =>
    (match[1] as string).split('\n').map((line) => line.replace(/\s+#.*$/, '').trim()),
  );
  const spans = [...text.matchAll(/`(npx vmxlab [^`]+)`/g)].map((match) => match[1] as string);
  return [...blocks, ...spans].filter((line) => /^(npx )?vmxlab /.test(line));
}

describe('commands in documents', () => {
  let folder = '';

  beforeAll(() => {
    buildCommand();
    folder = mkdtempSync(join(tmpdir(), 'vmxlab-docs-'));
    symlinkSync(join(ROOT, 'guest-programs'), join(folder, 'guest-programs'));
    writeFileSync(join(folder, 'start.asm'), 'bits 64\nextern stop\ncall stop\n');
    writeFileSync(join(folder, 'lib.s'), '.globl stop\nstop: cli; hlt\n');
    // As its reader does.
    const [, definition = ''] = /```yaml\n([\s\S]*?)```/.exec(read('docs/experiment.md')) ?? [];
    writeFileSync(join(folder, 'overcommit.yaml'), definition);
  });

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const shown = DOCUMENTS.flatMap((name) =>
    commandsOf(read(name)).map((command) => [name, command] as const),
  );

  test.each(shown)('%s: %s', (_name, command) => {
    const words = command.replace(/^(npx )?vmxlab /, '').split(/\s+/);
    const { status, stderr } = spawnSync('node', [MAIN, ...words], {
      cwd: folder,
      encoding: 'utf8',
    });
    // Programs may end with a code of their own; wrong usage and our own errors are what we look
    // for.
    expect([2, 70, null], `${command}\n${stderr}`).not.toContain(status);
  });

  test('there are some', () => {
    expect(shown.length).toBeGreaterThan(5);
  });
});

test.each(DOCUMENTS)('links in %s lead somewhere', (name) => {
  const targets = [...read(name).matchAll(/\]\(([^)#\s]+)(#[^)]*)?\)/g)]
    .map((match) => match[1] as string)
    .filter((target) => !/^https?:/.test(target));
  const broken = targets.filter((target) => !existsSync(join(ROOT, dirname(name), target)));
  expect(broken).toEqual([]);
});

function definitionTable(): string {
  const rows = reference(DEFINITION).map(({ key, summary, expected, fallback }) => {
    return `| \`${key}\` | ${summary} | ${expected} | ${fallback} |`;
  });
  const head = ['| key | what it is | expected | default |', '| --- | --- | --- | --- |'];
  return [...head, ...rows].join('\n');
}

function keyTable(): string {
  const rows = reference(SCENARIO).map(({ key, summary, expected, fallback, flag }) => {
    const cells = [`\`${key}\``, summary, expected, fallback, flag === null ? '' : `\`--${flag}\``];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    '| key | what it is | expected | default | flag |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

/** One row for each parameter; a value that has not changed is not repeated. */
function kernelTable(): string {
  const rows = Object.entries(KERNEL_PARAMETERS).map(([key, row]) => {
    const cells = KERNELS.map((kernel) => {
      const { kernel: since, value } = holding(row, kernel);
      return since === kernel ? printValue(row, value) : '';
    });
    return `| ${[`\`${key}\``, ...cells].join(' | ')} |`;
  });
  const names = KERNELS.map((kernel) => kernel.replace('linux-', ''));
  const rule = ['', ...names].map(() => '---').join(' | ');
  return [`| key | ${names.join(' | ')} |`, `| ${rule} |`, ...rows].join('\n');
}

function portTable(): string {
  const hex = (port: number) => `0x${port.toString(16).toUpperCase()}`;
  const ranges = [...IRQCHIP_PORTS, ...PORT_RANGES].sort((a, b) => a.first - b.first);
  const rows = ranges.map(({ first, last, summary }) => {
    const ports = first === last ? hex(first) : `${hex(first)} to ${hex(last)}`;
    return `| ${ports} | ${summary} |`;
  });
  return ['| port | device |', '| --- | --- |', ...rows].join('\n');
}

/** Each fault, with the keys that only some have. */
function faultTable(): string {
  const rows = Object.entries(FAULTS).map(([name, { summary, isLegal, needs, takes }]) => {
    const keys = keysOf(name as keyof typeof FAULTS);
    const where = (['pcpu', 'vcpu'] as const).filter((key) => keys.includes(key));
    const own = [...needs, ...[...where, ...takes].map((key) => `[${key}]`)];
    return `| \`${name}\` | ${summary} | ${isLegal ? 'yes' : 'no'} | ${own.join(', ')} |`;
  });
  const head = '| fault | what happens | legal | needs, [may have] |';
  return [head, '| --- | --- | --- | --- |', ...rows].join('\n');
}

function fieldTable(): string {
  const rows = Object.entries(TRACEPOINTS).map(([name, { names }]) => {
    return `| \`${name}\` | ${names.map((field) => `\`${field}\``).join(', ')} |`;
  });
  return ['| tracepoint | fields |', '| --- | --- |', ...rows].join('\n');
}

function featureTable(): string {
  const rows = PV_FEATURE_LIST.map(
    ([name, { bit, register, byDefault, msrs, hypercalls, summary }]) => {
      const cells = [
        `\`${name}\``,
        `${register.toUpperCase()} ${bit}`,
        byDefault ? 'yes' : 'no',
        msrs.map((msr) => `0x${msr.toString(16)}`).join(', '),
        hypercalls.join(', '),
        summary,
      ];
      return `| ${cells.join(' | ')} |`;
    },
  );
  return [
    '| feature | bit | by default | MSRs | hypercalls | what it is |',
    '| --- | --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

/** The debugger's commands; what remote clients take too has a name in the last column. */
function commandRows(): string {
  const rows = commandTable().map(([usage, summary, remote]) => {
    const name = remote === '' ? '' : `\`${remote}\``;
    return `| \`${usage.replaceAll('|', '\\|')}\` | ${summary} | ${name} |`;
  });
  return ['| command | what it does | `monitor` |', '| --- | --- | --- |', ...rows].join('\n');
}

/** The keys of the full-screen view. */
function keyRows(): string {
  const rows = screenKeys().map(([keys, summary]) => `| \`${keys}\` | ${summary} |`);
  return ['| key | what it does |', '| --- | --- |', ...rows].join('\n');
}

/** The full-screen view behind seven VM exits, and one back. */
function debugScreen(): string {
  const program = new ScreenUnderTest('guest-programs/five-exits.asm');
  const text = program.press(...'>>>>>>><').text(80, 24);
  return ['```text', text, '```'].join('\n');
}

/** What `npm start` prints, without the state, which says nothing to a reader. */
function mainJob(): string {
  const { stdout } = spawnSync('node', [MAIN, 'run', 'guest-programs/lock-ticket-pv.asm'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  const lines = stdout.replace(/, state .*/, '').split('\n');
  const end = lines.findIndex((line) => line.startsWith('Try next'));
  return ['```text', ...lines.slice(0, end - 1), '```'].join('\n');
}

/** Parts of documents that are made from declarations or by running, between two comments. */
const GENERATED = [
  ['README.md', 'output', mainJob],
  ['docs/scenario.md', 'keys', keyTable],
  ['docs/experiment.md', 'keys', definitionTable],
  ['docs/host.md', 'kernels', kernelTable],
  ['docs/guest-programs.md', 'ports', portTable],
  ['docs/checking.md', 'fields', fieldTable],
  ['docs/faults.md', 'faults', faultTable],
  ['docs/debugger.md', 'commands', commandRows],
  ['docs/debugger.md', 'screen', debugScreen],
  ['docs/debugger.md', 'keys', keyRows],
  ['docs/paravirtual.md', 'features', featureTable],
  ['docs/instructions.md', 'instructions', instructionPage],
] as const;

test.each(GENERATED)('%s says what is declared, or comes out', (name, part, make) => {
  const path = join(ROOT, name);
  const text = readFileSync(path, 'utf8');
  const [start, end] = [`<!-- ${part}: generated -->`, `<!-- end of ${part} -->`];
  const from = text.indexOf(start) + start.length;
  const to = text.indexOf(end);
  expect([from > start.length, to > 0]).toEqual([true, true]);
  const wanted = `${text.slice(0, from)}\n\n${make().trim()}\n\n${text.slice(to)}`;
  if (process.env.VMXLAB_UPDATE_GOLDEN === '1') writeFileSync(path, wanted);
  else expect(text).toBe(wanted);
});
