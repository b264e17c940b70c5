// What the next instruction of a vCPU will access, found before it is executed from the effects
// domain: the memory, and what of the emulated kernel. Two steps whose footprints do not meet may
// be taken in either order.

import {
  Access,
  GuestFault,
  OwnerStop,
  type Processor,
  SEGMENT_WORDS,
  Word,
} from '../cpu/index.ts';
import type { HostEvent, Pcpu } from '../host/index.ts';
import {
  type AddressExpression,
  type Effects,
  effectsOf,
  type Instruction,
  Segment,
  type SystemFunction,
} from '../isa/index.ts';
import type { Vcpu } from '../kvm/index.ts';
import { reachOfEvent, reachOfHypercall, reachOfKernel } from './kernel-reach.ts';

/** Bytes of memory that a step accesses. */
export interface Range {
  readonly hpa: number;
  readonly lengthBytes: number;
  readonly isRead: boolean;
  readonly isWrite: boolean;
}

export interface Footprint {
  readonly ranges: readonly Range[];
  /**
   * What else it works on: nothing but registers, what KVM holds for some vCPUs, or anything
   * there is.
   */
  readonly scope: 'registers' | 'kernel' | 'all';
  /** For `kernel`, a bit for each of those vCPUs. */
  readonly kernel: number;
  /** It waits until all stores before it are in memory. */
  readonly needsDrained: boolean;
  /** It says that its vCPU waits for somebody. */
  readonly isPause: boolean;
}

const UNKNOWN = { ranges: [], needsDrained: true, isPause: false };
const ANYTHING: Footprint = { ...UNKNOWN, scope: 'all', kernel: 0 };

/** What is known of an instruction wherever it stands. */
interface Plan {
  readonly scope: Footprint['scope'] | 'hypercall';
  readonly effects: Effects;
  readonly needsDrained: boolean;
  readonly isPause: boolean;
}

const plans = new WeakMap<Instruction, Plan>();

/** The longest access that a store buffer takes as one, in bytes. */
const LONGEST_STORE = 8;

/** What the next step of a vCPU on its pCPU will access. */
export function footprintOfStep(vcpu: Vcpu, pcpu: Pcpu): Footprint {
  if (vcpu.state.phase !== 'guest' || pcpu.interruptPending) {
    return footprintOfKernel(reachOfKernel(vcpu, pcpu));
  }
  return footprintOf(vcpu);
}

/** What an event that waits for a pCPU accesses when it arrives. */
export function footprintOfEvent(event: HostEvent): Footprint {
  return footprintOfKernel(reachOfEvent(event));
}

function footprintOfKernel(reach: number | null): Footprint {
  return reach === null ? ANYTHING : { ...UNKNOWN, scope: 'kernel', kernel: reach };
}

/**
 * What the instruction at RIP will access. `ANYTHING` if that cannot be told: the instruction
 * faults, reaches a device, or works on more than registers and memory.
 */
function footprintOf(vcpu: Vcpu): Footprint {
  const { processor } = vcpu.virtual;
  try {
    const { instruction, lengthBytes } = processor.enterBlock().instructions[0];
    const { scope, effects, needsDrained, isPause } = planOf(instruction);
    if (scope === 'all') return ANYTHING;
    if (scope === 'hypercall') return footprintOfKernel(reachOfHypercall(vcpu));
    const ranges = rangesOf(processor, effects, lengthBytes);
    if (ranges === null) return ANYTHING;
    const kernel = scope === 'kernel' ? 1 << vcpu.index : 0;
    return { ranges, scope, kernel, needsDrained: needsDrained || isLong(ranges), isPause };
  } catch (thrown) {
    if (thrown instanceof GuestFault || thrown instanceof OwnerStop) {
      return ANYTHING;
    }
    throw thrown;
  }
}

function isLong(ranges: readonly Range[]): boolean {
  return ranges.some(({ isWrite, lengthBytes }) => isWrite && lengthBytes > LONGEST_STORE);
}

function planOf(instruction: Instruction): Plan {
  const known = plans.get(instruction);
  if (known !== undefined) return known;
  const plan = makePlan(instruction);
  plans.set(instruction, plan);
  return plan;
}

