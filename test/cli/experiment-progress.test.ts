// What `vmxlab experiment` says of how far it is where standard error is no terminal.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Progress } from '../../src/cli/experiment-progress.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

/** Lines of so many runs, one every so many ms; `failing`: from which on they fail. */
function linesOf(runs: number, eachMs: number, failing = runs): string[] {
  const lines: string[] = [];
  const progress = new Progress(runs, { write: (text) => lines.push(text) });
  for (let run = 0; run < runs; run++) {
    vi.advanceTimersByTime(eachMs);
    progress.finished(run >= failing);
  }
  progress.clear();
  vi.advanceTimersByTime(600_000);
  return lines;
}

test('what is short goes without a word', () => {
  expect(linesOf(100, 99)).toEqual([]);
  expect(linesOf(1, 20_000)).toEqual([]);
});

test('a tenth of the runs is a line', () => {
  expect(linesOf(100, 1000)).toEqual(
    [10, 20, 30, 40, 50, 60, 70, 80, 90].map((done) => {
      const [after, left] = [done, 100 - done].map((seconds) => {
        return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
      });
      return `vmxlab: ${done} of 100 runs after ${after}, ${left} left\n`;
    }),
  );
});

test('of many short runs there is no line for every tenth', () => {
  expect(linesOf(1000, 25, 100)).toEqual([
    'vmxlab: 400 of 1000 runs, 300 failed after 0:10, 0:15 left\n',
    'vmxlab: 800 of 1000 runs, 700 failed after 0:20, 0:05 left\n',
  ]);
});

test('of long runs half a minute is a line', () => {
  expect(linesOf(2, 3_615_000).slice(119, 123)).toEqual([
    'vmxlab: 0 of 2 runs after 1:00:00\n',
    'vmxlab: 1 of 2 runs after 1:00:15, 1:00:15 left\n',
    'vmxlab: 1 of 2 runs after 1:00:45, 1:00:45 left\n',
    'vmxlab: 1 of 2 runs after 1:01:15, 1:01:15 left\n',
  ]);
});

test('a terminal gets none of these', () => {
  const lines: string[] = [];
  const progress = new Progress(2, { isTTY: true, write: (text) => lines.push(text) });
  vi.advanceTimersByTime(100_000);
  progress.finished(false);
  progress.clear();
  expect(lines).toEqual([]);
});
