// Names of GAS: symbols as they stand, and local labels that are numbers. GNU as manual, "Symbol
// Names": `1:` may be defined again and again, `1b` is the last one, `1f` the next.

import type { Session } from '../session.ts';
import type { Place } from '../source.ts';
import type { AssemblerSymbol } from '../symbols.ts';

export class GasSymbols {
  private readonly session: Session;
  /** How many labels of a number there are. */
  private readonly counts = new Map<string, number>();
  /** The labels that are referred to, and not there yet, with their first use. */
  private readonly ahead = new Map<AssemblerSymbol, { name: string; place: Place }>();

  constructor(session: Session) {
    this.session = session;
  }

  named(name: string): AssemblerSymbol {
    return this.session.symbols.named(name);
  }

  /** The symbol of the label `1:`, which is being defined. */
  defineNumbered(digits: string): AssemblerSymbol {
    const count = (this.counts.get(digits) ?? 0) + 1;
    this.counts.set(digits, count);
    const symbol = this.named(numberedName(digits, count));
    this.ahead.delete(symbol);
    return symbol;
  }

  /** What `1f` or `1b` means here; null if there is nothing behind. */
  numbered(written: string, place: Place): AssemblerSymbol | null {
    const digits = written.slice(0, -1);
    const count = this.counts.get(digits) ?? 0;
    if (/b$/i.test(written)) return count === 0 ? null : this.named(numberedName(digits, count));
    const symbol = this.named(numberedName(digits, count + 1));
    if (!this.ahead.has(symbol)) this.ahead.set(symbol, { name: written, place });
    return symbol;
  }

  /** Report the labels that did not come. */
  finish(): void {
    for (const [symbol, { name, place }] of this.ahead) {
      symbol.kind = 'failed';
      this.session.reporter.error(place, `there is no label '${name.slice(0, -1)}:' after this`);
    }
  }
}

/** No source can write this name. */
function numberedName(digits: string, count: number): string {
  return `..@${count}.${digits}`;
}
