// Persistent sets: of what can be taken in a state, a part that is enough, since whatever the
// others do before they come to it has nothing to do with it (Godefroid, "Partial-Order Methods for
// the Verification of Concurrent Systems", 1996). What the others would do is not estimated from
// the program but found by letting them run: see lookahead.ts.

import { type Alone, meet, meets } from './lookahead.ts';
import { type Action, ActionKind, kindOf, vcpuOf, type World } from './world.ts';

/** What of a state's actions is enough, and who is left out meanwhile. */
export interface PersistentSet {
  readonly actions: readonly Action[];
  /** What those do alone whose actions are left out. */
  readonly others: readonly Other[];
}

interface Other {
  readonly vcpu: number;
  readonly alone: Alone;
}

export interface Candidates {
  readonly world: World;
  readonly enabled: readonly Action[];
  /** What a vCPU does alone from here on. */
  readonly alone: (vcpu: number) => Alone;
  /** The vCPU that ran last, if only it may be preferred; null for any. */
  readonly only: number | null;
}

/** Sets that are smaller than everything that is enabled, the best one first. */
export function persistentSets(candidates: Candidates): PersistentSet[] {
  const { world, enabled, only } = candidates;
  if (enabled.length < 2) return [];
  const active = [...new Set(enabled.map(vcpuOf))];
  const sets = active.flatMap((vcpu) => drainOf(candidates, vcpu, active));
  if (active.length < 2 || enabled.some((action) => isAnything(world, action, active))) return sets;
  const byVcpu = active
    .filter((vcpu) => only === null || vcpu === only)
    .map((vcpu) => closed(candidates, vcpu, active))
    .filter((vcpus) => vcpus.length < active.length && (only === null || vcpus.length === 1));
  const waits = (vcpus: readonly number[]) =>
    vcpus.some((vcpu) => candidates.alone(vcpu).waits) ? 1 : 0;
  byVcpu.sort((a, b) => a.length - b.length || waits(a) - waits(b));
  for (const vcpus of byVcpu) {
    sets.push({
      actions: enabled.filter((action) => vcpus.includes(vcpuOf(action))),
      others: othersOf(candidates, vcpus, active),
    });
  }
  return sets;
}

/** What waits to happen by itself may concern anybody. */
function isAnything(world: World, action: Action, active: readonly number[]): boolean {
  return active.length > 1 && world.footprintOf(action).scope === 'all';
}

function othersOf(
  { alone }: Candidates,
  vcpus: readonly number[],
  active: readonly number[],
): Other[] {
  const others = active.filter((other) => !vcpus.includes(other));
  return others.map((vcpu) => ({ vcpu, alone: alone(vcpu) }));
}

/**
 * The oldest store of a vCPU may reach memory at once if nobody else would look there before: its
 * own later stores come behind it, and it sees it already.
 */
function drainOf(
  candidates: Candidates,
  vcpu: number,
  active: readonly number[],
): readonly PersistentSet[] {
  const { world, enabled } = candidates;
  const own = enabled.filter((action) => vcpuOf(action) === vcpu);
  const drain = own.find((action) => kindOf(action) === ActionKind.DRAIN);
  if (drain === undefined || own.some((action) => kindOf(action) === ActionKind.EVENT)) return [];
  const others = othersOf(candidates, [vcpu], active);
  const footprint = world.footprintOf(drain);
  if (others.some(({ alone }) => meets(alone, vcpu, footprint)) || anyMeet(others)) return [];
  return [{ actions: [drain], others }];
}

function anyMeet(others: readonly Other[]): boolean {
  return others.some((one, i) =>
    others.slice(i + 1).some((other) => meet(one.alone, one.vcpu, other.alone, other.vcpu)),
  );
}

/** The vCPUs whose actions are enough if those of one are to be among them. */
function closed({ world, enabled, alone }: Candidates, first: number, active: readonly number[]) {
  const inside = [first];
  const outside = active.filter((vcpu) => vcpu !== first);
  const moveIn = (vcpu: number) => {
    outside.splice(outside.indexOf(vcpu), 1);
    inside.push(vcpu);
  };
  const isMet = (vcpu: number) => {
    const one = alone(vcpu);
    const next = enabled.filter((action) => inside.includes(vcpuOf(action)));
    // Where several are left out, it must not matter to one what the others do.
    return (
      next.some((action) => meets(one, vcpuOf(action), world.footprintOf(action))) ||
      outside.some((other) => other !== vcpu && meet(one, vcpu, alone(other), other))
    );
  };
  for (let met = outside.find(isMet); met !== undefined; met = outside.find(isMet)) moveIn(met);
  return inside;
}
