// Runs a benchmark's image in v86 and prints what it writes to COM1, up to the end of the line:
// run-v86.js FOLDER-OF-V86 IMAGE. A process of its own, for v86 cannot be stopped and started.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/** What is used of the package, which need not be installed. */
interface Package {
  readonly V86: new (
    options: Readonly<Record<string, unknown>>,
  ) => {
    add_listener(event: 'serial0-output-byte', listener: (byte: number) => void): void;
  };
}

const LINE_FEED = 10;

async function main(folder: string, image: string): Promise<void> {
  const build = join(folder, 'build');
  const { V86 } = (await import(pathToFileURL(join(build, 'libv86.mjs')).href)) as Package;
  const emulator = new V86({
    wasm_path: join(build, 'v86.wasm'),
    memory_size: 32 << 20,
    vga_memory_size: 1 << 20,
    // A multiboot image needs no BIOS.
    multiboot: { buffer: Uint8Array.from(readFileSync(image)).buffer },
    ...{ disable_keyboard: true, disable_mouse: true, disable_speaker: true },
    autostart: true,
  });
  emulator.add_listener('serial0-output-byte', (byte) => {
    process.stdout.write(String.fromCharCode(byte));
    if (byte === LINE_FEED) process.exit(0);
  });
}

const [folder = '', image = ''] = process.argv.slice(2);
await main(folder, image);
