// Finds the constants that are defined in terms of themselves, directly or through others.

import type { Expression } from './expression.ts';
import { type AssemblerSymbol, definitionOf } from './symbols.ts';

type Links = ReadonlyMap<AssemblerSymbol, readonly AssemblerSymbol[]>;

/** The symbols whose definitions go in a circle, or lie between two circles. */
export function circularSymbols(
  definitions: ReadonlyMap<AssemblerSymbol, Expression>,
): ReadonlySet<AssemblerSymbol> {
  const uses = new Map<AssemblerSymbol, AssemblerSymbol[]>();
  const usedBy = new Map<AssemblerSymbol, AssemblerSymbol[]>();
  for (const symbol of definitions.keys()) {
    uses.set(symbol, []);
    usedBy.set(symbol, []);
  }
  for (const [symbol, { steps }] of definitions) {
    for (const step of steps) {
      if (step.kind !== 'symbol') continue;
      const used = definitionOf(step.symbol);
      if (!definitions.has(used)) continue;
      uses.get(symbol)?.push(used);
      usedBy.get(used)?.push(symbol);
    }
  }
  const left = new Set(definitions.keys());
  peel(left, uses, usedBy);
  peel(left, usedBy, uses);
  return left;
}

/** Take out, again and again, what has no link to anything that is left. */
function peel(left: Set<AssemblerSymbol>, links: Links, backLinks: Links): void {
  const open = new Map<AssemblerSymbol, number>();
  const free: AssemblerSymbol[] = [];
  for (const symbol of left) {
    const count = (links.get(symbol) ?? []).filter((linked) => left.has(linked)).length;
    open.set(symbol, count);
    if (count === 0) free.push(symbol);
  }
  for (let symbol = free.pop(); symbol !== undefined; symbol = free.pop()) {
    left.delete(symbol);
    for (const back of backLinks.get(symbol) ?? []) {
      const count = (open.get(back) ?? 0) - 1;
      open.set(back, count);
      if (count === 0 && left.has(back)) free.push(back);
    }
  }
}
