// The extension for VS Code, and the page about it: the manifest has what packaging needs and fits
// the adapter; the extension starts what it should; the page's launch.json fits the manifest, and
// its session is what `vmxlab dap` says.

import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { DebugProtocol } from '@vscode/debugprotocol';
import { Ajv } from 'ajv';
import { beforeAll, describe, expect, test } from 'vitest';
import { buildCommand, MAIN } from '../support/command-line.ts';
import { DapProcess, isEvent } from '../support/dap-client.ts';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');
const EXTENSION = join(ROOT, 'editors/vscode');
const PAGE = join(ROOT, 'docs/vscode.md');

interface Manifest {
  readonly name: string;
  readonly publisher: string;
  readonly version: string;
  readonly license: string;
  readonly main: string;
  readonly files: readonly string[];
  readonly engines: { readonly vscode: string };
  readonly contributes: {
    readonly languages: readonly { readonly id: string }[];
    readonly breakpoints: readonly { readonly language: string }[];
    readonly configuration: {
      readonly properties: Readonly<Record<string, { readonly default: readonly string[] }>>;
    };
    readonly debuggers: readonly {
      readonly type: string;
      readonly configurationAttributes: Readonly<Record<'launch' | 'attach', Attributes>>;
      readonly initialConfigurations: readonly Configuration[];
    }[];
  };
}

interface Attributes {
  readonly required: readonly string[];
  readonly properties: Readonly<Record<string, object>>;
}

type Configuration = Readonly<Record<string, unknown>> & { readonly request: 'launch' | 'attach' };

const manifest = JSON.parse(readFileSync(join(EXTENSION, 'package.json'), 'utf8')) as Manifest;
const [contribution] = manifest.contributes.debuggers;

/** What VS Code adds to every configuration. */
const GENERAL = ['type', 'request', 'name'];

function problemsOf(configuration: Configuration): unknown {
  const { required, properties } = contribution.configurationAttributes[configuration.request];
  const general = Object.fromEntries(GENERAL.map((name) => [name, { type: 'string' }]));
  const schema = { type: 'object', required, properties: { ...general, ...properties } };
  const check = new Ajv({ allowUnionTypes: true }).compile({
    ...schema,
    additionalProperties: false,
  });
  return check(configuration) ? null : check.errors;
}

const page = () => readFileSync(PAGE, 'utf8');

describe('the manifest', () => {
  test('has what packaging asks for', () => {
    expect(manifest).toMatchObject({ publisher: 'vmxlab', license: 'MIT' });
    expect(manifest.name).toMatch(/^[a-z\d][a-z\d-]*$/);
    expect(manifest.engines.vscode).toMatch(/^\^\d+\.\d+\.\d+$/);
    for (const file of ['README.md', 'LICENSE', ...manifest.files, manifest.main]) {
      expect(existsSync(join(EXTENSION, file)), file).toBe(true);
    }
    // Packaging refuses links that lead out of the extension.
    expect(readFileSync(join(EXTENSION, 'README.md'), 'utf8')).not.toContain('](');
    const version = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version as string;
    expect(manifest.version).toBe(version);
  });

  test('offers configurations that fit what it declares', () => {
    expect(contribution.type).toBe('vmxlab');
    for (const configuration of contribution.initialConfigurations) {
      expect(problemsOf(configuration)).toBeNull();
    }
  });

  test('fits the launch.json of the page', () => {
    const text = /```json\n([\s\S]*?)```/.exec(page())?.[1] as string;
    const { configurations } = JSON.parse(text) as { configurations: Configuration[] };
    expect(configurations).toHaveLength(2);
    for (const configuration of configurations) expect(problemsOf(configuration)).toBeNull();
    // A mistake would be seen.
    expect(problemsOf({ ...configurations[0], programme: 'x' } as Configuration)).not.toBeNull();
  });
});

/** Packs extensions; not among our packages, as it brings a hundred others along. */
const VSCE = '@vscode/vsce@3.9.2';
const HAS_VSCE =
  process.env.CI === 'true' ||
  spawnSync('npx', ['--no', '--', VSCE, '--version'], { cwd: EXTENSION }).status === 0;
if (!HAS_VSCE) process.stdout.write(`without ${VSCE} the extension is not packed\n`);

test.runIf(HAS_VSCE)(
  'the extension is packed without a complaint, by the command of the page',
  () => {
    const [, words = ''] = /^npx @vscode\/vsce (package .*)$/m.exec(page()) ?? [];
    const folder = mkdtempSync(join(tmpdir(), 'vmxlab-vsix-'));
    const file = join(folder, 'vmxlab.vsix');
    const given = ['--yes', '--', VSCE, ...words.split(' '), '--out', file];
    const { status, stdout, stderr } = spawnSync('npx', given, {
      ...{ cwd: EXTENSION, encoding: 'utf8', env: { ...process.env, NO_COLOR: '1' } },
    });
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(`${stdout}${stderr}`).not.toMatch(/WARNING|ERROR/);
    // The names of the files are in the archive's directory as they are.
    const archive = readFileSync(file, 'latin1');
    for (const name of ['extension.js', 'package.json', 'LICENSE.txt', 'readme.md']) {
      expect(archive).toContain(`extension/${name}`);
    }
    rmSync(folder, { recursive: true });
  },
  240_000,
);

