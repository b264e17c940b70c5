// What can stand where a word is being typed: names of registers, symbols, exit reasons and so on.

import { TRACEPOINTS } from '../../trace/index.ts';
import { EXIT_REASONS, FIELDS } from '../../vmx/index.ts';
import { REGISTER_NAMES } from '../registers.ts';
import type { Context } from './command.ts';

/** Registers, and symbols of the vCPU's machine. */
export function* valueNames({ session, vcpu }: Context): Iterable<string> {
  for (const { name } of session.symbolsOf(vcpu).names) yield name;
  yield* REGISTER_NAMES;
}

/** Symbols and sources: what `list` takes. */
export function* codeNames({ session, vcpu }: Context): Iterable<string> {
  const { names, lines } = session.symbolsOf(vcpu);
  for (const { name } of names) yield name;
  yield* new Set(lines.map(({ file }) => `${file}:`));
}

const KINDS = ['exit', 'entry', 'hypercall', 'msr', 'port', 'time'];
const REASONS = EXIT_REASONS.map(({ name }) => name);

/** What `break` takes, and behind `exit` the reasons. */
export function* placeNames(context: Context, before: string): Iterable<string> {
  if (/\bif\s/.test(before)) yield* valueNames(context);
  else if (/^\s*exit\s+$/.test(before)) yield* REASONS;
  else if (before.trim() === '') {
    yield* KINDS;
    yield* Object.keys(TRACEPOINTS);
    yield* codeNames(context);
  }
}

/** What `set` takes, and behind `vmcs` the fields. */
export function* targetNames(context: Context, before: string): Iterable<string> {
  if (/^\s*vmcs\s+$/.test(before)) yield* FIELDS.map(({ name }) => name);
  else yield* valueNames(context);
}
