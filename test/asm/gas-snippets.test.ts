// Every snippet in GAS syntax, against the bytes written down beside it and, if GNU as is there,
// against as and ld.

import { beforeEach, describe, expect, test } from 'vitest';
import { missing } from '../support/outside-tools.ts';
import { runGnu } from './gnu-as.ts';
import {
  assembleSnippet,
  GAS_SNIPPETS_FOLDER,
  hex,
  type Outcome,
  readSnippets,
  type Snippet,
  writeSnippets,
} from './snippets.ts';

const snippets = readSnippets(GAS_SNIPPETS_FOLDER, '');
const noAs = missing('as');

/** The bytes that we make of a snippet, or null. */
function ours({ source }: Snippet): string | null {
  const assembled = assembleSnippet(source, 'snippet.s');
  return assembled.kind === 'ok' ? hex(assembled.bytes) : null;
}

test.each([...new Set(snippets.map(({ file }) => file))])('%s: the bytes written down', (file) => {
  const here = snippets.filter((snippet) => snippet.file === file);
  const differing = here.filter((snippet) => {
    const isError = snippet.outcome === 'rejected' || snippet.outcome === 'stricter';
    return ours(snippet) !== (isError ? null : snippet.bytes);
  });
  expect(differing.map(({ line, written }) => `${file}:${line}: ${written}`)).toEqual([]);
  expect(here.length).toBeGreaterThan(30);
});

describe('with GNU as', () => {
  beforeEach((context) => {
    if (noAs !== null) context.skip(noAs);
  });

  test('outcomes are as written down', () => {
    const results = runGnu(snippets.map(({ source }) => [source]));
    const clashes: string[] = [];
    const actual = snippets.map((snippet, i): Snippet => {
      const theirBytes = results[i]?.bytes ?? null;
      const theirs = theirBytes === null ? null : hex(theirBytes);
      const mine = ours(snippet);
      if (mine !== null && theirs !== null && mine !== theirs) {
        clashes.push(`${snippet.file}:${snippet.line}: ${snippet.written}: ${mine}, not ${theirs}`);
      }
      return { ...snippet, outcome: outcomeOf(mine, theirs), bytes: mine ?? '' };
    });
    expect(clashes).toEqual([]);
    if (process.env.UPDATE_SNIPPETS) writeSnippets(actual, GAS_SNIPPETS_FOLDER);
    const differing = actual.filter(
      ({ outcome, bytes }, i) => outcome !== snippets[i]?.outcome || bytes !== snippets[i]?.bytes,
    );
    expect(differing.map(({ written, outcome }) => `${written} => ${outcome}`)).toEqual([]);
  });
});

function outcomeOf(mine: string | null, theirs: string | null): Outcome {
  if (mine !== null) return theirs === null ? 'laxer' : 'same';
  return theirs === null ? 'rejected' : 'stricter';
}
