// Lines that nearly match a pattern: those that share most of its words, for messages about
// patterns that were not found.

/** Lines that are looked at; the search region of a long trace has more than anyone would wait for. */
const MOST_LINES = 20_000;

export interface NearLine {
  /** From 0. */
  readonly index: number;
  /** 1 if it has every word of the pattern, 0 if none. */
  readonly likeness: number;
}

/**
 * The lines nearest to a pattern's fixed text, best first.
 * @param lines the text, one entry a line
 * @param first index of the first line to look at; @param last of the last
 */
export function nearestLines(
  fixed: string,
  lines: readonly string[],
  first: number,
  last: number,
  count: number,
): NearLine[] {
  const wanted = pairsOf(fixed);
  if (wanted.size === 0) return [];
  const near: NearLine[] = [];
  for (let index = first; index <= Math.min(last, first + MOST_LINES); index++) {
    const found = pairsOf(lines[index]);
    let common = 0;
    for (const pair of wanted) if (found.has(pair)) common++;
    const likeness = common / wanted.size;
    if (likeness >= 0.5) near.push({ index, likeness });
  }
  return near.sort((a, b) => b.likeness - a.likeness || a.index - b.index).slice(0, count);
}

/** Pairs of neighbouring characters, which survive a typing error elsewhere. */
function pairsOf(text: string): Set<string> {
  const words = text.trim().toLowerCase().split(/\s+/);
  return new Set(
    words.flatMap((word) =>
      word.length === 1
        ? [word]
        : Array.from({ length: word.length - 1 }, (_, i) => word.slice(i, i + 2)),
    ),
  );
}
