// The runner of recorded cases: what it counts, and what it says of a case that comes out
// otherwise.

import { describe, expect, test } from 'vitest';
import { runVectors } from './vectors.ts';

/** add eax, ebx with 2 and 3. */
const ADD = {
  c: 'alu',
  b: '01d8',
  d: 'add eax, ebx',
  r: ['2', '0', '0', '3', '20001060', ...Array(11).fill('0')],
  o: { 0: '5' },
  f: [0, 4],
  ip: 2,
};

const run = (...cases: object[]) => runVectors(cases.map((each) => JSON.stringify(each)));

describe('vectors', () => {
  test('a case that comes out as recorded passes; blank lines do not count', () => {
    expect(runVectors([JSON.stringify(ADD), '', '  '])).toEqual({
      passed: 1,
      failed: 0,
      messages: [],
    });
  });

  test.each([
    ['register', { o: { 0: '6' } }, 'rax is 5, recorded 6'],
    ['flags', { f: [0, 0] }, 'flags is 4, recorded 0'],
    ['rip', { ip: 3 }, 'rip is 2, recorded 3'],
    ['fault', { x: [11, 13, 0, '0'] }, 'does not raise #GP(0)'],
  ])('a wrong %s fails, with what was expected and what came', (_, change, message) => {
    const { passed, failed, messages } = run(ADD, { ...ADD, ...change });
    expect([passed, failed]).toEqual([1, 1]);
    expect(messages[0]).toMatch(/^line 2: add eax, ebx \[01d8\] \(alu\)\n/);
    expect(messages[0]).toContain(message);
  });

  test.each([
    ['{', /line 1 is not JSON/],
    ['{"b":"90"}', /line 1 is not a case/],
    [JSON.stringify({ ...ADD, b: 'xyz' }), /line 1 is not a case/],
  ])('%s is refused', (line, message) => {
    expect(() => runVectors([line])).toThrow(message);
  });
});