test('the extension starts the adapter, or connects to one', () => {
  type Factory = {
    createDebugAdapterDescriptor(session: object): object;
  };
  const registered: [string, Factory][] = [];
  class DebugAdapterServer {
    readonly port: number;
    constructor(port: number) {
      this.port = port;
    }
  }
  class DebugAdapterExecutable {
    readonly all: readonly unknown[];
    constructor(...all: readonly unknown[]) {
      this.all = all;
    }
  }
  const command = manifest.contributes.configuration.properties['vmxlab.command'].default;
  const vscode = {
    DebugAdapterServer,
    DebugAdapterExecutable,
    workspace: { getConfiguration: () => ({ get: () => command }) },
    debug: {
      registerDebugAdapterDescriptorFactory: (type: string, factory: Factory) =>
        registered.push([type, factory]),
    },
  };
  const source = readFileSync(join(EXTENSION, manifest.main), 'utf8');
  const exported: { activate?: (context: object) => void } = {};
  new Function('require', 'exports', source)(() => vscode, exported);
  exported.activate?.({ subscriptions: [] });
  const [[type, factory]] = registered;
  expect(type).toBe(contribution.type);
  const launch = {
    configuration: { request: 'launch' },
    workspaceFolder: { uri: { fsPath: '/w' } },
  };
  expect(factory.createDebugAdapterDescriptor(launch)).toEqual(
    new DebugAdapterExecutable('npx', ['vmxlab', 'dap'], { cwd: '/w' }),
  );
  const attach = { configuration: { request: 'attach', port: 4711 } };
  expect(factory.createDebugAdapterDescriptor(attach)).toEqual(new DebugAdapterServer(4711));
});

describe('the session of the page', () => {
  beforeAll(() => buildCommand());

  /** Requests after which the machine runs, so that a stop follows. */
  const RUNS = ['configurationDone', 'continue', 'stepBack'];

  test('is what comes', async () => {
    const [start, end] = ['<!-- session: from vmxlab dap -->', '<!-- end of session -->'];
    const whole = page();
    const from = whole.indexOf(start) + start.length;
    const to = whole.indexOf(end);
    const requests = [...whole.slice(from, to).matchAll(/^(\w+)(?: (\{.*\}))?$/gm)];
    const client = new DapProcess(ROOT, MAIN, ['dap']);
    const lines: string[] = [];
    let stops = 0;
    for (const [, command, given = '{}'] of requests) {
      lines.push(given === '{}' ? command : `${command} ${given}`);
      const args = JSON.parse(given.replaceAll('"path":"', `"path":"${ROOT}/`)) as object;
      const answer = client.request(command, args);
      lines.push(`  ${summary(await answer)}`);
      if (!RUNS.includes(command)) continue;
      const { body } = await client.event<DebugProtocol.StoppedEvent>('stopped', ++stops);
      const text = body.text === undefined ? '' : `: ${body.text}`;
      lines.push(`  stopped: ${body.reason}, thread ${body.threadId}${text}`);
    }
    client.end();
    expect(await client.ended).toBe(0);
    expect(client.received.filter(isEvent).map(({ event }) => event)).toContain('initialized');
    const wanted = ['', '', '```text', ...lines, '```', '', '']
      .join('\n')
      .replaceAll(`${ROOT}/`, '');
    if (process.env.VMXLAB_UPDATE_GOLDEN === '1') {
      writeFileSync(PAGE, `${whole.slice(0, from)}${wanted}${whole.slice(to)}`);
    } else expect(whole.slice(from, to)).toBe(wanted);
  });
});

/** What is worth showing of a response. */
function summary({ success, message, command, body }: DebugProtocol.Response): string {
  if (!success) return `failed: ${message}`;
  if (command === 'evaluate') return (body.result as string).split('\n').join('\n  ');
  if (command === 'stackTrace') {
    const frames = body.stackFrames as readonly DebugProtocol.StackFrame[];
    return frames.map(({ name, line, source }) => `${name} at ${source?.path}:${line}`).join('; ');
  }
  const set = body?.breakpoints as readonly DebugProtocol.Breakpoint[] | undefined;
  if (set === undefined || set.length === 0) return 'ok';
  return set.map(({ verified, id, line }) => JSON.stringify({ id, verified, line })).join(', ');
}
