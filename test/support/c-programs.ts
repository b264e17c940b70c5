// The C programs of test/compilers: built with the machine's gcc, as guests and for the machine
// itself. 32-bit guests do without SSE, as gcc takes the x87 FPU for what they compute.

import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const HERE = fileURLToPath(new URL('../compilers/', import.meta.url));
const RUNTIME = join(HERE, 'runtime');

/** Names of the programs, without `.c`. */
export const C_PROGRAMS: readonly string[] = readdirSync(join(HERE, 'programs'))
  .map((name) => name.replace(/\.c$/, ''))
  .sort();

/** Those that compute with floating-point numbers. */
export const FLOATING_PROGRAMS: readonly string[] = ['floats', 'vectors'];

const LANGUAGE = ['-std=c11', '-Wall', '-Wextra', '-Werror', '-I', RUNTIME];

/** Bits of the code that a guest consists of; 32 makes a multiboot image. */
export type Bits = 32 | 64;

/** What every C guest is built with, beside the level of optimisation. */
const GUEST = [
  ...['-ffreestanding', '-mno-red-zone', '-fno-pic', '-no-pie', '-fno-math-errno'],
  ...['-fno-asynchronous-unwind-tables', '-fno-stack-protector', '-static', '-nostdlib'],
  ...['-T', join(RUNTIME, 'guest.ld'), '-Wl,--build-id=none'],
];

const execute = promisify(execFile);

/** Run a tool and give what it prints. */
export async function printedBy(tool: string, words: readonly string[]): Promise<string> {
  return (await execute(tool, [...words], { maxBuffer: 2 ** 26 })).stdout;
}

/** Build a program as a guest; gives the ELF file. */
export async function buildGuest(
  folder: string,
  program: string,
  options: readonly string[],
  bits: Bits = 64,
): Promise<string> {
  const output = join(folder, `${program}${bits}${options.join('')}.elf`);
  const runtime = ['guest.c', `start${bits}.c`].map((name) => join(RUNTIME, name));
  const sources = [join(HERE, 'programs', `${program}.c`), ...runtime];
  // Programs call libgcc for what the processor has no instruction for.
  const target = bits === 64 ? ['-lgcc'] : ['-m32', '-mgeneral-regs-only'];
  await execute('gcc', [...LANGUAGE, ...GUEST, ...options, ...sources, '-o', output, ...target]);
  return output;
}

/** Build a program for this machine, run it, and give what it prints. */
export async function nativeOutput(folder: string, program: string): Promise<string> {
  const output = join(folder, program);
  const sources = [join(HERE, 'programs', `${program}.c`), join(RUNTIME, 'native.c')];
  await execute('gcc', [
    ...LANGUAGE,
    '-O1',
    '-DREFERENCE',
    '-fno-math-errno',
    ...sources,
    '-o',
    output,
  ]);
  return printedBy(output, []);
}
