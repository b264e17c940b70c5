// Where a machine's virtual time goes: looked at in fixed steps of it, so that the same scenario
// has the same profile on every host and by every engine. What each thread of a vCPU did in a step
// (guest, host, waiting, blocked) is exact; its guest time is given to the block at RIP.
import Long from 'long';
import { codeSizeOf } from '../cpu/index.ts';
import { type CodeSize, decode, MAX_INSTRUCTION_BYTES } from '../isa/index.ts';
import { readGuestBytes, type Vcpu } from '../kvm/index.ts';
import type { MachineEnding } from './ending.ts';
import type { Machine } from './machine.ts';

/** What a vCPU's thread can do; only `guest` has a block. */
export const ACTIVITIES = ['guest', 'host', 'waiting', 'blocked'] as const;

export type Activity = (typeof ACTIVITIES)[number];

/** Straight-line code up to a branch, or to the next symbol. */
export interface ProfiledBlock {
  readonly vm: number;
  /** Linear, hexadecimal; the lowest address that was met, and the one behind the block. */
  readonly start: string;
  readonly end: string;
  /** As reports name it, or null. */
  readonly symbol: string | null;
  readonly source: string | null;
  readonly lengthInstructions: number;
  /** Guest time, by steps: estimates. */
  readonly cycles: number;
  readonly instructions: number;
  /** Of all guest time. */
  readonly share: number;
}

/** A stretch of one vCPU's life. */
export interface Stretch {
  readonly activity: Activity;
  /** Index into the profile's blocks, for `guest`. */
  readonly block: number | null;
  readonly cycles: number;
}

export interface VcpuProfile {
  readonly vm: number;
  readonly index: number;
  readonly cycles: Readonly<Record<Activity, number>>;
  readonly stretches: readonly Stretch[];
}

export interface GuestProfile {
  readonly stepCycles: number;
  /** Hottest first. */
  readonly blocks: readonly ProfiledBlock[];
  readonly vcpus: readonly VcpuProfile[];
}

interface Counted {
  readonly vm: number;
  readonly end: Long;
  start: Long;
  lengthInstructions: number;
  cycles: number;
  instructions: number;
}

interface Watched {
  readonly vcpu: Vcpu;
  /** At the last look. */
  before: Readonly<Record<Activity, number>>;
  instructions: number;
  readonly stretches: { activity: Activity; block: Counted | null; cycles: number }[];
}

/**
 * Run a machine to its end or its limits.
 * @param run runs it until a time in cycles; for who has to look after its policies
 */
export function profileMachine(
  machine: Machine,
  stepCycles: number,
  run: (until: number) => MachineEnding | null = (until) => machine.run(until),
): { readonly profile: GuestProfile; readonly ending: MachineEnding } {
  const profiler = new Profiler(machine);
  let ending: MachineEnding | null = null;
  for (let until = stepCycles; ending === null; until += stepCycles) {
    ending = run(until);
    profiler.look();
  }
  return { profile: profiler.profile(stepCycles), ending };
}

class Profiler {
  private readonly machine: Machine;
  private readonly watched: readonly Watched[];
  /** By machine and end. */
  private readonly blocks = new Map<string, Counted>();
  /** Block of each address that was met, by machine and address. */
  private readonly known = new Map<string, Counted>();

  constructor(machine: Machine) {
    this.machine = machine;
    this.watched = machine.vcpus.map((vcpu) => {
      const before = this.timesOf(vcpu);
      const { instructions } = vcpu.virtual.processor;
      return { vcpu, before, instructions, stretches: [] };
    });
  }

  /** What a thread waits or sleeps for now is part of it. */
  private timesOf({ thread }: Vcpu): Record<Activity, number> {
    const { times, status, sinceCycles } = thread.state;
    const rest = Math.max(0, this.machine.now - sinceCycles);
    return {
      guest: times.guest,
      host: times.host,
      waiting: times.waiting + (status === 'runnable' ? rest : 0),
      blocked: times.blocked + (status === 'blocked' ? rest : 0),
    };
  }

