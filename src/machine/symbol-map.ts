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
export interface NamedRange {
  readonly name: string;
  /** Unsigned, as all addresses here. */
  readonly start: Long;
  readonly end: Long;
}

/** A stretch of bytes that one line of a source made. */
export interface SourceLine {
  /** Unsigned. */
  readonly address: Long;
  readonly lengthBytes: number;
  /** As the assembler or the compiler was told it. */
  readonly file: string;
  /** From 1. */
  readonly line: number;
  readonly isCode: boolean;
}

/** What a map that does not come from an image knows, as plain data and addresses. */
export interface SymbolData {
  readonly names: readonly NamedRange[];
  readonly lines: readonly SourceLine[];
}

export class SymbolMap {
  /** In order of address; one for each. */
  private readonly ranges: readonly NamedRange[];
  /** Every name, in order of address. */
  readonly names: readonly NamedRange[];
  private readonly sourceAt: (address: Long) => string | null;
  private readonly allLines: () => readonly SourceLine[];

  private constructor(
    ranges: readonly NamedRange[],
    sourceAt: (address: Long) => string | null,
    allLines: () => readonly SourceLine[],
  ) {
    const ordered = [...ranges].sort((a, b) => a.start.compare(b.start));
    this.names = ordered;
    this.ranges = ordered.filter(({ start }, i) => i === 0 || !start.eq(ordered[i - 1].start));
    this.sourceAt = sourceAt;
    this.allLines = allLines;
  }

  /** Knows nothing. */
  static readonly EMPTY = new SymbolMap(
    [],
    () => null,
    () => [],
  );

  /** Symbols of .symtab, lines of .debug_line. */
  static ofElf(image: ElfImage): SymbolMap {
    const ranges = [...image.symbols].sort(moreTelling).map(rangeOf);
    // Most runs have no use for lines, and there can be many.
    let known: readonly LineSequence[] | null = null;
    const lines = () => {
      known ??= readLines({
        line: sectionBytes(image.sections, '.debug_line'),
        lineStrings: sectionBytes(image.sections, '.debug_line_str'),
        strings: sectionBytes(image.sections, '.debug_str'),
      });
      return known;
    };
    const sourceAt = (address: Long) => {
      const row = rowAt(lines(), address.sub(image.bias));
      return row === null || row.line === 0 ? null : `${row.file}:${row.line}`;
    };
    return new SymbolMap(ranges, sourceAt, () => lines().flatMap((one) => linesOf(one, image)));
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
    const lines = lineMap.map(({ address, lengthBytes, file, line, codeSize }) => {
      return { address: address.toUnsigned(), lengthBytes, file, line, isCode: codeSize !== null };
    });
    return SymbolMap.of({ names: ranges, lines });
  }

  /** As {@link names} and {@link lines} of a map told them. */
  static of({ names, lines }: SymbolData): SymbolMap {
    // Most runs have no use for lines, and there can be many.
    let known: LineIndex | null = null;
    const sourceAt = (address: Long) => {
      known ??= new LineIndex(lines);
      const entry = known.at(address);
      return entry === null ? null : `${entry.file}:${entry.line}`;
    };
    return new SymbolMap(names, sourceAt, () => lines);
  }

  /** What each line of the sources made, in order of address within each stretch of code. */
  get lines(): readonly SourceLine[] {
    return this.allLines();
  }

  /** Where a name stands, or null. */
  addressOf(name: string): Long | null {
    return this.names.find((candidate) => candidate.name === name)?.start ?? null;
  }

  /** The symbol that stands at an address, or null. */
  labelAt(address: Long): string | null {
    const range = this.nearest(address.toUnsigned());
    return range?.start.eq(address.toUnsigned()) ? range.name : null;
  }

  /** Where the nearest symbol at or below an address stands, or null. */
  startOf(address: Long): Long | null {
    return this.nearest(address.toUnsigned())?.start ?? null;
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
    return symbol === null ? null : { symbol, source: this.sourceOf(address) };
  }

  /** `lock.asm:12`, or null if no line is known. */
  sourceOf(address: Long): string | null {
    return this.sourceAt(address.toUnsigned());
  }

  private nearest(address: Long): NamedRange | null {
    return this.ranges[this.countUpTo(address) - 1] ?? null;
  }

  /** How many symbols stand at an address or below. */
  private countUpTo(address: Long): number {
    return countUpTo(this.ranges.length, address, (i) => this.ranges[i].start);
  }
}

/** How many of some addresses in order are at one or below. */
function countUpTo(count: number, address: Long, at: (index: number) => Long): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (at(middle).gt(address)) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Finds the line of an address: of several, the one that was told first. */
class LineIndex {
  /** In order of address; no two overlap. */
  private readonly ordered: readonly SourceLine[];
  /** Where they do: all, in the order in which they were told. */
  private readonly overlapping: readonly SourceLine[] | null;

  constructor(lines: readonly SourceLine[]) {
    const some = lines.filter(({ lengthBytes }) => lengthBytes > 0);
    this.ordered = [...some].sort((a, b) => a.address.compare(b.address));
    const overlaps = this.ordered.some((line, i) => i > 0 && includes(this.ordered[i - 1], line));
    this.overlapping = overlaps ? some : null;
  }

  at(address: Long): SourceLine | null {
    const { ordered, overlapping } = this;
    const here = { address };
    if (overlapping !== null) return overlapping.find((line) => includes(line, here)) ?? null;
    const line = ordered[countUpTo(ordered.length, address, (i) => ordered[i].address) - 1];
    return line !== undefined && includes(line, here) ? line : null;
  }
}

function includes(line: SourceLine, { address }: { readonly address: Long }): boolean {
  return address.sub(line.address).toUnsigned().lt(line.lengthBytes);
}

/** The lines of a stretch of code in an ELF image. */
function linesOf({ start, lengthBytes, rows }: LineSequence, image: ElfImage): SourceLine[] {
  return rows.flatMap(({ offset, file, line }, i) => {
    const next = rows[i + 1]?.offset ?? lengthBytes;
    const address = start.add(offset).add(image.bias).toUnsigned();
    return line === 0 ? [] : [{ address, lengthBytes: next - offset, file, line, isCode: true }];
  });
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
