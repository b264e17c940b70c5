// POSIX extended regular expressions, as FileCheck takes them between {{ and }}, in the words of
// JavaScript's. Of two alternatives the first that fits is taken, not the longest; and backslashes
// keep JavaScript's meaning, so that \d is a digit. Nothing but \n matches the end of a line.

/** POSIX character classes, as what stands between brackets. */
const CLASSES: Readonly<Record<string, string>> = {
  alnum: 'A-Za-z0-9',
  alpha: 'A-Za-z',
  blank: ' \\t',
  cntrl: '\\x00-\\x1f\\x7f',
  digit: '0-9',
  graph: '\\x21-\\x7e',
  lower: 'a-z',
  print: '\\x20-\\x7e',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\s',
  upper: 'A-Z',
  xdigit: '0-9A-Fa-f',
};

/** The same expression for JavaScript, or what is wrong with it. */
export function translateRegex(
  text: string,
): { readonly source: string } | { readonly message: string } {
  let source = '';
  for (let at = 0; at < text.length; ) {
    const char = text[at];
    if (char === '\\') {
      source += text.slice(at, at + 2);
      at += 2;
    } else if (char === '[') {
      const bracket = translateBracket(text, at);
      if ('message' in bracket) return bracket;
      source += bracket.source;
      at = bracket.end;
    } else {
      source += char;
      at++;
    }
  }
  try {
    new RegExp(source, 'm');
    return { source };
  } catch (thrown) {
    const message = thrown instanceof Error ? thrown.message : String(thrown);
    return { message: `invalid regular expression: ${message.replace(/^.*?\/m?: /, '')}` };
  }
}

type Bracket = { readonly source: string; readonly end: number } | { readonly message: string };

/** A bracket expression: ] is literal if it comes first, [ always but before a colon. */
function translateBracket(text: string, start: number): Bracket {
  let at = start + 1;
  const isNegated = text[at] === '^';
  if (isNegated) at++;
  let inner = isNegated ? '\\n' : '';
  for (let isFirst = true; at < text.length; isFirst = false) {
    const char = text[at];
    if (char === ']' && !isFirst)
      return { source: `[${isNegated ? '^' : ''}${inner}]`, end: at + 1 };
    const named = /^\[:(\w+):\]/.exec(text.slice(at));
    if (named !== null) {
      if (!Object.hasOwn(CLASSES, named[1])) {
        const known = Object.keys(CLASSES).join(', ');
        return { message: `unknown character class '${named[1]}'; expected one of ${known}` };
      }
      inner += CLASSES[named[1]];
      at += named[0].length;
    } else if (char === '\\') {
      inner += text.slice(at, at + 2);
      at += 2;
    } else {
      inner += char === '[' || char === ']' || (char === '^' && isFirst) ? `\\${char}` : char;
      at++;
    }
  }
  return { message: "invalid regular expression: a '[' is not closed" };
}

/** A text that stands for itself. */
export function escapeRegex(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
}
