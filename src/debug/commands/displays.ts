// `display`: what is to be shown at each stop.

import { DebugError } from '../debug-error.ts';
import { type Command, type Context, command } from './command.ts';
import { addressOf, formatOf, numberOf } from './parse.ts';
import { memoryLines, valueLine } from './print.ts';
import { valueNames } from './words.ts';

/** An expression that is shown at each stop. */
export interface Display {
  readonly id: number;
  /** What stood behind the slash. */
  readonly format: string;
  readonly text: string;
}

/** Formats that show memory at an address rather than a value. */
const OF_MEMORY = /[\dbhwgis]/;

export function displayLines({ session, vcpu, displays }: Context): string[] {
  return displays.flatMap(({ id, format, text }) => {
    try {
      const isMemory = OF_MEMORY.test(format);
      const shown = isMemory
        ? memoryLines(session, vcpu, addressOf(session, vcpu, text), formatOf(format))
        : [valueLine(session, vcpu, text, format)];
      const [only] = shown;
      if (!isMemory) return [`${id}: ${text} = ${only}`];
      return [`${id}: x/${format} ${text}`, ...shown];
    } catch (thrown) {
      if (thrown instanceof DebugError) return [`${id}: ${text}: ${thrown.message}`];
      throw thrown;
    }
  });
}

function display(context: Context, text: string, format: string): readonly string[] {
  if (text === '') return displayLines(context);
  if (format !== '') formatOf(format);
  const { displays } = context;
  const one: Display = { id: (displays.at(-1)?.id ?? 0) + 1, format, text };
  // What cannot be shown here is not kept.
  context.session.evaluate(context.vcpu, text.replace(/^\*/, ''));
  context.displays = [...displays, one];
  return displayLines({ ...context, displays: [one] });
}

export function undisplay(context: Context, text: string): readonly string[] {
  const ids = text === '' ? null : text.split(/[\s,]+/).map(numberOf);
  for (const id of ids ?? []) {
    if (!context.displays.some((one) => one.id === id)) throw new DebugError(`no display ${id}`);
  }
  context.displays = context.displays.filter(({ id }) => ids !== null && !ids.includes(id));
  return [];
}

/** What is shown at each stop, as it was asked for. */
export function displayList({ displays }: Context): string[] {
  if (displays.length === 0) return ['Nothing is shown at stops.'];
  return displays.map(
    ({ id, format, text }) => `${id}: ${format === '' ? '' : `/${format} `}${text}`,
  );
}

export const DISPLAYS: readonly Command[] = [
  command('display', '[/FORMAT] [EXPR]', 'show an expression at each stop, or all now', display, {
    words: valueNames,
  }),
  command('undisplay', '[ID...]', 'show it no more, or none', undisplay),
];
