// Source text and places in it. A place is an offset into a file plus the chain of includes, macro
// calls and repetitions through which assembly came to that file's line.

/** A file of assembly text; messages, listing and line map call it by `name`. */
export interface SourceFile {
  readonly name: string;
  readonly text: string;
  /** The language of the file; if nothing is said, its name tells. */
  readonly syntax?: Syntax;
}

export type Syntax = 'nasm' | 'gas';

/** The language of a file by the end of its name: `.s` and `.S` are GAS. */
export function syntaxOf({ name, syntax }: SourceFile): Syntax {
  return syntax ?? (/\.s$/i.test(name) ? 'gas' : 'nasm');
}

/** A file with its lines found. Lines and columns count from 1. */
export class SourceText {
  readonly name: string;
  readonly text: string;
  private readonly lineStarts: readonly number[];

  constructor(file: SourceFile) {
    this.name = file.name;
    this.text = file.text;
    const starts = [0];
    for (let at = file.text.indexOf('\n'); at >= 0; at = file.text.indexOf('\n', at + 1)) {
      starts.push(at + 1);
    }
    this.lineStarts = starts;
  }

  /** The number of the line that holds the character at `offset`. */
  lineAt(offset: number): number {
    let low = 0;
    let high = this.lineStarts.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if ((this.lineStarts[middle] as number) <= offset) low = middle;
      else high = middle - 1;
    }
    return low + 1;
  }

  columnAt(offset: number): number {
    return offset - (this.lineStarts[this.lineAt(offset) - 1] as number) + 1;
  }

  /** The text of a line, without its end. */
  line(number: number): string {
    const start = this.lineStarts[number - 1] as number;
    const next = this.lineStarts[number];
    const text = this.text.slice(start, next === undefined ? undefined : next - 1);
    return text.endsWith('\r') ? text.slice(0, -1) : text;
  }
}

/** Where lines come from: a file, and how assembly got there. */
export interface Origin {
  readonly source: SourceText;
  /** Null in the file that was given to the assembler. */
  readonly via: Via | null;
}

/** One link of the chain: these lines stand for what is at `from`. */
export interface Via {
  readonly how: 'include' | 'macro' | 'rep';
  /** Name of the file or macro, or the number of the repetition. */
  readonly name: string;
  readonly from: Place;
}

/** A character of a file. */
export interface Place {
  readonly origin: Origin;
  /** Offset into the file's text. */
  readonly at: number;
}

/** The line that a reader of the program sees: a macro's lines stand for the line that calls it. */
export function visiblePlace(place: Place): Place {
  let visible = place;
  for (let { via } = place.origin; via !== null && via.how !== 'include'; ) {
    if (via.how === 'macro') visible = via.from;
    via = via.from.origin.via;
  }
  return visible;
}
