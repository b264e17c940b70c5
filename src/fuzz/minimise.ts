// Cases made smaller while they still do what matters: shorter input, zeros, fewer values, fewer
// steps decided beforehand. In the manner of afl-tmin: ever smaller pieces are left out.

import type { FuzzCase, ParameterValue } from './case.ts';
import { bytesOf, channelsIn, withBytes } from './channel.ts';

/** Runs a case; true if what matters is still so. */
export type StillHolds = (one: FuzzCase) => boolean;

/** A smaller case that still holds, after at most so many runs. */
export function minimiseCase(one: FuzzCase, holds: StillHolds, mostRuns: number): FuzzCase {
  let left = mostRuns;
  let best = one;
  const tries = (candidate: FuzzCase) => {
    if (left <= 0) return false;
    left--;
    if (!holds(candidate)) return false;
    best = candidate;
    return true;
  };
  for (const name of Object.keys(one.parameters)) {
    tries({ ...best, parameters: without(best.parameters, name) });
  }
  if (best.schedule !== null) shortenSchedule(() => best, tries);
  leaveOutPauses(() => best, tries);
  for (const channel of channelsIn(best)) {
    const bytes = () => bytesOf(best, channel);
    const triesBytes = (shorter: Uint8Array) => tries(withBytes(best, channel, shorter));
    leaveOut(bytes, triesBytes);
    simplify(bytes, triesBytes);
  }
  return best;
}

/** All of them, or each. */
function leaveOutPauses(best: () => FuzzCase, tries: (one: FuzzCase) => boolean): void {
  const pauses = best().serial?.pauses ?? [];
  for (const left of [pauses, ...pauses.map((pause) => [pause])]) {
    const { serial } = best();
    if (serial === undefined || left.length === 0) return;
    const rest = serial.pauses.filter((pause) => !left.includes(pause));
    if (rest.length < serial.pauses.length)
      tries({ ...best(), serial: { ...serial, pauses: rest } });
  }
}

function without(
  parameters: FuzzCase['parameters'],
  name: string,
): Readonly<Record<string, ParameterValue>> {
  return Object.fromEntries(Object.entries(parameters).filter(([key]) => key !== name));
}

/** Pieces of the input, from half of it down to a byte. */
function leaveOut(input: () => Uint8Array, tries: (input: Uint8Array) => boolean): void {
  for (let piece = input().length >> 1 || 1; piece >= 1; piece >>= 1) {
    for (let at = 0; at < input().length; ) {
      const bytes = input();
      const rest = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(at + piece));
      if (!tries(rest)) at += piece;
    }
  }
}

/** What does not matter becomes the digit zero. */
function simplify(input: () => Uint8Array, tries: (input: Uint8Array) => boolean): void {
  const ZERO = 0x30;
  for (let at = 0; at < input().length; at++) {
    if (input()[at] === ZERO) continue;
    const changed = input().slice();
    changed[at] = ZERO;
    tries(changed);
  }
}

/** The shortest prefix that is found by halves. */
function shortenSchedule(best: () => FuzzCase, tries: (one: FuzzCase) => boolean): void {
  const words = best().schedule?.prefix.split(' ') ?? [];
  const seed = best().schedule?.seed ?? 0;
  let low = 0;
  let high = words.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const prefix = words.slice(0, middle).join(' ');
    if (tries({ ...best(), schedule: { prefix, seed } })) high = middle;
    else low = middle + 1;
  }
}
