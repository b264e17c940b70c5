// What a vCPU would do from a state on if all others stood still: which memory it would access
// until it waits for somebody, sleeps, or does something that may concern anybody. That is found
// out by letting it run, and remembered for all states that look the same to it.

import type { Footprint, Range } from './footprint.ts';
import { type Action, ActionKind, actionOf, type World, type WorldState } from './world.ts';

/** What a vCPU does alone. */
export interface Alone {
  /** For the number of each 8-byte word (hpa / 8) it accesses, the bytes: see {@link Touched}. */
  readonly touched: Touched;
  /** A bit for each vCPU whose part of KVM it works on. */
  readonly kernel: number;
  /** It comes to something that may concern anybody, or does not come to an end. */
  readonly reachesAnything: boolean;
  /** It enters or leaves a section that is watched. */
  readonly crosses: boolean;
  /** It goes round in a loop in the end, and waits. */
  readonly waits: boolean;
}

/** By word: a bit for each byte that is read, and 8 bits higher one for each that is written. */
export type Touched = ReadonlyMap<number, number>;

interface Known extends Alone {
  /** The words that it depends on, and what they held: low and high half. */
  readonly words: readonly number[];
  readonly values: readonly number[];
}

/** Steps after which a vCPU is taken to do anything. */
const MOST_STEPS = 3000;

const WORD_BYTES = 8;
const WRITTEN = 8;

const ANYTHING: Alone = {
  touched: new Map(),
  kernel: 0,
  reachesAnything: true,
  crosses: true,
  waits: false,
};

export class Lookahead {
  private readonly world: World;
  private readonly known = new Map<number, Known[]>();

  constructor(world: World) {
    this.world = world;
  }

  /** @param state where the world stands, and stands again when this returns */
  alone(vcpu: number, state: WorldState): Alone {
    const { world } = this;
    if (world.hasEvent(vcpu)) return ANYTHING;
    const key = world.localKeyOf(state, vcpu);
    let candidates = this.known.get(key);
    if (candidates === undefined) {
      candidates = [];
      this.known.set(key, candidates);
    }
    for (const known of candidates) if (this.holds(known)) return known;
    const { onAction } = world;
    world.onAction = null;
    try {
      const found = new Run(world, vcpu).run();
      candidates.push(found);
      return found;
    } finally {
      world.restore(state);
      world.onAction = onAction;
    }
  }

  /** True if memory is now as it was there. */
  private holds({ words, values }: Known): boolean {
    const { view } = this.world.vm.memory;
    for (const [i, word] of words.entries()) {
      const hpa = word * WORD_BYTES;
      if (view.getInt32(hpa, true) !== values[2 * i]) return false;
      if (view.getInt32(hpa + 4, true) !== values[2 * i + 1]) return false;
    }
    return true;
  }
}

/** One vCPU on its own. */
class Run {
  private readonly world: World;
  private readonly vcpu: number;
  private readonly touched = new Map<number, number>();
  private readonly words: number[] = [];
  private readonly values: number[] = [];
  /** What its registers held where it went back, since it last changed anything in memory. */
  private readonly seen = new Set<number>();
  private crosses = false;
  private kernel = 0;

  constructor(world: World, vcpu: number) {
    this.world = world;
    this.vcpu = vcpu;
  }

  run(): Known {
    const { world, vcpu } = this;
    const sections = world.sectionsOf(vcpu);
    for (let i = 0; i < MOST_STEPS; i++) {
      this.drain();
      if (!world.canStep(vcpu)) return this.result(world.hasEvent(vcpu), false);
      const footprint = world.stepOf(vcpu);
      if (footprint.scope === 'all') return this.result(true, false);
      const before = world.ripOf(vcpu);
      this.step(footprint);
      if (world.ending !== null || world.hasEvent(vcpu)) return this.result(true, false);
      this.crosses ||= world.sectionsOf(vcpu) !== sections;
      if (world.ripOf(vcpu) <= before && this.isBack()) return this.result(false, true);
    }
    return this.result(true, false);
  }