  look(): void {
    for (const watched of this.watched) {
      const { vcpu, before, stretches } = watched;
      const now = this.timesOf(vcpu);
      const { instructions } = vcpu.virtual.processor;
      for (const activity of ACTIVITIES) {
        const cycles = now[activity] - before[activity];
        if (cycles <= 0) continue;
        const block = activity === 'guest' ? this.blockAt(vcpu) : null;
        if (block !== null) {
          block.cycles += cycles;
          block.instructions += instructions - watched.instructions;
        }
        const last = stretches.at(-1);
        if (last?.activity === activity && last.block === block) last.cycles += cycles;
        else stretches.push({ activity, block, cycles });
      }
      watched.before = now;
      watched.instructions = instructions;
    }
  }

  private blockAt(vcpu: Vcpu): Counted {
    const vm = vcpu.vm.id;
    const start = vcpu.linearRip.toUnsigned();
    const place = `${vm}:${start.toString(16)}`;
    const known = this.known.get(place);
    if (known !== undefined) return known;
    const line = this.straightLine(vcpu, start);
    const key = `${vm}:${line.end.toString(16)}`;
    let block = this.blocks.get(key);
    if (block === undefined) {
      block = { vm, start, ...line, cycles: 0, instructions: 0 };
      this.blocks.set(key, block);
    } else if (start.lt(block.start)) {
      block.start = start;
      block.lengthInstructions = line.lengthInstructions;
    }
    this.known.set(place, block);
    return block;
  }

  /** From an address to behind the next branch, or to the next symbol. */
  private straightLine(vcpu: Vcpu, start: Long): { end: Long; lengthInstructions: number } {
    const codeSize = codeSizeOf(vcpu.virtual.processor.state);
    const room = this.machine.symbols[vcpu.vm.id].bytesToNext(start);
    let end = start;
    let lengthInstructions = 0;
    while (lengthInstructions < MOST_INSTRUCTIONS && end.sub(start).toNumber() < room) {
      const next = instructionAt(vcpu, end, codeSize);
      if (next === null) break;
      end = end.add(next.lengthBytes);
      lengthInstructions++;
      if (next.isBranch) break;
    }
    return { end, lengthInstructions };
  }

  profile(stepCycles: number): GuestProfile {
    const hottest = [...this.blocks.values()].sort(
      (a, b) => b.cycles - a.cycles || a.vm - b.vm || a.start.compare(b.start),
    );
    const all = hottest.reduce((sum, { cycles }) => sum + cycles, 0);
    const indexes = new Map(hottest.map((block, i) => [block, i]));
    return {
      stepCycles,
      blocks: hottest.map((block) => this.reported(block, all)),
      vcpus: this.watched.map(({ vcpu, before, stretches }) => ({
        vm: vcpu.vm.id,
        index: vcpu.index,
        cycles: before,
        stretches: stretches.map(({ activity, block, cycles }) => ({
          activity,
          block: block === null ? null : (indexes.get(block) ?? null),
          cycles,
        })),
      })),
    };
  }

  private reported({ vm, start, end, ...counts }: Counted, all: number): ProfiledBlock {
    const name = this.machine.symbols[vm].nameOf(start);
    return {
      vm,
      start: start.toString(16),
      end: end.toString(16),
      symbol: name?.symbol ?? null,
      source: name?.source ?? null,
      ...counts,
      share: counts.cycles / all,
    };
  }
}

/** Longer straight lines are cut. */
const MOST_INSTRUCTIONS = 128;

function instructionAt(vcpu: Vcpu, address: Long, codeSize: CodeSize) {
  const bytes = readGuestBytes(vcpu, address, MAX_INSTRUCTION_BYTES);
  const decoded = bytes === null ? null : decode(bytes, 0, bytes.length, codeSize);
  if (decoded?.kind !== 'instruction') return null;
  const { row, lengthBytes } = decoded.instruction;
  return { lengthBytes: Long.fromInt(lengthBytes, true), isBranch: row.cost === 'branch' };
}
