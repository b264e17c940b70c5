// Profiles in the file format of speedscope, the viewer of flame graphs:
// https://www.speedscope.app/file-format-schema.json

import type { GuestProfile, ProfiledBlock, Stretch } from './profile.ts';

export interface SpeedscopeFrame {
  readonly name: string;
  readonly file?: string;
  readonly line?: number;
}

interface SampledProfile {
  readonly type: 'sampled';
  readonly name: string;
  readonly unit: 'nanoseconds';
  readonly startValue: 0;
  readonly endValue: number;
  readonly samples: readonly (readonly number[])[];
  readonly weights: readonly number[];
}

export interface SpeedscopeFile {
  readonly $schema: 'https://www.speedscope.app/file-format-schema.json';
  readonly exporter: 'vmxlab';
  readonly name: string;
  readonly shared: { readonly frames: readonly SpeedscopeFrame[] };
  readonly profiles: readonly SampledProfile[];
}

/** What there was for a time, the outermost frame first. */
export interface WeightedStack {
  readonly frames: readonly SpeedscopeFrame[];
  readonly ns: number;
}

/** Some stacks one after the other, under a name. */
export interface NamedStacks {
  readonly name: string;
  readonly stacks: readonly WeightedStack[];
}

/** A file of several profiles. Frames of the same name and place are one. */
export function speedscopeFile(name: string, profiles: readonly NamedStacks[]): SpeedscopeFile {
  const frames: SpeedscopeFrame[] = [];
  const indexes = new Map<string, number>();
  const indexOf = (frame: SpeedscopeFrame): number => {
    const key = JSON.stringify([frame.name, frame.file, frame.line]);
    const known = indexes.get(key);
    if (known !== undefined) return known;
    indexes.set(key, frames.length);
    return frames.push(frame) - 1;
  };
  return {
    $schema: 'https://www.speedscope.app/file-format-schema.json',
    exporter: 'vmxlab',
    name,
    profiles: profiles.map((profile) => ({
      type: 'sampled',
      name: profile.name,
      unit: 'nanoseconds',
      startValue: 0,
      endValue: profile.stacks.reduce((sum, { ns }) => sum + ns, 0),
      samples: profile.stacks.map((stack) => stack.frames.map(indexOf)),
      weights: profile.stacks.map(({ ns }) => ns),
    })),
    shared: { frames },
  };
}

/** One profile for each vCPU, of its virtual time. @param khz cycles in a millisecond */
export function guestStacks(profile: GuestProfile, khz: number): NamedStacks[] {
  const several = profile.vcpus.some(({ vm }) => vm > 0);
  return profile.vcpus.map(({ vm, index, stretches }) => ({
    name: several ? `vCPU ${vm}:${index}, virtual time` : `vCPU ${index}, virtual time`,
    stacks: stretches.map((stretch) => ({
      frames: framesOf(profile, stretch),
      ns: (stretch.cycles * 1e6) / khz,
    })),
  }));
}

function framesOf({ blocks }: GuestProfile, { activity, block }: Stretch): SpeedscopeFrame[] {
  const outer = { name: activity };
  return block === null ? [outer] : [outer, ...blockFrames(blocks[block])];
}

/** The symbol, and in it the block. */
function blockFrames(block: ProfiledBlock): SpeedscopeFrame[] {
  const [, file, line] = /^(.*):(\d+)$/.exec(block.source ?? '') ?? [];
  const place = file === undefined ? {} : { file, line: Number(line) };
  const inner = { name: `0x${block.start} to 0x${block.end}`, ...place };
  const symbol = block.symbol?.replace(/\+0x[\da-f]+$/, '');
  return symbol === undefined ? [inner] : [{ name: symbol }, inner];
}
