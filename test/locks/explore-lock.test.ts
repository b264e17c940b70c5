// The exploration of locks finds nothing in a lock that is right, and a lock that is not.

import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { measuredNames } from '../support/measured-block.ts';
import { exploreLock, SEARCHES } from './explore-lock.ts';
import { LOCKS } from './lock-table.ts';

const MOST_STATES = 20_000;

const ticket = LOCKS.find(({ name }) => name === 'ticket');
if (ticket === undefined) throw new Error('the table has no ticket lock');

test.each(SEARCHES.slice(0, 2))('ticket: %o', (search) => {
  const { verdict, outcomes, notes } = exploreLock(ticket, search, MOST_STATES);
  expect({ verdict, notes }).toEqual({ verdict: 'pass', notes: [] });
  expect(outcomes.map(({ status, output }) => [status, output])).toEqual([['halted', 'ok']]);
});

test('without LOCK two draw the same ticket, if stores wait in buffers', () => {
  const { verdict, violation } = exploreLock(ticket, SEARCHES[1], MOST_STATES, { lock: '' });
  expect([verdict, violation?.message]).toEqual(['violation', 'vCPU 0 wrote 1 to the exit port']);
});

test('the table is that of lock.inc and of docs/locks.md', () => {
  const names = LOCKS.map(({ name }) => name).toSorted();
  const source = readFileSync('guest-programs/locks/lock.inc', 'utf8');
  const known = [...source.matchAll(/^%(?:el)?ifidn LOCK, (\S+)$/gm)].map(([, name]) => name);
  expect(known.toSorted()).toEqual(names);
  const page = readFileSync('docs/locks.md', 'utf8');
  const [first] = page.split('\n## ');
  const rows = [...first.matchAll(/^\| `(\S+)` \|/gm)].map(([, name]) => name);
  expect(rows.toSorted()).toEqual(names);
  expect(measuredNames('docs/locks.md', 'locks').toSorted()).toEqual(names);
});
