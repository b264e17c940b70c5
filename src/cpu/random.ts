// Random numbers for RDRAND and RDSEED: SplitMix64 (Steele, Lea, Flood), whose state is part of the
// processor's, so that runs repeat.

import Long from 'long';
import { type ProcessorState, wordOf } from './state.ts';

const ENTROPY = wordOf('entropy');

const INCREMENT = Long.fromBits(0x7f4a7c15, 0x9e3779b9, true);
const FIRST_FACTOR = Long.fromBits(0x1ce4e5b9, 0xbf58476d, true);
const SECOND_FACTOR = Long.fromBits(0x133111eb, 0x94d049bb, true);

/** The next 64 random bits. */
export function nextRandom(state: ProcessorState): Long {
  const next = state.get64(ENTROPY).toUnsigned().add(INCREMENT);
  state.set64(ENTROPY, next);
  const first = next.xor(next.shru(30)).mul(FIRST_FACTOR);
  const second = first.xor(first.shru(27)).mul(SECOND_FACTOR);
  return second.xor(second.shru(31));
}
