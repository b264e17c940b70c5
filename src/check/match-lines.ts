// Directives, as texts, matched against lines: the smallest way to use them as a library.

import { collapse, readNote } from './directive.ts';
import { type Mismatch, matchText } from './matcher.ts';
import { noVariables } from './pattern.ts';
import type { StreamName } from './stream.ts';

/**
 * Match directives about a stream, such as `CHECK-NEXT: reason HLT`, against its lines.
 * @returns what does not hold
 * @throws RangeError if one is malformed
 */
export function matchLines(
  directives: readonly string[],
  stream: StreamName,
  lines: readonly string[],
): Mismatch[] {
  const read = directives.map((text, i) => {
    const note = readNote({ text, line: i + 1, column: 1 }, []);
    if (note === null) throw new RangeError(`${text}: is no directive`);
    if ('message' in note) throw new RangeError(`${text}: ${note.message}`);
    if (note.kind !== 'directive') throw new RangeError(`${text}: is about runs, not lines`);
    return note.directive;
  });
  const ours = read.filter((directive) => directive.stream === stream);
  const text = lines.map((line) => `${collapse(line)}\n`).join('');
  return matchText(ours, text, noVariables());
}
