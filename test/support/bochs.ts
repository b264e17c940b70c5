// Bochs as it runs a multiboot image without a BIOS: a ROM in its place contains the image.

import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface BochsMachine {
  /** A folder of its own, which Bochs is to be started in. */
  readonly folder: string;
  readonly image: Uint8Array;
  readonly processors: number;
  /** test/images/lib/bochs-rom.asm, wherever this runs from. */
  readonly romSource: string;
}

/** Write what Bochs needs into the folder. Returns the options to start it with. */
export function prepareBochs({ folder, image, processors, romSource }: BochsMachine): string[] {
  const imageFile = join(folder, 'image.bin');
  writeFileSync(imageFile, image);
  const options = ['-w-all', '-f', 'bin', `-DIMAGE='${imageFile}'`];
  execFileSync('nasm', [...options, '-o', join(folder, 'rom.bin'), romSource], { stdio: 'pipe' });
  const vga = new Uint8Array(512);
  vga.set([0x55, 0xaa, 1]);
  writeFileSync(join(folder, 'vga.bin'), vga);
  writeFileSync(join(folder, 'commands'), 'c\n');
  writeFileSync(join(folder, 'bochsrc'), configuration(processors));
  return ['-q', '-f', 'bochsrc', '-rc', 'commands'];
}

/**
 * The display is a VNC server that waits for nobody. The word that an image writes to port 8900H
 * is a panic, which ends Bochs.
 */
function configuration(processors: number): string {
  const without = ['speaker', 'biosdev', 'iodebug', 'parallel', 'gameport', 'extfpuirq'];
  return [
    `plugin_ctrl: unmapped=1, ${without.map((plugin) => `${plugin}=0`).join(', ')}`,
    'sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy',
    'display_library: rfb, options="timeout=0"',
    'romimage: file=rom.bin',
    'vgaromimage: file=vga.bin',
    `cpu: model=broadwell_ult, count=${processors}, ips=100000000`,
    'cpu: reset_on_triple_fault=0, ignore_bad_msrs=0',
    'megs: 32',
    'log: log.txt',
    'port_e9_hack: enabled=1',
    'boot: floppy',
    'panic: action=fatal',
    'error: action=report',
    'info: action=ignore',
    'debug: action=ignore',
    '',
  ].join('\n');
}
