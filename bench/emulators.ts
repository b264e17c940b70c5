// The others: QEMU's TCG with and without icount, Debian's Bochs, v86 and Unicorn.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { prepareBochs } from '../test/support/bochs.ts';
import { says } from './child.ts';
import { ROOT } from './images.ts';
import { type Job, missing, type Peer, type Presence, present } from './peer.ts';
import type { Workload } from './workloads.ts';

const QEMU = 'qemu-system-x86_64';

function qemu(
  name: string,
  title: string,
  args: readonly string[],
  canRun: Peer['canRun'] = isForAll,
): Peer {
  return {
    name,
    title,
    presence: () => {
      const version = says(QEMU, ['--version'])?.split('\n')[0];
      return version === undefined ? missing(`${QEMU} is not installed`) : present(version);
    },
    canRun,
    command: ({ workload, image, folder }) => {
      writeFileSync(join(folder, 'image.bin'), image.bytes);
      const machine = ['-kernel', 'image.bin', '-m', '32', '-smp', String(workload.processors)];
      const devices = ['-device', 'isa-debug-exit,iobase=0xf4', '-debugcon', 'stdio'];
      const quiet = ['-display', 'none', '-nodefaults', '-no-reboot'];
      return { program: QEMU, args: [...args, ...machine, ...devices, ...quiet], folder };
    },
  };
}

function isForAll(workload: Workload): boolean {
  return workload.isOurs !== true;
}

function hasSeveral(workload: Workload): boolean {
  return isForAll(workload) && workload.processors > 1;
}

/** Each processor of Bochs needs several of its 64 timers. */
const MOST_BOCHS_PROCESSORS = 16;

const BOCHS: Peer = {
  name: 'bochs',
  title: 'Bochs',
  presence: () => {
    if (says('nasm', ['-v']) === null)
      return missing('nasm, which makes its ROM, is not installed');
    const version = /Bochs x86 Emulator \S+/.exec(says('bochs', ['--help']) ?? '')?.[0];
    return version === undefined ? missing('bochs is not installed') : present(version);
  },
  canRun: (workload) => isForAll(workload) && workload.processors <= MOST_BOCHS_PROCESSORS,
  command: ({ workload, image, folder }) => {
    const romSource = join(ROOT, 'test/images/lib/bochs-rom.asm');
    const { processors } = workload;
    const args = prepareBochs({ folder, image: image.bytes, processors, romSource });
    return { program: 'bochs', args, folder };
  },
};

const V86_FOLDER = join(ROOT, 'node_modules/v86');

/** 32-bit processors only, and one of them. */
const V86: Peer = {
  name: 'v86',
  title: 'v86',
  // It compiles between slices of time, so it interprets for the better part of a second.
  warmUp: 8,
  presence: () => {
    const version = join(V86_FOLDER, 'package.json');
    return existsSync(version) ? present(`v86 ${versionIn(version)}`) : missing('no package v86');
  },
  canRun: (workload, size) => isForAll(workload) && workload.processors === 1 && size === 32,
  command: ({ image, folder }) => {
    writeFileSync(join(folder, 'image.bin'), image.bytes);
    const script = join(import.meta.dirname, 'run-v86.js');
    return { program: process.execPath, args: [script, V86_FOLDER, 'image.bin'], folder };
  },
};

function versionIn(file: string): string {
  return says(process.execPath, ['-p', `require(${JSON.stringify(file)}).version`]) ?? '';
}

/** Debian's Python first, since that is where Debian's binding is. */
const PYTHONS = ['/usr/bin/python3', 'python3'];
const UNICORN_SCRIPT = join(ROOT, 'bench/run-unicorn.py');

/** The Python that has Unicorn's binding, with the version of Unicorn; looked for once. */
const unicorn = PYTHONS.map((python) => ({
  python,
  answer: says(python, ['-c', 'import unicorn; print("Unicorn", unicorn.__version__)']),
})).find(({ answer }) => answer?.startsWith('Unicorn'));

/** A processor without a machine around it: no interrupts, no devices but the ports it is given. */
const UNICORN: Peer = {
  name: 'unicorn',
  title: 'Unicorn',
  presence: (): Presence => {
    return unicorn === undefined
      ? missing("no Python here has Unicorn's binding (Debian's python3-unicorn)")
      : present(unicorn.answer ?? '');
  },
  canRun: (workload) => isForAll(workload) && workload.kind !== 'multi',
  command: ({ image, size, folder }: Job) => {
    writeFileSync(join(folder, 'image.bin'), image.bytes);
    const args = [UNICORN_SCRIPT, 'image.bin', String(size), String(image.main)];
    return { program: unicorn?.python ?? '', args, folder };
  },
};

/**
 * TCG has one thread for all processors, as with icount; MTTCG one for each. That is left out
 * unless it is named: with fewer processors than threads a contended lock takes a time slice an
 * increment.
 */
export const EMULATORS: readonly Peer[] = [
  qemu('tcg', 'QEMU TCG', ['-accel', 'tcg,thread=single']),
  {
    ...qemu('mttcg', 'QEMU MTTCG', ['-accel', 'tcg,thread=multi'], hasSeveral),
    isOptional: true,
  },
  qemu('icount', 'QEMU icount', ['-accel', 'tcg', '-icount', 'shift=0,sleep=off']),
  BOCHS,
  V86,
  UNICORN,
];
