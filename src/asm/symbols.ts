// Labels and EQUs. Local labels belong to the last label that is not local: NASM manual, "Local
// Labels". Values are relative to sections until the layout knows where sections stand.

import type { Place } from './source.ts';
import type { Value } from './value.ts';

export interface AssemblerSymbol {
  readonly name: string;
  /** `failed`: defined by a line with an error, so that uses of it are not errors too. */
  kind: 'undefined' | 'label' | 'equ' | 'failed';
  /** From the current pass if the definition has been passed, else from the last one. */
  value: Value | null;
  definedAt: Place | null;
  global: boolean;
  /** Where `extern` names it, or null. */
  externalAt: Place | null;
  /** The symbol of another file that it is, or null. */
  definition: AssemblerSymbol | null;
}

/** What gives a symbol its value: itself, or the symbol of another file. */
export function definitionOf(symbol: AssemblerSymbol): AssemblerSymbol {
  return symbol.definition ?? symbol;
}

export class SymbolTable {
  private readonly symbols = new Map<string, AssemblerSymbol>();
  /** The label that local labels belong to. */
  private scope = '';

  /** The symbol that `written` means at this point of the source. */
  refer(written: string): AssemblerSymbol {
    return this.named(this.fullName(written));
  }

  /** The symbol of just this name, if anything has spoken of it. */
  find(name: string): AssemblerSymbol | undefined {
    return this.symbols.get(name);
  }

  /** The symbol of just this name. */
  named(name: string): AssemblerSymbol {
    let symbol = this.symbols.get(name);
    if (symbol === undefined) {
      symbol = create(name);
      this.symbols.set(name, symbol);
    }
    return symbol;
  }

  /** A new symbol in the place of one: what has referred to that keeps it. */
  renew({ name, global }: AssemblerSymbol): AssemblerSymbol {
    const symbol = { ...create(name), global };
    this.symbols.set(name, symbol);
    return symbol;
  }

  /** Let the local labels that follow belong to a label, unless that is local itself. */
  enter(written: string): void {
    if (!written.startsWith('.')) this.scope = this.fullName(written);
  }

  private fullName(written: string): string {
    const name = written.startsWith('$') ? written.slice(1) : written;
    return name.startsWith('.') && !name.startsWith('..') ? this.scope + name : name;
  }

  get all(): IterableIterator<AssemblerSymbol> {
    return this.symbols.values();
  }
}

function create(name: string): AssemblerSymbol {
  return {
    name,
    kind: 'undefined',
    value: null,
    definedAt: null,
    global: false,
    externalAt: null,
    definition: null,
  };
}
