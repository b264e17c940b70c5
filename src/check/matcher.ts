// Directives matched against a text, with FileCheck's semantics: each continues where the one
// before ended; NOT holds between its neighbours; DAGs in a group may come in any order without
// overlapping; LABELs divide the text into blocks first, each of which is checked by itself.

import type { Directive } from './directive.ts';
import type { DirectiveKind } from './directive-words.ts';
import { findMatch, literalPattern, type Match, type Variables } from './pattern.ts';

/** Why a directive does not hold. */
export interface Mismatch {
  readonly directive: Directive;
  /** A sentence without a full stop. */
  readonly message: string;
  /** The part of the text that it was looked for in: offsets. */
  readonly from: number;
  readonly to: number;
  /** What was found where it should not be, or null. */
  readonly found: Match | null;
  /** Values of the variables by then. */
  readonly variables: Variables;
}

/** A directive that takes a place in the text, with the NOTs and DAGs that stand before it. */
interface Step {
  readonly directive: Directive;
  readonly before: readonly Directive[];
}

/** Thrown by a step that fails; caught for each block. */
class Failed {
  readonly mismatch: Omit<Mismatch, 'variables'>;

  constructor(
    directive: Directive,
    message: string,
    region: readonly [from: number, to: number],
    found: Match | null = null,
  ) {
    this.mismatch = { directive, message, from: region[0], to: region[1], found };
  }
}

/**
 * Match directives, in order, against a text whose lines end in \n and whose horizontal space is
 * collapsed. Gives at most one mismatch for each block between labels; none if all hold.
 */
export function matchText(
  directives: readonly Directive[],
  text: string,
  variables: Variables,
): Mismatch[] {
  const steps = stepsOf(directives);
  const mismatches: Mismatch[] = [];
  let from = 0;
  for (let first = 0; first < steps.length; ) {
    const label = steps.findIndex(({ directive }, i) => i >= first && directive.kind === 'label');
    const last = label < 0 ? steps.length - 1 : label;
    try {
      let to = text.length;
      if (label >= 0) to = matchOne(steps[label].directive, text, from, text.length, variables).end;
      let at = from;
      from = to;
      for (let i = first; i <= last; i++) at = matchStep(steps[i], text, at, to, variables);
    } catch (thrown) {
      if (!(thrown instanceof Failed)) throw thrown;
      mismatches.push({ ...thrown.mismatch, variables: copyOf(variables) });
      // Without its label a block has no end.
      if (thrown.mismatch.directive.kind === 'label') break;
    }
    first = last + 1;
  }
  return mismatches;
}

function copyOf({ strings, numbers }: Variables): Variables {
  return { strings: new Map(strings), numbers: new Map(numbers) };
}

const MAKES_NO_PLACE: readonly DirectiveKind[] = ['not', 'dag'];

function stepsOf(directives: readonly Directive[]): Step[] {
  const steps: Step[] = [];
  let before: Directive[] = [];
  for (const directive of directives) {
    if (MAKES_NO_PLACE.includes(directive.kind)) before.push(directive);
    else {
      steps.push({ directive, before });
      before = [];
    }
  }
  if (before.length > 0) {
    const end: Directive = { ...before[before.length - 1], kind: 'end', times: 1 };
    steps.push({ directive: { ...end, pattern: literalPattern('') }, before });
  }
  return steps;
}

/** Match a step in a part of the text; gives the offset behind it. */
function matchStep(
  { directive, before }: Step,
  text: string,
  from: number,
  to: number,
  variables: Variables,
): number {
  const { at, nots } = matchDags(before, text, from, to, variables);
  let end = at;
  let start = at;
  for (let i = 0; i < directive.times; i++) {
    const match = matchOne(directive, text, end, to, variables, i);
    if (i === 0) start = match.start;
    end = match.end;
  }
  checkLines(directive, text, at, { start, end });
  checkNots(nots, text, at, start, variables);
  return end;
}

/** Match one directive once. Throws {@link Failed}. */
function matchOne(
  directive: Directive,
  text: string,
  from: number,
  to: number,
  variables: Variables,
  matchedBefore = 0,
): Match {
  const { kind, times, pattern, word } = directive;
  if (kind === 'end') return { start: to, end: to };
  if (kind === 'empty') {
    const match = /\n$/m.exec(text.slice(from, to));
    if (match !== null) return { start: from + match.index + 1, end: from + match.index + 1 };
    throw new Failed(directive, `${word}: there is no empty line`, [from, to]);
  }
  const match = findMatch(pattern, text, from, to, variables);
  if ('start' in match) return match;
  const count = kind === 'count' ? ` (${matchedBefore} of ${times} found)` : '';
  const why = match.why === null ? 'not found' : `cannot be matched: ${match.why}`;
  throw new Failed(directive, `${word}: ${why}${count}`, [from, to]);
}

/** NEXT, EMPTY and SAME want their match so many lines behind the one before. */
function checkLines(directive: Directive, text: string, from: number, found: Match): void {
  const { kind, word } = directive;
  if (kind !== 'next' && kind !== 'same' && kind !== 'empty') return;
  const newlines = text.slice(from, found.start).split('\n').length - 1;
  const region = [from, text.length] as const;
  if (kind === 'same') {
    if (newlines === 0) return;
    throw new Failed(directive, `${word}: found, but not on the same line`, region, found);
  }
  if (newlines === 1) return;
  const where = newlines === 0 ? 'on the same line as the match before' : 'not on the next line';
  throw new Failed(directive, `${word}: found, but ${where}`, region, found);
}

function checkNots(
  nots: readonly Directive[],
  text: string,
  from: number,
  to: number,
  variables: Variables,
): void {
  for (const directive of nots) {
    const match = findMatch(directive.pattern, text, from, to, variables);
    if ('start' in match) {
      throw new Failed(
        directive,
        `${directive.word}: found what must not be there`,
        [from, to],
        match,
      );
    }
    if (match.why !== null) {
      throw new Failed(directive, `${directive.word}: cannot be matched: ${match.why}`, [from, to]);
    }
  }
}

interface AfterDags {
  /** Offset behind the last group. */
  readonly at: number;
  /** NOTs behind the last group, still to be checked. */
  readonly nots: readonly Directive[];
}

/** Match the groups of DAGs, and the NOTs between groups. */
function matchDags(
  before: readonly Directive[],
  text: string,
  from: number,
  to: number,
  variables: Variables,
): AfterDags {
  let at = from;
  let nots: Directive[] = [];
  let group: Match[] = [];
  for (const [i, directive] of before.entries()) {
    if (directive.kind === 'not') {
      nots.push(directive);
      continue;
    }
    group = withMatch(group, directive, text, at, to, variables);
    if (before[i + 1]?.kind === 'dag') continue;
    checkNots(nots, text, at, group[0].start, variables);
    nots = [];
    at = group[group.length - 1].end;
    group = [];
  }
  return { at, nots };
}

/** A group with the first match of a DAG that overlaps none of it; in order of place. */
function withMatch(
  group: readonly Match[],
  directive: Directive,
  text: string,
  from: number,
  to: number,
  variables: Variables,
): Match[] {
  let at = from;
  for (;;) {
    const match = matchOne(directive, text, at, to, variables);
    const behind = group.findIndex(({ end }) => match.start < end);
    const next = behind < 0 ? group.length : behind;
    if (behind < 0 || group[behind].start >= match.end) {
      return [...group.slice(0, next), match, ...group.slice(next)];
    }
    at = group[behind].end;
  }
}
