// The faults that there are: what each does, when it can happen, what has to be said of it, and
// whether a correct guest has to live with it. Schema, checks, help and docs/faults.md follow.

import { FIELDS } from '../../vmx/index.ts';
import {
  choice,
  duration,
  durationRange,
  type Infer,
  integer,
  object,
  probability,
  text,
} from '../schema.ts';

/** How a fault comes about. */
export type FaultOccasion =
  /** Whenever something of the kind happens anyway: it is done otherwise. */
  | 'event'
  /** At a time, or where guest code is: something happens that would not have. */
  | 'moment'
  /** At a time, to the whole machine, between everything. */
  | 'pause';

export interface FaultRow {
  readonly summary: string;
  readonly occasion: FaultOccasion;
  /** Hardware and hosts may do so: a correct guest still works. */
  readonly isLegal: boolean;
  /** Keys that have to be given, and further ones that may be, beside those of the occasion. */
  readonly needs: readonly FaultKey[];
  readonly takes: readonly FaultKey[];
}

/** No duration is so short. */
const NOT_GIVEN = { leastNs: 0, mostNs: 0 };

/** Keys of a fault in a scenario. The fallbacks of most stand for "not given". */
const KEYS = {
  vm: integer(0, 7, { summary: 'virtual machine, by its number; without it any', fallback: -1 }),
  vcpu: integer(0, 63, { summary: 'vCPU; without it any', fallback: -1 }),
  pcpu: integer(0, 255, { summary: 'pCPU; without it any', fallback: -1 }),
  from: duration({ summary: 'not earlier; without `every`, just then', fallback: 0 }),
  until: duration({ summary: 'not later', fallback: 0 }),
  every: duration({ summary: 'once in each such period, at a moment by seed', fallback: 0 }),
  at: text({
    summary: 'when a vCPU comes to this symbol or address of guest code, before it is executed',
    fallback: '',
  }),
  lock: text({
    summary:
      'when a vCPU makes this word of guest memory other than zero: a symbol or guest-physical ' +
      'address, and `:1`, `:2` or `:8` for its bytes (default 4)',
    fallback: '',
  }),
  after: durationRange({ summary: 'so long after `at` or `lock`', fallback: NOT_GIVEN }),
  nth: integer(1, 2 ** 32, { summary: 'only the nth time that it could happen', fallback: 0 }),
  probability: probability({ summary: 'how probable it is each time', fallback: 1 }),
  count: integer(1, 2 ** 32, { summary: 'at most so many times', fallback: 0 }),
  by: durationRange({ summary: 'by how much; between two, the seed says', fallback: NOT_GIVEN }),
  for: durationRange({ summary: 'for how long', fallback: NOT_GIVEN }),
  to: integer(0, 255, { summary: 'to which pCPU; without it any other', fallback: -1 }),
  vector: integer(16, 255, { summary: 'vector of the interrupt', fallback: -1 }),
  nice: integer(-20, 19, { summary: 'nice level of the thread (default -20)', fallback: -20 }),
  field: text({ summary: 'VMCS field (default GUEST_ACTIVITY_STATE)', fallback: '' }),
  value: text({ summary: 'its value for that entry (default 7)', fallback: '' }),
} as const;

export type FaultKey = keyof typeof KEYS;

const row = (
  occasion: FaultOccasion,
  isLegal: boolean,
  summary: string,
  needs: readonly FaultKey[] = [],
  takes: readonly FaultKey[] = [],
): FaultRow => ({ occasion, isLegal, summary, needs, takes });

