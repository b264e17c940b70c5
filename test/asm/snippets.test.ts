// Every snippet, against the bytes written down beside it and, if NASM is there, against NASM.

import { beforeEach, describe, expect, test } from 'vitest';
import { missing } from '../support/outside-tools.ts';
import { runNasm } from './nasm.ts';
import {
  assembleSnippet,
  hex,
  type Outcome,
  readSnippets,
  type Snippet,
  writeSnippets,
} from './snippets.ts';

const snippets = readSnippets();
const noNasm = missing('nasm');

/** The bytes that we make of a snippet, or null. */
function ours({ source }: Snippet): string | null {
  const assembled = assembleSnippet(source);
  return assembled.kind === 'ok' ? hex(assembled.bytes) : null;
}

test.each([...new Set(snippets.map(({ file }) => file))])('%s: the bytes written down', (file) => {
  const here = snippets.filter((snippet) => snippet.file === file);
  const differing = here.filter((snippet) => {
    const isError = snippet.outcome === 'rejected' || snippet.outcome === 'stricter';
    return ours(snippet) !== (isError ? null : snippet.bytes);
  });
  expect(differing.map(({ line, written }) => `${file}:${line}: ${written}`)).toEqual([]);
  expect(here.length).toBeGreaterThan(50);
});

describe('with NASM', () => {
  beforeEach((context) => {
    if (noNasm !== null) context.skip(noNasm);
  });

  test('outcomes are as written down', () => {
    const results = runNasm(snippets.map(({ source }) => source));
    const actual = snippets.map((snippet, i) => {
      const theirBytes = results[i]?.bytes ?? null;
      return compared(snippet, theirBytes === null ? null : hex(theirBytes));
    });
    if (process.env.UPDATE_SNIPPETS) writeSnippets(actual);
    const differing = actual.filter(
      ({ outcome, bytes }, i) => outcome !== snippets[i]?.outcome || bytes !== snippets[i]?.bytes,
    );
    expect(differing.map(describeOutcome)).toEqual([]);
  });
});

function compared(snippet: Snippet, theirBytes: string | null): Snippet {
  const ourBytes = ours(snippet);
  if (ourBytes !== null && theirBytes !== null && ourBytes !== theirBytes) {
    // Never right, whatever is written down.
    throw new Error(`${snippet.written}: ${ourBytes} here, ${theirBytes} from NASM`);
  }
  const outcome: Outcome =
    ourBytes === null
      ? theirBytes === null
        ? 'rejected'
        : 'stricter'
      : theirBytes === null
        ? 'laxer'
        : 'same';
  return { ...snippet, outcome, bytes: ourBytes ?? '' };
}

function describeOutcome({ file, line, written, outcome, bytes }: Snippet): string {
  return `${file}:${line}: ${written} => ${outcome} ${bytes}`;
}
