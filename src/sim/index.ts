// sim: chance, time and state without a machine. Knows nothing of processors.
//
//   import { EventQueue } from 'vmxlab/sim';
//   const queue = new EventQueue();
//   queue.post(200, 'tick', 0);
//   queue.peek()?.time; // 200

export { asDouble } from './as-double.ts';
export { copyPlain } from './copy.ts';
export { EventQueue, type EventQueueState, type SimEvent } from './event-queue.ts';
export { Complaint, FormulaReader } from './formula-reader.ts';
export { Frequency, nsOfTick, ticksIn } from './frequency.ts';
export { Hash } from './hash.ts';
export { nearest } from './nearest.ts';
export { PolicyError, PolicyWatch } from './policy.ts';
export { Prng, type PrngState } from './prng.ts';
export type { Relay, RelayCourse, RelayFinish } from './relay.ts';
export { decodeUtf8, encodeUtf8 } from './text.ts';
