// The built command as its users start it: a process of its own, in a folder of its own.

import { execFileSync, spawn } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** What `npx vmxlab` starts. */
export const MAIN = join(ROOT, 'dist/cli/launch.js');

/** The same, of modules that another may reach into. */
export const UNPACKED = join(ROOT, 'dist/cli/main.js');

/** Names the process of the test file that builds: several may want to, at once. */
const LOCK = join(ROOT, 'build/.building');

/** Build the command, unless it is newer than its sources. */
export function buildCommand(): void {
  while (!tryLock()) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  try {
    // What the compiler says belongs to the failure.
    if (isStale()) execFileSync('npm', ['run', 'build'], { cwd: ROOT, stdio: 'inherit' });
  } finally {
    rmSync(LOCK, { force: true });
  }
}

function tryLock(): boolean {
  mkdirSync(dirname(LOCK), { recursive: true });
  try {
    writeFileSync(LOCK, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    // A build may take long on a busy machine: only whoever held it and was killed loses it.
    if (!isAlive(holder())) rmSync(LOCK, { force: true });
    return false;
  }
}

/** The process that builds, or null if that is not known just now. */
function holder(): number | null {
  try {
    return Number.parseInt(readFileSync(LOCK, 'utf8'), 10) || null;
  } catch {
    return null;
  }
}

function isAlive(pid: number | null): boolean {
  try {
    return pid === null || process.kill(pid, 0);
  } catch {
    return false;
  }
}

function isStale(): boolean {
  const built = statSync(MAIN, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const sources = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' });
  return sources.some((path) => statSync(join(ROOT, 'src', path)).mtimeMs >= built);
}

/** A new folder with the given files, and the guest programs as a new user has them. */
export function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-cli-'));
  symlinkSync(join(ROOT, 'guest-programs'), join(folder, 'guest-programs'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

export interface Finished {
  /** Null if a signal ended it. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Press Ctrl-C when the process has printed this. */
  readonly interruptAt?: string;
  /** A module to load first, relative to the folder: to break what works. */
  readonly preload?: string;
}

/** Run `vmxlab` in a folder, neither end of which is a terminal. */
export function vmxlab(
  folder: string,
  words: readonly string[],
  options: StartOptions = {},
): Promise<Finished> {
  const { preload } = options;
  const program = preload === undefined ? [MAIN] : ['--import', preload, UNPACKED];
  return start(folder, process.execPath, [...program, ...words], options);
}

/** Loads the command anew for each line of words, in one process. */
const ONE_AFTER_ANOTHER = `
const [, , main, lines] = process.argv;
process.stdout.setMaxListeners(0);
process.stderr.setMaxListeners(0);
for (const [i, words] of JSON.parse(lines).entries()) {
  process.argv = [process.argv[0], main, ...words];
  process.exitCode = undefined;
  await import(main + '?' + i);
  while (process.exitCode === undefined) await new Promise(setImmediate);
  process.stdout.write('\\0' + process.exitCode + '\\0');
  process.stderr.write('\\0');
}
process.exitCode = 0;
`;

/**
 * Run `vmxlab` many times in one process, for what needs no process of its own: most of the time of
 * a short command is Node's start.
 */
export async function vmxlabMany(
  folder: string,
  lines: readonly (readonly string[])[],
): Promise<Finished[]> {
  writeFileSync(join(folder, 'many.mjs'), ONE_AFTER_ANOTHER);
  const words = ['many.mjs', MAIN, JSON.stringify(lines)];
  const { status, stdout, stderr } = await start(folder, process.execPath, words, {});
  if (status !== 0) throw new Error(`a command ended the process with ${status}\n${stderr}`);
  const outputs = stdout.split('\0');
  const messages = stderr.split('\0');
  return lines.map((_, i) => ({
    status: Number(outputs[2 * i + 1]),
    stdout: outputs[2 * i] ?? '',
    stderr: messages[i] ?? '',
  }));
}

/** Run a line of bash in a folder; `vmxlab` is a function there. */
export function bash(folder: string, line: string, options: StartOptions = {}): Promise<Finished> {
  const define = `vmxlab() { '${process.execPath}' '${MAIN}' "$@"; }`;
  return start(folder, 'bash', ['-c', `${define}\n${line}`], options);
}

function start(
  folder: string,
  program: string,
  words: readonly string[],
  { env, interruptAt }: StartOptions,
): Promise<Finished> {
  const child = spawn(program, words, { cwd: folder, env: { ...process.env, ...env } });
  let stdout = '';
  let stderr = '';
  let awaited = interruptAt ?? null;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (awaited === null || !stdout.includes(awaited)) return;
    awaited = null;
    child.kill('SIGINT');
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (status) => resolve({ status, stdout, stderr }));
  });
}
