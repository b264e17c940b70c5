// The names that conditions of breakpoints know beside registers, symbols and fields: what a trace
// record tells, what the guest asked for, what a store has changed.

import type Long from 'long';
import { type TraceRecord, tracepointOf } from '../trace/index.ts';
import type { BreakpointSpec } from './breakpoints.ts';
import type { GuestRequest } from './guest-request.ts';

/** Names that a record gives to conditions. */
export type RecordValues = Readonly<Record<string, bigint | string | undefined>>;

export const NO_VALUES: RecordValues = {};

/** As {@link recordValues} has them for an exit. */
const EXIT_NAMES = [...tracepointOf('kvm_exit').names, 'qualification'];

/** Names that breakpoints of a kind give to their conditions. */
export function namesGivenBy(spec: BreakpointSpec): readonly string[] {
  switch (spec.kind) {
    case 'exit':
      return EXIT_NAMES;
    case 'msr':
      return [...EXIT_NAMES, 'index', 'write', 'value'];
    case 'port':
      return [...EXIT_NAMES, 'port', 'size', 'write', 'value'];
    case 'hypercall':
      return [...EXIT_NAMES, 'nr', 'a0', 'a1', 'a2', 'a3'];
    case 'entry':
      return tracepointOf('kvm_entry').names;
    case 'hostEvent':
      return spec.event === 'kvm_exit' ? EXIT_NAMES : tracepointOf(spec.event).names;
    case 'memory':
      return spec.access === 'write' || spec.access === 'change' ? ['old', 'new'] : [];
    case 'time':
    case 'address':
    case 'symbol':
    case 'line':
      return [];
  }
}

/** What the guest asked for, by the names of the tracepoint that tells of it later. */
export function requestValues(request: GuestRequest | null): RecordValues {
  switch (request?.kind) {
    case 'msr': {
      const { index, write, value } = request;
      return {
        index: BigInt(index),
        write: BigInt(write),
        value: value === null ? undefined : bigintOf(value),
      };
    }
    case 'port': {
      const { port, size, write, value } = request;
      const given = { port: BigInt(port), size: BigInt(size), write: BigInt(write) };
      return { ...given, value: value === null ? undefined : bigintOf(value) };
    }
    case 'hypercall': {
      const { nr, args } = request;
      const named = args.map((value, i) => [`a${i}`, bigintOf(value)] as const);
      return { nr: bigintOf(nr), ...Object.fromEntries(named) };
    }
    case undefined:
      return NO_VALUES;
  }
}

/** The properties of a record by their names; those of an exit also as the manual calls them. */
export function recordValues(record: TraceRecord): RecordValues {
  const values: Record<string, bigint | string> = {};
  for (const [name, text] of tracepointOf(record.name).describe(record.fields)) {
    values[name] = /^(0x[\da-f]+|\d+)$/.test(text)
      ? BigInt(text)
      : text === 'true' || text === 'false'
        ? BigInt(text === 'true')
        : text;
  }
  if (record.name === 'kvm_exit') values.qualification = bigintOf(record.fields.info1);
  return values;
}

export function bigintOf(value: Long): bigint {
  const low = BigInt(value.low >>> 0);
  return value.high === 0 ? low : (BigInt(value.high >>> 0) << 32n) | low;
}
