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

/** A scenario: each guest has as many vCPUs as the host has pCPUs. */
function machineOf({ processors, guests = 1 }: Workload) {
  const vms = Array.from({ length: guests }, (_, i) => ({
    ...{ name: `guest${i}`, program: 'image.bin', vcpus: processors },
  }));
  return { vmxlab: 1, host: { pcpus: processors }, vms };
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
      writeFileSync(join(folder, 'machine.yaml'), JSON.stringify(machineOf(workload)));
      const more = [...(workload.ownArgs ?? []), ...(variant.args ?? [])];
      const machine = ['machine.yaml', '--engine', variant.engine];
      const words = ['run', ...machine, '-q', ...UNLIMITED, ...more];
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
