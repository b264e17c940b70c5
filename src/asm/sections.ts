// Sections, and where they come to stand in a flat binary. NASM manual, "bin: Flat-Form Binary
// Output": .text first, then what has bytes in order of appearance, then what has none.

import Long from 'long';

export interface Section {
  readonly name: string;
  /** `nobits` sections take up addresses, but no bytes of the output. */
  readonly kind: 'progbits' | 'nobits';
  /** Power of two; 0 if nothing was said, which means 4. */
  align: number;
  /** The section that a nobits one follows; null for .bss, which follows the last with bytes. */
  readonly previous: Section | null;
  /** Bytes; while a pass goes on, the offset that it has come to. */
  size: number;
  /** Address of the first byte; settled after the last pass. */
  vstart: Long;
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

  /** Bytes of the output if all sections with bytes are laid out from `origin` on. */
  place(origin: Long): number {
    let lengthBytes = 0;
    let end = origin;
    let last = this.text;
    for (const section of this.sections) {
      if (section.kind === 'nobits') continue;
      section.vstart = section === this.text ? firstStart(section, origin) : alignUp(end, section);
      end = section.vstart.add(section.size);
      last = section;
      if (section.size > 0) lengthBytes = end.sub(origin).toNumber();
    }
    for (const section of this.sections) {
      if (section.kind === 'progbits') continue;
      const before = section.previous ?? last;
      section.vstart = alignUp(before.vstart.add(before.size), section);
    }
    return lengthBytes;
  }
}

function create(name: string, kind: Section['kind'], previous: Section | null): Section {
  return { name, kind, align: 0, previous, size: 0, vstart: Long.ZERO };
}

/** The first section stands at the origin even if nothing else would align it so. */
function firstStart(section: Section, origin: Long): Long {
  return section.align === 0 ? origin : alignUp(origin, section);
}

function alignUp(address: Long, section: Section): Long {
  const align = section.align === 0 ? DEFAULT_ALIGN : section.align;
  return address.add(align - 1).and(Long.fromNumber(-align));
}
