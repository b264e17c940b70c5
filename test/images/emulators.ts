// The other side of the images: QEMU's TCG and Debian's Bochs, each run in a folder of its own.
// QEMU is a multiboot loader itself; Bochs gets a ROM in the place of its BIOS, which contains the
// image (lib/bochs-rom.asm). What an image prints goes to port E9H.

import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prepareBochs } from '../support/bochs.ts';
import { LIBRARY } from './sources.ts';

export type Emulator = 'qemu' | 'bochs';

const PROGRAMS: Readonly<Record<Emulator, string>> = {
  qemu: 'qemu-system-x86_64',
  bochs: 'bochs',
};

/** Far more than an image takes, on a machine that has much else to do. */
const TIME_LIMIT_MS = 40_000;
/** For the few that hang an emulator, and are known for it (decisions.ts). */
const HANGING_LIMIT_MS = 6_000;

/** Why images cannot run there, or null if they can. Throws on a CI machine. */
export function missingEmulator(emulator: Emulator): string | null {
  try {
    execFileSync(PROGRAMS[emulator], ['--help'], { stdio: 'ignore' });
    return null;
  } catch {
    if (process.env.CI) throw new Error(`${PROGRAMS[emulator]} must be installed here`);
    return `${PROGRAMS[emulator]} is not installed`;
  }
}

/** What NASM makes of a source that includes files of the library. */
export function assembleImageWithNasm(source: string): Uint8Array {
  return inScratchFolder((folder) => {
    const output = join(folder, 'out.bin');
    const options = ['-w-all', '-f', 'bin', `-I${LIBRARY}`];
    execFileSync('nasm', [...options, '-o', output, source], { stdio: 'pipe' });
    return readFileSync(output);
  });
}

/** The lines that an image prints in an emulator, up to where it ends or gives up. */
export async function runUnder(
  emulator: Emulator,
  image: Uint8Array,
  { processors, hangs }: { readonly processors: number; readonly hangs: boolean },
): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-image-'));
  const limitMs = hangs ? HANGING_LIMIT_MS : TIME_LIMIT_MS;
  try {
    const run = emulator === 'qemu' ? runQemu : runBochs;
    const output = await run({ folder, limitMs }, image, processors);
    if (!output.includes('@begin')) throw new Error(`${emulator} printed nothing: ${output}`);
    return observations(output);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What stands between the lines `@begin` and `@end`. Bochs's debugger writes around that. */
export function observations(output: string): string[] {
  const lines = output.slice(output.indexOf('@begin')).split('\n').slice(1);
  const end = lines.findIndex((line) => line.startsWith('@end'));
  // A line that was not finished is no observation.
  return end >= 0 ? lines.slice(0, end) : lines.slice(0, -1).filter((line) => !/^\(0\)/.test(line));
}

interface Setting {
  readonly folder: string;
  readonly limitMs: number;
}

async function runQemu(setting: Setting, image: Uint8Array, processors: number): Promise<string> {
  const { folder } = setting;
  writeFileSync(join(folder, 'image.bin'), image);
  // Broadwell as Bochs's and ours, but for what TCG does not have.
  const cpu = 'Broadwell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid';
  const messages = await execute(setting, PROGRAMS.qemu, [
    ...['-kernel', 'image.bin', '-accel', 'tcg', '-cpu', cpu, '-smp', `${processors}`, '-m', '32'],
    ...['-display', 'none', '-nodefaults', '-no-reboot', '-debugcon', 'file:output.txt'],
    ...['-device', 'isa-debug-exit,iobase=0xf4,iosize=4'],
  ]);
  const output = readFileSync(join(folder, 'output.txt'), 'latin1');
  return output === '' ? messages : output;
}

async function runBochs(setting: Setting, image: Uint8Array, processors: number): Promise<string> {
  const romSource = join(LIBRARY, 'bochs-rom.asm');
  const options = prepareBochs({ folder: setting.folder, image, processors, romSource });
  return execute(setting, PROGRAMS.bochs, options);
}

/** What a program prints, however it ends; if that is nothing, why. */
function execute(
  { folder, limitMs }: Setting,
  program: string,
  options: readonly string[],
): Promise<string> {
  return new Promise((resolve) => {
    const settings = {
      cwd: folder,
      timeout: limitMs,
      killSignal: 'SIGKILL',
      maxBuffer: 2 ** 24,
      encoding: 'latin1',
    } as const;
    const child = execFile(program, options, settings, (error, output, errors) => {
      resolve(output.includes('@begin') ? output : `${output}${errors}${error?.signal ?? ''}`);
    });
    child.stdin?.end();
  });
}

function inScratchFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-image-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