export const FAULTS = {
  'delay-wake': row('event', true, 'the thread of a sleeping vCPU is woken later', ['by']),
  'spurious-wake': row('moment', true, 'the thread of a sleeping vCPU is woken for nothing'),
  'delay-ipi': row('event', true, 'an IPI of a vCPU arrives later', ['by'], ['vector']),
  'lose-ipi': row('event', false, 'an IPI of a vCPU does not arrive', [], ['vector']),
  'spurious-ipi': row('moment', false, 'an interrupt arrives that nobody has sent', ['vector']),
  'delay-kick': row('event', true, 'a kick by hypercall arrives later', ['by']),
  'lose-kick': row('event', false, 'a kick by hypercall does not arrive'),
  'spurious-kick': row('moment', true, 'the HLT of a vCPU, or its next, ends for nothing'),
  'spurious-exit': row('moment', true, 'a VM exit by an interrupt of the host'),
  preempt: row('moment', true, 'a real-time thread takes the pCPU of a vCPU', ['for']),
  steal: row('moment', true, 'a host thread of high weight computes on a pCPU', ['for'], ['nice']),
  'stop-pcpu': row('moment', true, 'a pCPU stops, interrupts included', ['for']),
  migrate: row('moment', true, 'a vCPU moves to another pCPU', [], ['to']),
  'timer-jitter': row('event', true, "a local APIC's timer expires later", ['by']),
  'clock-forward': row('moment', false, 'the TSC offset of a machine grows', ['by']),
  'clock-back': row('moment', false, 'the TSC offset of a machine shrinks', ['by']),
  'fail-entry': row(
    'moment',
    false,
    'a VMCS field is invalid for one VM entry',
    [],
    ['field', 'value'],
  ),
  'fail-msr-load': row('moment', false, 'an MSR cannot be loaded for one VM entry'),
  snapshot: row('pause', true, 'the machine is saved and restored on the spot'),
} as const satisfies Readonly<Record<string, FaultRow>>;

export type FaultName = keyof typeof FAULTS;

export const FAULT_NAMES = Object.keys(FAULTS) as FaultName[];

/** Faults that happen to a pCPU rather than a vCPU. */
export const OF_PCPU: readonly FaultName[] = ['steal', 'stop-pcpu'];

const WHEN: readonly FaultKey[] = ['from', 'until', 'nth', 'probability', 'count'];

/** What may be said of a fault, by its occasion. */
const KEYS_OF_OCCASION: Readonly<Record<FaultOccasion, readonly FaultKey[]>> = {
  event: ['vm', 'vcpu', ...WHEN],
  moment: ['vm', 'vcpu', 'every', 'at', 'lock', 'after', ...WHEN],
  pause: ['every', ...WHEN],
};

/** Every key that a fault may have. */
export function keysOf(name: FaultName): readonly FaultKey[] {
  const { occasion, needs, takes }: FaultRow = FAULTS[name];
  const own = OF_PCPU.includes(name) ? (['pcpu'] as const) : [];
  return [...own, ...KEYS_OF_OCCASION[occasion], ...needs, ...takes];
}

export const FAULT = object(
  'A fault to inject; as one text NAME,KEY=VALUE,...',
  {
    fault: choice(FAULT_NAMES, { summary: 'which fault' }),
    ...KEYS,
  },
  { expected: 'a fault such as delay-ipi,probability=0.1,by=20us', flag: 'fault' },
);

export type Fault = Infer<typeof FAULT>;

/** True if the key was given, rather than left to its fallback. */
export function isGiven(fault: Fault, key: FaultKey): boolean {
  const { fallback } = KEYS[key];
  return JSON.stringify(fault[key]) !== JSON.stringify(fallback);
}

/** As it is written on the command line. */
export function faultText(fault: Fault): string {
  const given = (Object.keys(KEYS) as FaultKey[]).filter((key) => isGiven(fault, key));
  const words = given.map((key) => {
    const scalar = KEYS[key] as { write(value: unknown): unknown };
    return `${key}=${scalar.write(fault[key])}`;
  });
  return [fault.fault, ...words].join(',');
}

/** Names of VMCS fields that the VMM may write. */
export const WRITABLE_FIELDS: readonly string[] = FIELDS.filter(
  ({ type }) => type !== 'exitInformation',
).map(({ name }) => name);
