// Which section statements go to, and what is known of sections beyond what the layout wants. GNU
// as manual, "Section", "PushSection", "Comm".

import type { CommonSymbol } from '../link.ts';
import type { Section } from '../sections.ts';
import type { Session } from '../session.ts';
import type { AssemblerSymbol } from '../symbols.ts';

/** Names that have attributes although nothing says so, with what follows a dot behind them. */
const KNOWN: readonly (readonly [name: RegExp, kind: Section['kind'], isCode: boolean])[] = [
  [/^\.(text|init|fini|plt)(\.|$)/, 'progbits', true],
  [
    /^\.(data|data1|rodata|rodata1|tdata|init_array|fini_array|preinit_array)(\.|$)/,
    'progbits',
    false,
  ],
  [/^\.(bss|tbss)(\.|$)/, 'nobits', false],
];

export class GasSections {
  /** The section that statements go to; null for one that no loader would load. */
  current: Section | null;
  /** What `.comm` and `.lcomm` ask for. */
  readonly commons = new Map<AssemblerSymbol, CommonSymbol>();
  private previous: Section | null;
  private readonly stack: (readonly [current: Section | null, previous: Section | null])[] = [];
  private readonly code: Set<Section>;
  private readonly session: Session;

  constructor(session: Session) {
    const { text } = session.sections;
    this.session = session;
    this.current = text;
    this.previous = text;
    this.code = new Set([text]);
  }

  /** Whether padding in the current section is instructions. */
  get isCode(): boolean {
    return this.current !== null && this.code.has(this.current);
  }

  get isNobits(): boolean {
    return this.current?.kind === 'nobits';
  }

  push(): void {
    this.stack.push([this.current, this.previous]);
  }

  /** Back to what was pushed last; false if nothing was. */
  pop(): boolean {
    const last = this.stack.pop();
    if (last === undefined) return false;
    [this.current, this.previous] = last;
    return true;
  }

  swap(): void {
    [this.current, this.previous] = [this.previous, this.current];
  }

  /**
   * Go to a section.
   * @param flags as in `"ax"`, or null if the text has none
   * @param type as in `@nobits`, or ''
   */
  select(name: string, flags: string | null, type: string): void {
    this.previous = this.current;
    const known = KNOWN.find(([pattern]) => pattern.test(name));
    const existing = this.session.sections.find(name);
    // Notes are for linkers and loaders, loaded or not.
    const isNote = /^\.note(\.|$)/.test(name);
    const isLoaded = !isNote && (flags === null ? known !== undefined : flags.includes('a'));
    if (existing === undefined && !isLoaded) {
      this.current = null;
      return;
    }
    const usual = known?.[1] ?? 'progbits';
    const kind = type === '' ? usual : type === 'nobits' ? 'nobits' : 'progbits';
    const section = existing ?? this.session.sections.add(name, kind);
    // GNU as aligns no section by itself.
    this.session.sections.raiseAlign(section, 1);
    if (flags === null ? known?.[2] === true : flags.includes('x')) this.code.add(section);
    this.current = section;
  }
}
