// Every snippet, in NASM and in GAS syntax, against the bytes written down beside it and, if the
// real assembler is there, against that: NASM, or GNU as and ld.

import { beforeEach, describe, expect, test } from 'vitest';
import { missing } from '../support/outside-tools.ts';
import { runGnu } from './gnu-as.ts';
import { runNasm } from './nasm.ts';
import {
  assembleSnippet,
  GAS_SNIPPETS_FOLDER,
  hex,
  type Outcome,
  readSnippets,
  SNIPPETS_FOLDER,
  type Snippet,
  writeSnippets,
} from './snippets.ts';

const SYNTAXES = [
  {
    judge: 'nasm',
    folder: SNIPPETS_FOLDER,
    head: 'bits 64\n',
    fileName: 'snippet.asm',
    fewest: 50,
    run: runNasm,
  },
  {
    judge: 'as',
    folder: GAS_SNIPPETS_FOLDER,
    head: '',
    fileName: 'snippet.s',
    fewest: 30,
    run: (sources: readonly string[]) => runGnu(sources.map((source) => [source])),
  },
] as const;

describe.each(SYNTAXES)('as $judge reads it', ({ judge, folder, head, fileName, fewest, run }) => {
  const snippets = readSnippets(folder, head);
  const noJudge = missing(judge);

  /** The bytes that we make of a snippet, or null. */
  function ours({ source }: Snippet): string | null {
    const assembled = assembleSnippet(source, fileName);
    return assembled.kind === 'ok' ? hex(assembled.bytes) : null;
  }

  test.each([...new Set(snippets.map(({ file }) => file))])(
    '%s: the bytes written down',
    (file) => {
      const here = snippets.filter((snippet) => snippet.file === file);
      const differing = here.filter((snippet) => {
        const isError = snippet.outcome === 'rejected' || snippet.outcome === 'stricter';
        return ours(snippet) !== (isError ? null : snippet.bytes);
      });
      expect(differing.map(({ line, written }) => `${file}:${line}: ${written}`)).toEqual([]);
      expect(here.length).toBeGreaterThan(fewest);
    },
  );

  describe('judged', () => {
    beforeEach((context) => {
      if (noJudge !== null) context.skip(noJudge);
    });

    test('outcomes are as written down', () => {
      const results = run(snippets.map(({ source }) => source));
      const clashes: string[] = [];
      const actual = snippets.map((snippet, i): Snippet => {
        const theirBytes = results[i]?.bytes ?? null;
        const theirs = theirBytes === null ? null : hex(theirBytes);
        const mine = ours(snippet);
        // Never right, whatever is written down.
        if (mine !== null && theirs !== null && mine !== theirs) {
          clashes.push(
            `${snippet.file}:${snippet.line}: ${snippet.written}: ${mine}, not ${theirs}`,
          );
        }
        return { ...snippet, outcome: outcomeOf(mine, theirs), bytes: mine ?? '' };
      });
      expect(clashes).toEqual([]);
      if (process.env.UPDATE_SNIPPETS) writeSnippets(actual, folder);
      const differing = actual.filter(
        ({ outcome, bytes }, i) => outcome !== snippets[i]?.outcome || bytes !== snippets[i]?.bytes,
      );
      expect(differing.map(describeOutcome)).toEqual([]);
    });
  });
});

function outcomeOf(mine: string | null, theirs: string | null): Outcome {
  if (mine !== null) return theirs === null ? 'laxer' : 'same';
  return theirs === null ? 'rejected' : 'stricter';
}

function describeOutcome({ file, line, written, outcome, bytes }: Snippet): string {
  return `${file}:${line}: ${written} => ${outcome} ${bytes}`;
}
