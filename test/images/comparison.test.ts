// How the answers of the two emulators and the decisions about them become what ours has to print.

import { expect, test } from 'vitest';
import { expectation } from './comparison.ts';
import type { Decision } from './decisions.ts';
import { observations } from './emulators.ts';

const about = (lines: RegExp, right: Decision['right']): Decision => {
  return { image: 'any', lines, right, because: 'of a test', section: 'None' };
};

test('lines on which both agree are expected', () => {
  expect(expectation([], ['a', 'b'], ['a', 'b'])).toMatchObject({
    lines: ['a', 'b'],
    undecided: [],
  });
});

test('a disagreement needs a decision that matches it', () => {
  const decision = about(/^x/, 'qemu');
  const { undecided, used } = expectation([decision], ['a: 1'], ['a: 2']);
  expect(undecided).toEqual(['line 1\n  QEMU:  a: 1\n  Bochs: a: 2']);
  expect(used.size).toBe(0);
});

test.each(['qemu', 'bochs'] as const)('and %s may be right', (right) => {
  const decision = about(/^a/, right);
  const { lines, undecided, used } = expectation([decision], ['a: qemu'], ['a: bochs']);
  expect([lines, undecided, [...used]]).toEqual([[`a: ${right}`], [], [decision]]);
});

test('where they agree a decision counts only if neither is right', () => {
  expect(expectation([about(/^a/, 'qemu')], ['a: 1'], ['a: 1'])).toMatchObject({ lines: ['a: 1'] });
  const neither = { ...about(/^a/, 'neither'), ours: (line: string) => line.replace('1', '2') };
  expect(expectation([neither], ['a: 1'], ['a: 1']).lines).toEqual(['a: 2']);
});

test('where one stops a decision has to say so', () => {
  expect(expectation([about(/./, 'bochs')], ['a'], ['a', 'b']).undecided).toHaveLength(1);
  const stops: Decision = { ...about(/z/, 'bochs'), stops: 'qemu' };
  expect(expectation([stops], ['a'], ['a', 'b'])).toMatchObject({ lines: ['a', 'b'] });
  expect(expectation([stops], ['a', 'b'], ['a']).undecided).toHaveLength(1);
});

test('observations are between the marks, or the finished lines behind the first', () => {
  expect(observations('boot\n(0) next @begin\none\ntwo\n@end\n(0) hlt')).toEqual(['one', 'two']);
  expect(observations('@begin\none\n(0).[12] hlt\ntw')).toEqual(['one']);
});
