// The words that directives are made of: one table each of streams (stream.ts), suffixes, and what
// settles how a file is checked.

import { STREAMS } from './stream.ts';

/** What a directive asks of its pattern. */
export type DirectiveKind =
  | 'plain'
  | 'next'
  | 'same'
  | 'empty'
  | 'not'
  | 'dag'
  | 'label'
  | 'count'
  /** The end of the text: what DAG and NOT directives at the end are checked against. */
  | 'end';

/** Words behind the prefix, and what they ask; COUNT is followed by a number. */
export const SUFFIXES: Readonly<Record<string, DirectiveKind>> = {
  NEXT: 'next',
  SAME: 'same',
  EMPTY: 'empty',
  NOT: 'not',
  DAG: 'dag',
  LABEL: 'label',
  COUNT: 'count',
};

/** Words that settle how a file is checked, or explored, beside the directives proper. */
export const SETTLING = [
  'RUN',
  'EXPECT',
  'SKIP',
  'XFAIL',
  'PROPERTY',
  'GOLDEN',
  'EXPLORE',
] as const;

export type SettlingWord = (typeof SETTLING)[number];

/** What directives proper begin with, such as CHECK. */
export const PREFIXES: readonly string[] = Object.values(STREAMS).map(({ prefix }) => prefix);