/** Exits whose handlers do nothing to other vCPUs. */
const OWN_EXITS: readonly string[] = ['HLT', 'CPUID'];

/** What may exit elsewhere, but does not here: time stands still, and so PAUSE loops have no end. */
const NO_EXITS: readonly string[] = ['PAUSE', 'RDTSC', 'RDTSCP'];

/** System functions that reach nothing but registers. */
const REGISTER_CALLS: readonly SystemFunction[] = [
  'crc32',
  'depositBits',
  'extractBits',
  'pushFlags',
  'readMxcsr',
  'readProcessorId',
  'readSegment',
  'readTsc',
  'readTscp',
];

/** System functions that decide whether the vCPU takes interrupts. */
const OWN_CALLS: readonly SystemFunction[] = ['clearInterruptFlag', 'popFlags', 'setInterruptFlag'];

function makePlan(instruction: Instruction): Plan {
  const { row, lock } = instruction;
  const effects = effectsOf(instruction);
  const hasMemory = effects.memory.length > 0;
  const isLocked = hasMemory && (lock || row.alwaysLocked === true);
  const isFence = row.mnemonic === 'MFENCE' || row.mnemonic === 'SERIALIZE';
  const scope = scopeOf(instruction, effects);
  const isExit = scope !== 'registers' && row.intercept !== undefined;
  const needsDrained = isLocked || isFence || isExit || scope === 'all';
  return { scope, effects, needsDrained, isPause: row.mnemonic === 'PAUSE' };
}

function scopeOf({ row }: Instruction, effects: Effects): Plan['scope'] {
  if (row.intercept === 'VMCALL') return 'hypercall';
  const { intercept } = row;
  if (intercept !== undefined && OWN_EXITS.includes(intercept)) return 'kernel';
  if (intercept !== undefined && !NO_EXITS.includes(intercept)) return 'all';
  if (effects.raises.length > 0) return 'all';
  const isKnown = effects.memory.every(({ address, width }) => address !== 'unknown' && width > 0);
  if (!isKnown) return 'all';
  const calls = effects.calls.filter((name) => !REGISTER_CALLS.includes(name));
  if (calls.length === 0) return 'registers';
  return calls.every((name) => OWN_CALLS.includes(name)) ? 'kernel' : 'all';
}

function rangesOf(
  processor: Processor,
  effects: Effects,
  lengthBytes: number,
): readonly Range[] | null {
  const ranges: Range[] = [];
  for (const { kind, width, segment, address } of effects.memory) {
    const { low, high } = linearOf(processor, address as AddressExpression, segment, lengthBytes);
    const isWrite = kind !== 'read';
    const access = isWrite ? Access.WRITE : Access.READ;
    const size = width >> 3;
    const hpa = processor.mmu.locate(low, high, size, access, segment === Segment.SS);
    if (hpa < 0) return null;
    ranges.push({ hpa, lengthBytes: size, isRead: kind !== 'write', isWrite });
  }
  return ranges;
}

function linearOf(
  { state: { words }, codeSize }: Processor,
  address: AddressExpression,
  segment: number,
  lengthBytes: number,
): { low: number; high: number } {
  let low = address.displacement.low >>> 0;
  let high = address.displacement.high;
  const add = (word: number, factor: number) => {
    low += (words[word] >>> 0) * factor;
    high += words[word + 1] * factor;
  };
  for (const { register, factor } of address.terms) add(2 * register, factor);
  if (address.ripRelative) {
    add(Word.RIP, 1);
    low += lengthBytes;
  }
  if (address.width < 64) {
    low = address.width === 16 ? low & 0xffff : low >>> 0;
    high = 0;
  }
  const hasBase = segment >= 0 && (codeSize !== 64 || segment >= Segment.FS);
  if (hasBase) add(SEGMENT_WORDS[segment].base, 1);
  const carried = high + Math.floor(low / 2 ** 32);
  return { low: low | 0, high: codeSize === 64 ? carried | 0 : 0 };
}
