// What was claimed beforehand of the published experiments, and how it is said. Cells can be left
// out and runs can fail: a claim about what is not there is neither held nor missed.

import type { Verdict } from '../report.ts';
import type { Results } from '../results.ts';
import type { Paired } from '../statistics.ts';
import { type Cell, type Levels, labelOf } from '../study.ts';

/** Whether a claim holds, and what was found. */
export type Finding = readonly [holds: boolean, found: string];

/** Thrown where a claim is judged by something that is not there. */
export class NotJudged {
  /** Why, behind "for". */
  readonly reason: string;

  constructor(reason: string) {
    this.reason = reason;
  }
}

/** A claim that has to hold. What it is judged by throws {@link NotJudged} if it is not there. */
export function must(claim: string, judge: () => Finding): Verdict {
  return { claim, isOptional: false, ...judged(judge) };
}

/** A claim that is wanted. */
export function should(claim: string, judge: () => Finding): Verdict {
  return { claim, isOptional: true, ...judged(judge) };
}

function judged(judge: () => Finding): Pick<Verdict, 'holds' | 'found'> {
  try {
    const [holds, found] = judge();
    return { holds, found };
  } catch (thrown) {
    if (!(thrown instanceof NotJudged)) throw thrown;
    return { holds: null, found: `not judged, for ${thrown.reason}` };
  }
}

/** The first cell on some levels. */
export function cellOn(results: Results, levels: Levels): Cell {
  return cellsOn(results, levels)[0];
}

/** The cells on some levels, one at least. */
export function cellsOn(results: Results, levels: Levels): readonly Cell[] {
  return some(results.cellsOn(levels), `there is no cell ${labelOf(levels)}`);
}

/** What is not empty; `reason` says what it means if it is. */
export function some<T>(things: readonly T[], reason: string): readonly T[] {
  if (things.length === 0) throw new NotJudged(reason);
  return things;
}

/** Mean of an output over the runs of a cell. */
export function meanIn(results: Results, cell: Cell, output: string): number {
  const { mean } = results.summary(cell, output);
  return finite(mean ?? Number.NaN, `${labelOf(cell.levels)} has no results`);
}

/** Standard deviation of an output over the runs of a cell. */
export function spreadIn(results: Results, cell: Cell, output: string): number {
  meanIn(results, cell, output);
  const { sd } = results.summary(cell, output);
  if (sd === null) throw new NotJudged('it takes two seeds');
  return sd;
}

/** What there may be no number for, such as a ratio to nothing. */
export function finite(value: number, reason: string): number {
  if (!Number.isFinite(value)) throw new NotJudged(reason);
  return value;
}

/** A comparison with its effect and an interval. */
export interface Shown extends Paired {
  readonly effect: number;
  readonly low: number;
  readonly high: number;
}

/** A comparison of which something can be said: one pair has no interval. */
export function shown({ effect, low, high, ...rest }: Paired): Shown {
  if (effect === null) throw new NotJudged('there are no results to compare');
  if (low === null || high === null) throw new NotJudged('it takes two seeds');
  return { ...rest, effect, low, high };
}

/** A number of a table; nothing where there is none. */
export function textOf(value: number, text: (value: number) => string): string | null {
  return Number.isFinite(value) ? text(value) : null;
}

export function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

/** A signed number with a unit. */
export function difference(value: number, unit: string): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(2)} ${unit}`;
}
