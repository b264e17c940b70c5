// The heap against a sorted array.

import { describe, expect, test } from 'vitest';
import { EventQueue, type EventQueueState, Prng, type SimEvent } from '../../src/sim/index.ts';

/** What the queue promises, in the plainest way. */
class SortedEvents {
  events: SimEvent[] = [];

  insert(event: SimEvent): void {
    this.events.push(event);
    this.events.sort((a, b) => a.time - b.time || a.sequence - b.sequence);
  }

  remove(sequence: number): boolean {
    const index = this.events.findIndex((event) => event.sequence === sequence);
    if (index >= 0) this.events.splice(index, 1);
    return index >= 0;
  }
}

const KINDS = ['tick', 'ipi', 'timer'] as const;

describe('EventQueue', () => {
  test.each([1, 2, 3, 4, 5])('random operations, seed %s', (seed) => {
    const prng = new Prng(seed);
    let queue = new EventQueue<string>();
    const model = new SortedEvents();
    let posted = 0;
    for (let n = 0; n < 2000; n++) {
      const choice = prng.below(10);
      if (choice < 5) {
        const kind = KINDS[prng.below(3)];
        // Few distinct times, so that sequence decides often.
        const event = { time: prng.below(40), sequence: posted++, target: prng.below(4), kind };
        const detail = prng.below(2);
        expect(queue.post(event.time, kind, event.target, detail)).toBe(event.sequence);
        model.insert({ ...event, detail });
      } else if (choice < 8) {
        expect(queue.peek()).toEqual(model.events[0]);
        expect(queue.take()).toEqual(model.events.shift());
      } else if (choice < 9) {
        const sequence = prng.below(posted + 2);
        expect(queue.cancel(sequence)).toBe(model.remove(sequence));
      } else {
        const saved = JSON.parse(JSON.stringify(queue.state)) as EventQueueState<string>;
        queue = new EventQueue();
        queue.state = saved;
      }
      expect(queue.size).toBe(model.events.length);
      expect(queue.nextTime).toBe(model.events[0]?.time ?? Number.POSITIVE_INFINITY);
    }
    expect(queue.list()).toEqual(model.events);
    expect(queue.state).toEqual({ nextSequence: posted, events: model.events });
  });

  test('listing and saving take nothing out', () => {
    const queue = new EventQueue();
    for (const time of [5, 1, 3]) queue.post(time, 'tick', 0);
    queue.list().pop();
    (queue.state.events as SimEvent[]).pop();
    expect(queue.list().map(({ time }) => time)).toEqual([1, 3, 5]);
  });

  test('a restored queue does not share its events with what it was restored from', () => {
    const queue = new EventQueue();
    queue.post(1, 'tick', 0);
    const saved = queue.state;
    const other = new EventQueue();
    other.state = saved;
    other.take();
    other.state = saved;
    expect(other.size).toBe(1);
    expect(other.post(1, 'tick', 0)).toBe(1);
  });

  test('is empty at first', () => {
    const queue = new EventQueue();
    expect([queue.peek(), queue.take(), queue.cancel(0), queue.size]).toEqual([
      undefined,
      undefined,
      false,
      0,
    ]);
    expect(queue.nextTime).toBe(Number.POSITIVE_INFINITY);
  });
});
