// Names for addresses in reports and disassemblies: symbol and offset, and the source line where
// that is known. From an ELF image, or from what the assembler knows.

import type Long from 'long';
import type { AssembledSection, AssembledSymbol, LineMapEntry } from '../asm/index.ts';
import { type LineSequence, readLines, rowAt } from './dwarf-lines.ts';
import type { ElfImage } from './elf.ts';
import { type ElfSymbol, sectionBytes } from './elf-sections.ts';

/** What is known about an address. */
export interface AddressName {
  /** `spin`, or `spin+0x14` for an address within. */
  readonly symbol: string;
  /** `lock.c:12`, or null. */
  readonly source: string | null;
}

/** A name, and the addresses that it stands for. */
interface NamedRange {
  readonly name: string;
  /** Unsigned, as all addresses here. */
  readonly start: Long;
  readonly end: Long;
}

export class SymbolMap {
  /** In order of address; one for each. */
  private readonly ranges: readonly NamedRange[];
  private readonly sourceAt: (address: Long) => string | null;

  private constructor(ranges: readonly NamedRange[], sourceAt: (address: Long) => string | null) {
    const ordered = [...ranges].sort((a, b) => a.start.compare(b.start));
    this.ranges = ordered.filter(({ start }, i) => i === 0 || !start.eq(ordered[i - 1].start));
    this.sourceAt = sourceAt;
  }

  /** Knows nothing. */
  static readonly EMPTY = new SymbolMap([], () => null);

  /** Symbols of .symtab, lines of .debug_line. */
  static ofElf(image: ElfImage): SymbolMap {
    const ranges = [...image.symbols].sort(moreTelling).map(rangeOf);
    // Most runs have no use for lines, and there can be many.
    let lines: readonly LineSequence[] | null = null;
    return new SymbolMap(ranges, (address) => {
      lines ??= readLines({
        line: sectionBytes(image.sections, '.debug_line'),
        lineStrings: sectionBytes(image.sections, '.debug_line_str'),
        strings: sectionBytes(image.sections, '.debug_str'),
      });
      const row = rowAt(lines, address.sub(image.bias));
      return row === null || row.line === 0 ? null : `${row.file}:${row.line}`;
    });
  }

  /** Labels and lines of an assembled source. */
  static ofAssembly(assembled: {
    readonly symbols: readonly AssembledSymbol[];
    readonly sections: readonly AssembledSection[];
    readonly lineMap: readonly LineMapEntry[];
  }): SymbolMap {
    const { symbols, sections, lineMap } = assembled;
    const ranges = symbols.flatMap(({ kind, name, value, section }): NamedRange[] => {
      const start = value.toUnsigned();
      const whole = sections.find((candidate) => candidate.name === section);
      if (kind !== 'label' || whole === undefined) return [];
      return [{ name, start, end: whole.address.toUnsigned().add(whole.lengthBytes) }];
    });
    return new SymbolMap(ranges, (address) => {
      const entry = lineMap.find((candidate) => {
        const from = address.sub(candidate.address).toUnsigned();
        return from.lt(candidate.lengthBytes);
      });
      return entry === undefined ? null : `${entry.file}:${entry.line}`;
    });
  }

  /** Every symbol with its address. */
  get labels(): readonly { readonly name: string; readonly address: Long }[] {
    return this.ranges.map(({ name, start }) => ({ name, address: start }));
  }

  /** The symbol that stands at an address, or null. */
  labelAt(address: Long): string | null {
    const range = this.nearest(address.toUnsigned());
    return range?.start.eq(address.toUnsigned()) ? range.name : null;
  }

  /** Bytes from an address to the next symbol behind it; infinite if there is none. */
  bytesToNext(address: Long): number {
    const at = address.toUnsigned();
    const next = this.ranges[this.countUpTo(at)];
    return next === undefined ? Number.POSITIVE_INFINITY : next.start.sub(at).toNumber();
  }

  /** The nearest symbol below an address, if it reaches that far, with the distance. */
  symbolAt(address: Long): string | null {
    const at = address.toUnsigned();
    const range = this.nearest(at);
    if (range === null) return null;
    const offset = at.sub(range.start);
    if (offset.eqz()) return range.name;
    return at.lt(range.end) ? `${range.name}+0x${offset.toString(16)}` : null;
  }

  /** Everything that is known about an address, or null if it has no name. */
  nameOf(address: Long): AddressName | null {
    const symbol = this.symbolAt(address);
    return symbol === null ? null : { symbol, source: this.sourceAt(address.toUnsigned()) };
  }

  private nearest(address: Long): NamedRange | null {
    return this.ranges[this.countUpTo(address) - 1] ?? null;
  }

  /** How many symbols stand at an address or below. */
  private countUpTo(address: Long): number {
    let low = 0;
    let high = this.ranges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ranges[middle].start.gt(address)) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** Of several names for an address the function's is kept, and the one that others can see. */
function moreTelling(a: ElfSymbol, b: ElfSymbol): number {
  const rank = ({ isFunction, isGlobal, lengthBytes }: ElfSymbol) =>
    (isFunction ? 4 : 0) + (lengthBytes > 0 ? 2 : 0) + (isGlobal ? 1 : 0);
  return rank(b) - rank(a) || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

/** A symbol without a size reaches as far as its section, or up to the next. */
function rangeOf({ name, address, lengthBytes, section }: ElfSymbol): NamedRange {
  const end =
    lengthBytes === 0 && section !== null
      ? section.address.add(section.lengthBytes)
      : address.add(lengthBytes);
  return { name, start: address, end };
}
