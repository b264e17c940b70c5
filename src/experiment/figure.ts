// Figures as data: what is drawn, not how.

import type { Histogram } from './histogram.ts';

/** A value with its interval, and what was measured in reality if that is known. */
export interface Mark {
  readonly label: string;
  readonly value: number | null;
  readonly halfWidth: number | null;
  readonly measured: number | null;
  /** Standard deviation of what was measured, or null. */
  readonly measuredSd: number | null;
}

/** Marks that belong together: of a colour, or on a line. */
export interface Series {
  readonly name: string;
  readonly marks: readonly Mark[];
}

export type Figure =
  /** Series have the same labels, along the axis. */
  | {
      readonly kind: 'bars' | 'lines';
      readonly title: string;
      readonly xTitle: string;
      readonly yTitle: string;
      readonly series: readonly Series[];
    }
  /** A phase diagram: rows of values from the top, null where there is none. */
  | {
      readonly kind: 'heat';
      readonly title: string;
      readonly xTitle: string;
      readonly yTitle: string;
      readonly valueTitle: string;
      readonly x: readonly string[];
      readonly y: readonly string[];
      readonly values: readonly (readonly (number | null)[])[];
    }
  /** What a value becomes when one thing at a time is different; longest bars first. */
  | {
      readonly kind: 'tornado';
      readonly title: string;
      readonly xTitle: string;
      readonly base: number;
      readonly rows: readonly TornadoRow[];
    }
  | {
      readonly kind: 'histogram';
      readonly title: string;
      readonly xTitle: string;
      readonly series: readonly { readonly name: string; readonly histogram: Histogram }[];
    };

export interface TornadoRow {
  readonly name: string;
  readonly ends: readonly { readonly label: string; readonly value: number }[];
}

export type FigureOf<K extends Figure['kind']> = Extract<Figure, { readonly kind: K }>;
