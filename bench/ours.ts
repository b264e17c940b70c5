// vmxlab as people run it: the built command, in a process of its own.

import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Engine } from '../src/cpu/index.ts';
import { says } from './child.ts';
import { ROOT } from './images.ts';
import { missing, type Peer, present } from './peer.ts';
import type { Workload } from './workloads.ts';

export interface OwnVariant {
  readonly name: string;
  readonly title: string;
  readonly engine: Engine;
  /** More words for the command. */
  readonly args?: readonly string[];
  /** What it is about; everything if not given. */
  readonly canRun?: (workload: Workload) => boolean;
  /** Where the built project lies; here, unless another version is measured. */
  readonly root?: string;
}

/** The built command of a checkout. */
export function launcher(root: string): string {
  return join(root, 'dist/cli/launch.js');
}

const UNLIMITED = ['--until', '3600s', '--max-instructions', String(Number.MAX_SAFE_INTEGER)];

export function ours(variant: OwnVariant): Peer {
  const root = variant.root ?? ROOT;
  const command = launcher(root);
  const flags = (variant.args ?? []).filter((word) => word.startsWith('--'));
  return {
    name: variant.name,
    title: variant.title,
    presence: () => {
      if (!existsSync(command)) return missing(`${command} is missing: npm run build`);
      const unknown = flags.find((flag) => !hasFlag(command, flag));
      if (unknown !== undefined) return missing(`'vmxlab run' has no ${unknown}`);
      return present(says(process.execPath, [command, '--version']) ?? '');
    },
    canRun: variant.canRun ?? (() => true),
    command: ({ workload, image, folder }) => {
      writeFileSync(join(folder, 'image.bin'), image.bytes);
      const count = String(workload.processors);
      const machine = ['--vcpus', count, '--pcpus', count, '--engine', variant.engine];
      const more = [...(workload.ownArgs ?? []), ...(variant.args ?? [])];
      const words = ['run', 'image.bin', '-q', ...machine, ...UNLIMITED, ...more];
      return { program: process.execPath, args: [command, ...words], folder };
    },
  };
}

const helpTexts = new Map<string, string>();

function hasFlag(command: string, flag: string): boolean {
  let help = helpTexts.get(command);
  if (help === undefined) {
    help = says(process.execPath, [command, 'run', '--help']) ?? '';
    helpTexts.set(command, help);
  }
  return help.includes(flag);
}