  /** Alone, it is the same whether stores wait or not. */
  private drain(): void {
    const { world, vcpu } = this;
    for (;;) {
      const [store] = world.storesOf(vcpu);
      if (store === undefined) return;
      this.note({ ...store, isRead: false, isWrite: true });
      this.take(actionOf(vcpu, ActionKind.DRAIN), [store]);
    }
  }

  private step({ ranges, kernel }: Footprint): void {
    this.kernel |= kernel;
    for (const range of ranges) this.note(range);
    const written = ranges.filter(({ isWrite }) => isWrite);
    this.take(actionOf(this.vcpu, ActionKind.STEP), written);
  }

  private take(action: Action, written: readonly Place[]): void {
    const before = this.contentOf(written);
    this.world.take(action);
    const after = this.contentOf(written);
    if (before.some((value, i) => value !== after[i])) this.seen.clear();
  }

  private contentOf(places: readonly Place[]): number[] {
    const { bytes } = this.world.vm.memory;
    return places.flatMap(({ hpa, lengthBytes }) => [...bytes.subarray(hpa, hpa + lengthBytes)]);
  }

  private note({ hpa, lengthBytes, isRead, isWrite }: Range): void {
    const { view } = this.world.vm.memory;
    for (const [word, bytes] of wordsOf(hpa, lengthBytes)) {
      const known = this.touched.get(word);
      if (known === undefined) {
        this.words.push(word);
        this.values.push(view.getInt32(word * WORD_BYTES, true));
        this.values.push(view.getInt32(word * WORD_BYTES + 4, true));
      }
      const bits = (isRead ? bytes : 0) | (isWrite ? bytes << WRITTEN : 0);
      this.touched.set(word, (known ?? 0) | bits);
    }
  }

  /** True if it was here before with the same registers, and has changed nothing since. */
  private isBack(): boolean {
    const key = this.world.registersOf(this.vcpu);
    if (this.seen.has(key)) return true;
    this.seen.add(key);
    return false;
  }

  private result(reachesAnything: boolean, waits: boolean): Known {
    const { touched, kernel, crosses, words, values } = this;
    return { touched, kernel, reachesAnything, crosses, waits, words, values };
  }
}

interface Place {
  readonly hpa: number;
  readonly lengthBytes: number;
}

/** The words that bytes lie in, and for each the bits of those. */
function wordsOf(hpa: number, lengthBytes: number): (readonly [number, number])[] {
  const words: (readonly [number, number])[] = [];
  for (let at = hpa; at < hpa + lengthBytes; ) {
    const word = Math.floor(at / WORD_BYTES);
    const end = Math.min(hpa + lengthBytes, (word + 1) * WORD_BYTES);
    const first = at - word * WORD_BYTES;
    words.push([word, ((1 << (end - at)) - 1) << first]);
    at = end;
  }
  return words;
}

/** True if what is done alone and a step of another vCPU cannot be taken in either order. */
export function meets(
  { touched, kernel, reachesAnything }: Alone,
  vcpu: number,
  footprint: Footprint,
): boolean {
  if (reachesAnything || footprint.scope === 'all') return true;
  // Who works on a vCPU's part of KVM decides what its next step is.
  if ((kernel & (footprint.kernel | (1 << vcpu))) !== 0) return true;
  return footprint.ranges.some(({ hpa, lengthBytes, isWrite }) =>
    wordsOf(hpa, lengthBytes).some(([word, bytes]) => {
      const bits = touched.get(word) ?? 0;
      return ((bits >> WRITTEN) & bytes) !== 0 || (isWrite && (bits & bytes) !== 0);
    }),
  );
}

/** True if two vCPUs that run alone would meet, if they ran together. */
export function meet(one: Alone, first: number, other: Alone, second: number): boolean {
  if (one.reachesAnything || other.reachesAnything) return true;
  if ((one.kernel & (other.kernel | (1 << second))) !== 0) return true;
  if ((other.kernel & (1 << first)) !== 0) return true;
  for (const [word, a] of one.touched) {
    const b = other.touched.get(word);
    if (b === undefined) continue;
    if (((a >> WRITTEN) & (b | (b >> WRITTEN)) & 0xff) !== 0) return true;
    if (((b >> WRITTEN) & a & 0xff) !== 0) return true;
  }
  return false;
}
