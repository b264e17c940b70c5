// What a command has measured, in a page between two comments. Nothing but that command writes it.

import { readFileSync, writeFileSync } from 'node:fs';

/** Throws if the page has no such block. */
export function writeMeasured(page: string, block: string, lines: readonly string[]): void {
  const text = readFileSync(page, 'utf8');
  const [start, end] = [`<!-- ${block}: measured -->\n`, `\n<!-- end of ${block} -->`];
  const from = text.indexOf(start) + start.length;
  const to = text.indexOf(end);
  if (from < start.length || to < from) throw new Error(`${page} has no block '${block}'`);
  writeFileSync(page, `${text.slice(0, from)}\n${lines.join('\n')}\n${text.slice(to)}`);
}
