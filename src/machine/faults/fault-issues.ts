// What is wrong with faults beyond the kinds of their values: keys that do not belong together,
// machines and processors that there are not, places that no program has.

import { nearest } from '../../sim/index.ts';
import { type GuestPlace, guestPlaces, type NamedRam } from '../guest-places.ts';
import type { Issue } from '../schema.ts';
import {
  FAULTS,
  type Fault,
  type FaultKey,
  type FaultRow,
  isGiven,
  keysOf,
  WRITABLE_FIELDS,
} from './catalogue.ts';

/** What faults have to know of the rest of a scenario. */
interface FaultyScenario {
  readonly faults: readonly Fault[];
  readonly host: { readonly pcpus: number };
  readonly vms: readonly { readonly vcpus: number; readonly pin: readonly string[] }[];
}

/** Everything that can be said without the programs. */
export function* faultIssues(scenario: FaultyScenario): Iterable<Issue> {
  for (const [i, fault] of scenario.faults.entries()) {
    for (const [key, message] of problemsOf(fault, scenario)) {
      yield { path: ['faults', i, key], message };
    }
  }
}

type Problem = readonly [key: FaultKey | 'fault', message: string];

function* problemsOf(fault: Fault, scenario: FaultyScenario): Iterable<Problem> {
  const row: FaultRow = FAULTS[fault.fault];
  const allowed = keysOf(fault.fault);
  const { fault: _, ...rest } = fault;
  for (const key of Object.keys(rest) as FaultKey[]) {
    if (!isGiven(fault, key) || allowed.includes(key)) continue;
    yield [key, `${fault.fault} has no '${key}'; it takes ${allowed.join(', ')}`];
  }
  for (const key of row.needs) {
    if (!isGiven(fault, key)) yield ['fault', `${fault.fault} needs '${key}'`];
  }
  yield* whenProblems(fault, row);
  yield* whereProblems(fault, scenario);
  yield* fieldProblems(fault);
}

function* whenProblems(fault: Fault, { occasion }: FaultRow): Iterable<Problem> {
  const given = (key: FaultKey) => isGiven(fault, key);
  const triggers = (['every', 'at', 'lock'] as const).filter(given);
  if (triggers.length > 1) {
    yield [triggers[1], `'${triggers[0]}' says already when it happens`];
  }
  if (occasion !== 'event' && triggers.length === 0 && !given('from')) {
    const places = occasion === 'moment' ? ", 'at' or 'lock'" : '';
    yield ['fault', `${fault.fault} needs to know when: 'from', 'every'${places}`];
  }
  if (given('after') && !given('at') && !given('lock')) {
    yield ['after', "'after' is a time after 'at' or 'lock'"];
  }
  if (given('until') && fault.until <= fault.from) {
    yield ['until', "expected a later time than 'from'"];
  }
}

function* whereProblems(fault: Fault, { host, vms }: FaultyScenario): Iterable<Problem> {
  const { vm, vcpu, pcpu, to } = fault;
  if (vm >= vms.length) yield ['vm', `there is no virtual machine ${vm}: it has ${vms.length}`];
  const most = Math.max(...vms.map(({ vcpus }) => vcpus));
  const count = vm < 0 ? most : (vms[vm]?.vcpus ?? most);
  if (vcpu >= count) yield ['vcpu', `there is no vCPU ${vcpu}: vcpus is ${count}`];
  for (const [key, index] of [
    ['pcpu', pcpu],
    ['to', to],
  ] as const) {
    if (index < host.pcpus) continue;
    yield [key, `there is no pCPU ${index}: host.pcpus is ${host.pcpus}`];
  }
  if (fault.fault === 'migrate' && host.pcpus === 1) {
    yield ['fault', 'there is no other pCPU: host.pcpus is 1'];
  }
}

const VALUE = /^(0x[\da-f]{1,16}|\d{1,15})$/i;

function* fieldProblems({ field, value }: Fault): Iterable<Problem> {
  if (field !== '' && !WRITABLE_FIELDS.includes(field)) {
    const near = nearest(field, WRITABLE_FIELDS);
    const hint = near === null ? 'expected one that VMWRITE writes' : `did you mean '${near}'?`;
    yield ['field', `no VMCS field '${field}'; ${hint}`];
  }
  if (field !== '' && value === '') yield ['field', "a field needs a 'value'"];
  if (value !== '' && !VALUE.test(value)) {
    yield ['value', `expected a number such as 7 or 0x10, not '${value}'`];
  }
}

/** The places that a fault names, in each machine that it is about; empty if it names none. */
export function placesOf(
  { at, lock, vm }: Fault,
  rams: readonly NamedRam[],
): readonly GuestPlace[] | string {
  if (at === '' && lock === '') return [];
  const vms = vm >= 0 ? [vm] : rams.map((_, i) => i);
  return guestPlaces(at === '' ? 'word' : 'code', at === '' ? lock : at, rams, vms);
}

/** What is wrong with the places that faults name, once the programs are known. */
export function faultPlaceIssues(
  faults: readonly Fault[],
  rams: readonly NamedRam[],
): readonly Issue[] {
  return faults.flatMap((fault, i): Issue[] => {
    const places = placesOf(fault, rams);
    const key = fault.at === '' ? 'lock' : 'at';
    return typeof places === 'string' ? [{ path: ['faults', i, key], message: places }] : [];
  });
}
