// What traces of one kernel look like: which of the tracepoints it has, under which names, with
// which properties, and how lines of text begin. All of it follows from the table of tracepoints.

import type { Tracepoint } from './tracepoint.ts';
import { TRACEPOINTS, type TracepointName, type TraceRecord, tracepointOf } from './tracepoints.ts';

/** An event of a kernel. */
export interface EventLayout {
  readonly name: TracepointName;
  /** What the kernel calls it. */
  readonly event: string;
  /** Its columns and its text there. */
  readonly tracepoint: Tracepoint;
}

/** How a line of text begins. Linux kernel/trace/trace_output.c, trace_print_context. */
export interface LineStyle {
  /** Latency columns: none before 3.3, and one for migrate-disable since 5.14. */
  readonly latencyColumns: 0 | 4 | 5;
  readonly pidWidth: 5 | 7;
}

const LINE_STYLES: readonly (readonly [since: string, style: LineStyle])[] = [
  ['0', { latencyColumns: 0, pidWidth: 5 }],
  ['3.3', { latencyColumns: 4, pidWidth: 5 }],
  ['5.14', { latencyColumns: 5, pidWidth: 7 }],
];

const NAMES = Object.keys(TRACEPOINTS) as TracepointName[];

/** The kernel whose layouts are those of the table. */
const NEWEST_KERNEL = '6.1';

/** A version such as 2.6.35, `linux-` before it or not, as a number that grows. */
function ordinal(version: string): number {
  const parts = version.replace(/^linux-/, '').split('.');
  return [0, 1, 2].reduce((sum, i) => sum * 1000 + Number(parts[i] ?? 0), 0);
}

export class TraceFormat {
  /** Such as 4.8. */
  readonly kernel: string;
  readonly style: LineStyle;
  /** Worked out for the formats that somebody uses. */
  private known: Layouts | null = null;

  private constructor(kernel: string) {
    this.kernel = kernel;
    const at = ordinal(kernel);
    const [, style] = LINE_STYLES.findLast(([since]) => ordinal(since) <= at) ?? LINE_STYLES[0];
    this.style = style;
  }

  private get layouts(): Layouts {
    this.known ??= layoutsOf(this.kernel);
    return this.known;
  }

  private static readonly made = new Map<string, TraceFormat>();

  /** @param kernel a version such as 4.8, or linux-4.8 */
  static of(kernel: string): TraceFormat {
    const version = kernel.replace(/^linux-/, '');
    const known = TraceFormat.made.get(version);
    if (known !== undefined) return known;
    const format = new TraceFormat(version);
    TraceFormat.made.set(version, format);
    return format;
  }

  /** The layout of a tracepoint; null if the kernel does not have it. */
  layoutOf(name: TracepointName): EventLayout | null {
    return this.layouts.byName.get(name) ?? null;
  }

  /** The layout of what the kernel calls so; null if there is no such event. */
  layoutOfEvent(event: string): EventLayout | null {
    return this.layouts.byEvent.get(event) ?? null;
  }

  /** Those that the kernel has. */
  get events(): readonly EventLayout[] {
    return [...this.layouts.byName.values()];
  }

  /** `kvm_entry: vcpu 0`, or null if the kernel does not have it. */
  text({ name, fields }: TraceRecord): string | null {
    const layout = this.layoutOf(name);
    return layout === null ? null : `${layout.event}: ${layout.tracepoint.print(fields)}`;
  }
}

/** Something for each event of a kernel, made when it is asked for first. */
export class PerEvent<T> {
  private readonly format: TraceFormat;
  private readonly make: (layout: EventLayout) => T;
  private readonly made = new Map<TracepointName, T | null>();

  constructor(format: TraceFormat, make: (layout: EventLayout) => T) {
    this.format = format;
    this.make = make;
  }

  /** Null if the kernel does not have the event. */
  of(name: TracepointName): T | null {
    const known = this.made.get(name);
    if (known !== undefined) return known;
    const layout = this.format.layoutOf(name);
    const made = layout === null ? null : this.make(layout);
    this.made.set(name, made);
    return made;
  }
}

interface Layouts {
  readonly byName: ReadonlyMap<TracepointName, EventLayout>;
  readonly byEvent: ReadonlyMap<string, EventLayout>;
}

function layoutsOf(kernel: string): Layouts {
  const at = ordinal(kernel);
  const layouts = NAMES.flatMap((name) => layoutIn(name, at));
  return {
    byName: new Map(layouts.map((layout) => [layout.name, layout])),
    byEvent: new Map(layouts.map((layout) => [layout.event, layout])),
  };
}

function layoutIn(name: TracepointName, at: number): EventLayout[] {
  const tracepoint = tracepointOf(name);
  const { since, until, earlier } = tracepoint;
  if (since !== null && at < ordinal(since)) return [];
  if (until !== null && at >= ordinal(until)) return [];
  const old = earlier.find(({ until }) => at < ordinal(until));
  if (old === undefined) return [{ name, event: name, tracepoint }];
  return [{ name, event: old.name ?? name, tracepoint: old.tracepoint }];
}

/** Traces as the newest kernel writes them. */
export const NEWEST_FORMAT = TraceFormat.of(NEWEST_KERNEL);

/** A format for each kernel that changed anything, the newest first. */
export const TRACE_FORMATS: readonly TraceFormat[] = [
  ...new Set([
    ...NAMES.map(tracepointOf).flatMap(({ since, until, earlier }) => [
      ...(since === null ? [] : [since]),
      ...(until === null ? [] : [until]),
      ...earlier.map(({ until }) => until),
    ]),
    ...LINE_STYLES.map(([since]) => since),
    NEWEST_KERNEL,
  ]),
]
  .sort((a, b) => ordinal(b) - ordinal(a))
  .map((kernel) => TraceFormat.of(kernel));
