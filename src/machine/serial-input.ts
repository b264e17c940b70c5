// What comes to the serial port of a guest: bytes, and pauses before some of them. As text, for
// scenarios: hexadecimal digits and durations, separated by commas, such as 564d,100us,21.

import { inputBytes, inputText } from './program-input.ts';
import { printDuration } from './schema.ts';

/** The other end waits so long before it sends a byte. */
export interface SerialPause {
  /** Which byte, from 0. */
  readonly at: number;
  readonly ns: number;
}

export interface SerialInput {
  readonly bytes: Uint8Array;
  /** In order; at most one for each byte. */
  readonly pauses: readonly SerialPause[];
}

/** Bytes that are sent together, at a time in virtual ns since the start of the machine. */
export interface SerialBurst {
  readonly timeNs: number;
  readonly bytes: readonly number[];
}

const BYTES = '([0-9a-fA-F]{2})+';
/** Longer pauses are longer than a run. */
const PAUSE = '[1-9][0-9]{0,8}(ns|us|ms|s)';
const PART = `(${BYTES}|${PAUSE})`;

/** How a scenario writes it, as a regular expression. */
export const SERIAL_PATTERN = `^(${PART}(,${PART})*)?$`;

const UNITS_NS: Readonly<Record<string, number>> = { ns: 1, us: 1e3, ms: 1e6, s: 1e9 };

/** What {@link serialText} made text of; null for other text. Pauses behind the last byte are none. */
export function serialInputOf(text: string): SerialInput | null {
  if (!new RegExp(SERIAL_PATTERN).test(text)) return null;
  const bytes: number[] = [];
  const pauses: SerialPause[] = [];
  let pauseNs = 0;
  for (const word of text.split(',')) {
    const part = inputBytes(word);
    if (part === null) {
      const [, number, unit] = /^(\d+)(\D+)$/.exec(word) ?? [];
      pauseNs += Number(number) * UNITS_NS[unit];
      continue;
    }
    if (part.length === 0) continue;
    if (pauseNs > 0) pauses.push({ at: bytes.length, ns: pauseNs });
    pauseNs = 0;
    bytes.push(...part);
  }
  return { bytes: Uint8Array.from(bytes), pauses };
}

/** As a scenario writes it. */
export function serialText(input: SerialInput): string {
  return piecesOf(input)
    .flatMap(({ pauseNs, bytes }) => [
      ...(pauseNs === 0 ? [] : [printDuration(pauseNs)]),
      ...(bytes.length === 0 ? [] : [inputText(bytes)]),
    ])
    .join(',');
}

/** When the other end sends what, if it is never kept waiting. */
export function burstsOf(input: SerialInput): SerialBurst[] {
  let timeNs = 0;
  return piecesOf(input).flatMap(({ pauseNs, bytes }) => {
    timeNs += pauseNs;
    return bytes.length === 0 ? [] : [{ timeNs, bytes: [...bytes] }];
  });
}

function piecesOf({ bytes, pauses }: SerialInput) {
  const cuts = pauses.filter(({ at }) => at < bytes.length);
  return [{ at: 0, ns: 0 }, ...cuts].map(({ at, ns }, i) => ({
    pauseNs: ns,
    bytes: bytes.subarray(at, cuts[i]?.at ?? bytes.length),
  }));
}
