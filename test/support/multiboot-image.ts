// Multiboot programs for tests, assembled by NASM so that nothing of ours is in them, and run under
// QEMU, which is asked what the machine around them does.

import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Where images that say nothing else begin. */
export const IMAGE_ADDRESS = 0x100000;

const HEADER = `
bits 32
org ${IMAGE_ADDRESS}
MAGIC equ 0x1badb002
FLAGS equ 0x10003
image:
    dd MAGIC, FLAGS, -(MAGIC + FLAGS)
    dd image, image, 0, image_end + 4096, start
`;

/** Behind the program: the end of its bytes, a page of zeros, and the top of a stack there. */
const FOOTER = `
align 16
image_end:
stack_end equ image_end + 4096
`;

/** A flat image with address fields; `body` has a label `start`. */
export function multibootImage(body: string): Uint8Array {
  return assembleFlat(`${HEADER}${body}${FOOTER}`);
}

/** Whatever the source says, as a flat binary. */
export function assembleFlat(source: string): Uint8Array {
  return inFolder((folder) => {
    writeFileSync(join(folder, 'in.asm'), source);
    const files = ['-o', join(folder, 'out.bin'), join(folder, 'in.asm')];
    execFileSync('nasm', ['-f', 'bin', ...files], { stdio: 'pipe' });
    return readFileSync(join(folder, 'out.bin'));
  });
}

export interface QemuRun {
  /** What was written to port E9H, or sent by COM1; a character for each byte. */
  readonly output: string;
  readonly stderr: string;
  /** `(value << 1) | 1`, with the value written to port F4H. */
  readonly status: number | null;
}

/** Ports of which one is listened to. */
const LISTENING = {
  console: ['-debugcon', 'stdio', '-serial', 'null'],
  serial: ['-serial', 'stdio'],
} as const;

/** Start one of several files, in a folder of their own, under `qemu-system-x86_64 -kernel`. */
export function runUnderQemu(
  kernel: string,
  files: Readonly<Record<string, Uint8Array>>,
  listenTo: keyof typeof LISTENING,
  options: readonly string[],
): QemuRun {
  return inFolder((cwd) => {
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(cwd, name), bytes);
    const fixed = ['-accel', 'tcg', '-display', 'none', '-monitor', 'none', '-no-reboot'];
    const ports = [...LISTENING[listenTo], '-device', 'isa-debug-exit,iobase=0xf4,iosize=4'];
    const words = ['-kernel', kernel, ...fixed, ...ports, ...options];
    const { status, stdout, stderr } = spawnSync('qemu-system-x86_64', words, {
      cwd,
      timeout: 60_000,
      encoding: 'latin1',
    });
    return { output: stdout, stderr, status };
  });
}

function inFolder<T>(work: (folder: string) => T): T {
  const folder = mkdtempSync(join(tmpdir(), 'vmxlab-multiboot-'));
  try {
    return work(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
