// What was claimed beforehand of the published experiments, and how it is said.

import type { Verdict } from '../report.ts';

/** A claim that has to hold. */
export function must(claim: string, holds: boolean, found: string): Verdict {
  return { claim, holds, isOptional: false, found };
}

/** A claim that is wanted. */
export function should(claim: string, holds: boolean, found: string): Verdict {
  return { claim, holds, isOptional: true, found };
}

export function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

/** A signed number with a unit. */
export function difference(value: number, unit: string): string {
  return `${value < 0 ? '' : '+'}${value.toFixed(2)} ${unit}`;
}
