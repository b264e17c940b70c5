// Sections, and where they come to stand in a flat binary. NASM manual, "bin: Flat-Form Binary
// Output" and "Multisection Support for the bin Format": .text first, then what has bytes in order
// of appearance, then what has none. A section may be loaded at one address and run at another.

import Long from 'long';
import type { Place } from './source.ts';

export interface Section {
  readonly name: string;
  /** `nobits` sections take up addresses, but no bytes of the output. */
  readonly kind: 'progbits' | 'nobits';
  /** Power of two; 0 if nothing was said, which means 4. */
  align: number;
  /** The section that a nobits one follows; null for .bss, which follows the last with bytes. */
  readonly previous: Section | null;
  /** What the source says about its place. */
  readonly placing: Placing;
  /** Bytes; while a pass goes on, the offset that it has come to. */
  size: number;
  /** Address of the first byte where it is loaded; settled after the last pass. */
  start: Long;
  /** Address of the first byte where it runs, which labels are relative to; settled likewise. */
  vstart: Long;
  /** What `section.NAME.start` is the start of; null until something refers to it. */
  loaded: Section | null;
}

/** `start=`, `vstart=`, `follows=`, `vfollows=`, `valign=`; null, or 0, where nothing is said. */
export interface Placing {
  start: Long | null;
  vstart: Long | null;
  follows: Section | null;
  vfollows: Section | null;
  valign: number;
  /** Where the first of them stands. */
  place: Place | null;
}

/** Why sections cannot lie as they should. */
export interface PlacingError {
  readonly section: Section;
  readonly message: string;
}

const DEFAULT_ALIGN = 4;

export class SectionTable {
  readonly text: Section = create('.text', 'progbits', null);
  private readonly sections: Section[] = [this.text];

  /** What the file that is being read asks of sections. */
  private asked = new Map<Section, number>();

  /** Let the section start at a multiple of `align` at least. */
  raiseAlign(section: Section, align: number): void {
    section.align = Math.max(section.align, align);
    this.asked.set(section, Math.max(this.asked.get(section) ?? 0, align));
  }

  /** What has been asked since the last call. */
  takeAlignments(): ReadonlyMap<Section, number> {
    const { asked } = this;
    this.asked = new Map();
    return asked;
  }

  find(name: string): Section | undefined {
    return this.sections.find((section) => section.name === name);
  }

  add(name: string, kind: Section['kind']): Section {
    const previous = name === '.bss' ? null : (this.sections.at(-1) as Section);
    const section = create(name, kind, previous);
    this.sections.push(section);
    return section;
  }

  /** All sections, in order of appearance. */
  get all(): readonly Section[] {
    return this.sections;
  }

  /** Where the output begins if .text says so itself and nothing else does, or null. */
  get ownOrigin(): Long | null {
    return this.text.placing.start;
  }

  /**
   * Lay out all sections from `origin` on.
   * @returns bytes of the output
   */
  place(origin: Long): number | PlacingError {
    const ordered = this.inOrder();
    if ('message' in ordered) return ordered;
    let end = origin;
    for (const section of ordered) {
      const usual = section === ordered[0] ? firstStart(section, origin) : alignUp(end, section);
      section.start = section.placing.start ?? usual;
      section.vstart = section.start;
      end = section.start.add(section.size);
    }
    for (const section of this.sections) {
      const problem = this.settle(section, ordered.at(-1) as Section);
      if (problem !== null) return problem;
    }
    for (const { loaded, start } of this.sections) {
      if (loaded !== null) loaded.vstart = start;
    }
    return lengthFrom(origin, ordered);
  }

  /** Sections with bytes as they lie: what follows another stands behind it. */
  private inOrder(): Section[] | PlacingError {
    const ordered = this.sections.filter(({ kind }) => kind === 'progbits');
    const followed = new Set<Section>();
    for (const section of [...ordered]) {
      const { follows } = section.placing;
      if (follows === null) continue;
      if (followed.has(follows) || follows === section || follows.kind === 'nobits') {
        const message = `section ${section.name} cannot follow section ${follows.name}`;
        return { section, message };
      }
      followed.add(follows);
      ordered.splice(ordered.indexOf(section), 1);
      ordered.splice(ordered.indexOf(follows) + 1, 0, section);
    }
    return ordered;
  }

  /** Where the section runs; of one without bytes also where it begins. */
  private settle(section: Section, last: Section): PlacingError | null {
    const { placing } = section;
    const before = section.previous ?? last;
    if (section.kind === 'nobits') {
      const after = placing.follows ?? before;
      section.start = placing.start ?? alignUp(after.vstart.add(after.size), section);
      section.vstart = section.start;
    }
    if (placing.vstart !== null) section.vstart = placing.vstart;
    else if (placing.vfollows !== null) {
      const { vstart, size } = placing.vfollows;
      section.vstart = alignTo(vstart.add(size), placing.valign || DEFAULT_ALIGN);
    } else section.vstart = alignTo(section.vstart, placing.valign || 1);
    const isAligned = placing.valign === 0 || section.vstart.and(placing.valign - 1).isZero();
    if (isAligned) return null;
    return { section, message: `section ${section.name} does not run at a multiple of its valign` };
  }
}

/** Bytes from the origin to the last byte of any section, if they do not lie on each other. */
function lengthFrom(origin: Long, sections: readonly Section[]): number | PlacingError {
  const filled = sections.filter(({ size }) => size > 0).sort((a, b) => a.start.compare(b.start));
  let before: Section | null = null;
  for (const section of filled) {
    if (section.start.lt(origin)) {
      const where = `0x${origin.toUnsigned().toString(16)}`;
      return { section, message: `section ${section.name} begins before the origin, ${where}` };
    }
    if (before?.start.add(before.size).gt(section.start) === true) {
      const message = `sections ${before.name} and ${section.name} overlap`;
      return { section, message };
    }
    before = section;
  }
  return before === null ? 0 : before.start.add(before.size).sub(origin).toNumber();
}

function create(name: string, kind: Section['kind'], previous: Section | null): Section {
  return {
    name,
    kind,
    align: 0,
    previous,
    placing: {
      start: null,
      vstart: null,
      follows: null,
      vfollows: null,
      valign: 0,
      place: null,
    },
    size: 0,
    start: Long.ZERO,
    vstart: Long.ZERO,
    loaded: null,
  };
}

/** What stands for the load address of a section in expressions: a place like any other. */
export function loadedSection(section: Section): Section {
  section.loaded ??= create(`${section.name} as loaded`, section.kind, null);
  return section.loaded;
}

/** The first section stands at the origin even if nothing else would align it so. */
function firstStart(section: Section, origin: Long): Long {
  return section.align === 0 ? origin : alignUp(origin, section);
}

function alignUp(address: Long, section: Section): Long {
  return alignTo(address, section.align === 0 ? DEFAULT_ALIGN : section.align);
}

function alignTo(address: Long, align: number): Long {
  return address.add(align - 1).and(Long.fromNumber(-align));
}
