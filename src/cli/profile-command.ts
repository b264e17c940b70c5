// `vmxlab profile`: where virtual time goes in the guest, and where real time goes in the emulator.
// Two runs of the same scenario, which are the same run: one that the host is watched in, and one
// that is stopped again and again to look at the guest.

import {
  type GuestProfile,
  guestStacks,
  Machine,
  type MachineEnding,
  NO_PAINT,
  type Paint,
  profileMachine,
  speedscopeFile,
} from '../machine/index.ts';
import { Failure } from './failure.ts';
import { isSameFile, writeOutput } from './files.ts';
import { HOST_CATEGORIES, type HostSample, profileHost } from './host-profile.ts';
import { POLICY_LIMIT_MS, runWatched, watched } from './policies.ts';
import { type Input, type InputOptions, loadInput } from './program.ts';
import { paintFor } from './terminal.ts';

export interface ProfileOptions extends InputOptions {
  readonly file: string;
  readonly json: boolean;
  readonly output: string | undefined;
  /** Cycles between two looks at the guest; 0 for as many as suit the run. */
  readonly step: number;
  /** Blocks shown. */
  readonly top: number;
}

/** Looks at a guest, if nobody says how far they are apart. */
const LOOKS = 10_000;
const SHORTEST_STEP = 100;

/**
 * Run, print, and return the exit code.
 * @param policyLimitMs real time after which a policy that does not return ends the run
 */
export function profileCommand(options: ProfileOptions, policyLimitMs = POLICY_LIMIT_MS): number {
  const { file, output } = options;
  if (output !== undefined && isSameFile(output, file)) {
    throw new Failure(`${output}: is what is run; give the profile another name`);
  }
  const input = loadInput(file, options);
  for (const warning of input.warnings) process.stderr.write(`${warning}\n`);
  const { policies } = input;
  const first = machineOf(input);
  const host = profileHost(() => {
    runWatched(first, policies, policyLimitMs);
  });
  const step = options.step || Math.max(SHORTEST_STEP, Math.ceil(first.now / LOOKS));
  const machine = machineOf(input);
  const { profile, ending } = profileMachine(machine, step, (until) => {
    watched(machine, policies, () => machine.run(until), policyLimitMs);
    return machine.ending;
  });
  const shares = hostShares(host);
  if (output !== undefined) writeFlameGraph(output, options, machine, profile, host);
  if (options.json) {
    const { blocks, vcpus, stepCycles } = profile;
    const guest = { stepCycles, blocks, vcpus: vcpus.map(({ stretches: _, ...rest }) => rest) };
    process.stdout.write(`${JSON.stringify({ guest, host: shares }, null, 2)}\n`);
  } else {
    const lines = profileText(machine, ending, profile, shares, options);
    process.stdout.write(`${lines.join('\n')}\n`);
  }
  return ending.exitCode;
}

function machineOf({ scenario, programs, modules, symbols, policies, order }: Input): Machine {
  return new Machine(scenario, { programs, modules, symbols, policies, order });
}

function writeFlameGraph(
  path: string,
  { file }: ProfileOptions,
  machine: Machine,
  profile: GuestProfile,
  host: readonly HostSample[],
): void {
  const stacks = host.map(({ category, name, ns }) => ({
    frames: [{ name: category }, { name }],
    ns,
  }));
  const profiles = [
    ...guestStacks(profile, machine.host.frequency.khz),
    { name: 'host, real time', stacks },
  ];
  writeOutput(path, `${JSON.stringify(speedscopeFile(file, profiles))}\n`);
}

interface HostShare {
  readonly category: string;
  readonly ms: number;
  readonly share: number;
}

function hostShares(samples: readonly HostSample[]): HostShare[] {
  const all = samples.reduce((sum, { ns }) => sum + ns, 0);
  return HOST_CATEGORIES.map((category) => {
    const ns = samples
      .filter((sample) => sample.category === category)
      .reduce((sum, sample) => sum + sample.ns, 0);
    return { category, ms: ns / 1e6, share: all === 0 ? 0 : ns / all };
  });
}

function profileText(
  machine: Machine,
  ending: MachineEnding,
  profile: GuestProfile,
  host: readonly HostShare[],
  { output, top }: ProfileOptions,
): string[] {
  const paint = process.stdout.isTTY ? paintFor(process.stdout) : NO_PAINT;
  const { blocks, stepCycles } = profile;
  const more = blocks.length > top ? [`and ${blocks.length - top} more`] : [];
  return [
    `${ending.message}.`,
    `${(machine.host.frequency.toNs(machine.now) / 1e6).toFixed(3)} ms of virtual time, ` +
      `looked at every ${stepCycles} cycles.`,
    '',
    ...blockTable(profile, top, paint),
    ...more,
    '',
    paint('What the host did with its time:', 'bold'),
    ...host.map(
      ({ category, ms, share }) =>
        `${percent(share)}  ${ms.toFixed(1).padStart(9)} ms  ${category}`,
    ),
    ...(output === undefined ? [] : ['', `${output} opens in https://www.speedscope.app`]),
  ];
}

function blockTable({ blocks, vcpus }: GuestProfile, top: number, paint: Paint): string[] {
  const several = vcpus.some(({ vm }) => vm > 0);
  const titles = ['Guest%'.padStart(7), 'Instructions'.padStart(13), ' Block'];
  return [
    paint(titles.join(' '), 'bold'),
    ...blocks.slice(0, top).map((block) => {
      const vm = several ? `${block.vm}:` : '';
      const name = block.symbol === null ? '' : ` <${block.symbol}>`;
      const source = block.source === null ? '' : ` ${block.source}`;
      const length = `${block.lengthInstructions} instructions`;
      return (
        `${percent(block.share)} ${String(block.instructions).padStart(13)}  ` +
        `${vm}0x${block.start}${name}${source}, ${length}`
      );
    }),
  ];
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2).padStart(6)}%`;
}
