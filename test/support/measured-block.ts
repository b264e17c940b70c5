// What a command has measured, in a page between two comments. Nothing but that command writes it.

import { readFileSync, writeFileSync } from 'node:fs';

/** What a page has before a block, in it, and behind it. Throws if it has none. */
function partsOf(page: string, block: string): readonly [string, string, string] {
  const text = readFileSync(page, 'utf8');
  const [start, end] = [`<!-- ${block}: measured -->\n`, `\n<!-- end of ${block} -->`];
  const from = text.indexOf(start) + start.length;
  const to = text.indexOf(end);
  if (from < start.length || to < from) throw new Error(`${page} has no block '${block}'`);
  return [text.slice(0, from), text.slice(from, to), text.slice(to)];
}

export function writeMeasured(page: string, block: string, lines: readonly string[]): void {
  const [before, , behind] = partsOf(page, block);
  writeFileSync(page, `${before}\n${lines.join('\n')}\n${behind}`);
}

/** What the rows of the table there begin with. */
export function measuredNames(page: string, block: string): readonly string[] {
  const [, table] = partsOf(page, block);
  return [...table.matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name);
}

/** The page without it. */
export function withoutMeasured(page: string, block: string): string {
  const [before, , behind] = partsOf(page, block);
  return before + behind;
}
