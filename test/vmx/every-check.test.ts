// Every VM-entry check can be the only one that fails: for each there is a VMCS, a bit or two away
// from a valid one, that breaks it and no other. A check for which there is none would be dead, or
// hidden behind another.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import {
  ENTRY_CHECKS,
  type EntryCheck,
  EVERY_ENTRY_CHECKS,
  FIELDS,
  fieldIndex,
} from '../../src/vmx/index.ts';
import { Controls } from '../support/valid-vmcs.ts';
import { type FieldValues, VmxBench } from '../support/vmx-bench.ts';

const { controls, injection, host, guest } = ENTRY_CHECKS;
const CHECKS: readonly EntryCheck[] = [
  ...controls,
  ...injection,
  ...host,
  ...guest,
  ...EVERY_ENTRY_CHECKS,
];

const UNRESTRICTED = Controls.SECONDARY | 0x80;
const VALID = 2 ** 31;

const V86_SEGMENTS: FieldValues = Object.fromEntries(
  ['CS', 'SS', 'DS', 'ES', 'FS', 'GS'].flatMap((name) => [
    [`GUEST_${name}_SELECTOR`, 0x1000],
    [`GUEST_${name}_BASE`, 0x10000],
    [`GUEST_${name}_LIMIT`, 0xffff],
    [`GUEST_${name}_AR_BYTES`, 0xf3],
  ]),
);

/** A 32-bit guest, paging with PAE. */
const PAE: FieldValues = {
  VM_ENTRY_CONTROLS: 0x000011fb,
  GUEST_IA32_EFER: 0,
  GUEST_CS_AR_BYTES: 0xc09b,
  GUEST_TR_AR_BYTES: 0x8b,
};

const inject = (type: number, vector: number, more = 0): FieldValues => ({
  VM_ENTRY_INTR_INFO_FIELD: VALID + type * 256 + vector + more,
  VM_ENTRY_INSTRUCTION_LEN: 1,
});

/** Valid VMCSs, as changes of the standard one, from which one step has to be enough. */
const STARTS: readonly FieldValues[] = [
  {},
  { CPU_BASED_VM_EXEC_CONTROL: Controls.PRIMARY + 2 ** 25 + 2 ** 28 },
  { SECONDARY_VM_EXEC_CONTROL: Controls.SECONDARY + 0x20 + 2 ** 25, VIRTUAL_PROCESSOR_ID: 1 },
  { SECONDARY_VM_EXEC_CONTROL: Controls.SECONDARY + 2 ** 25, TSC_MULTIPLIER: 1 },
  { SECONDARY_VM_EXEC_CONTROL: UNRESTRICTED },
  { CPU_BASED_VM_EXEC_CONTROL: Controls.PRIMARY + 2 ** 22 },
  { PIN_BASED_VM_EXEC_CONTROL: 0x17, CPU_BASED_VM_EXEC_CONTROL: Controls.PRIMARY },
  { CR3_TARGET_COUNT: 4 },
  {
    PIN_BASED_VM_EXEC_CONTROL: Controls.PIN | 0x40,
    VM_EXIT_CONTROLS: Controls.EXIT + 2 ** 22,
  },
  { VM_EXIT_CONTROLS: Controls.EXIT + 2 ** 19 + 2 ** 21 },
  { VM_ENTRY_CONTROLS: Controls.ENTRY + 2 ** 2 + 2 ** 14 + 2 ** 15 },
  PAE,
  { ...PAE, SECONDARY_VM_EXEC_CONTROL: UNRESTRICTED, GUEST_CR0: 0x80010033 },
  { ...PAE, SECONDARY_VM_EXEC_CONTROL: UNRESTRICTED, GUEST_CS_AR_BYTES: 0xc093 },
  { ...PAE, GUEST_PDPTR0: 1 },
  { ...PAE, GUEST_RFLAGS: 0x20002, ...V86_SEGMENTS },
  { ...inject(0, 32), GUEST_RFLAGS: 0x202 },
  inject(2, 2),
  inject(3, 14, 0x800),
  inject(3, 6),
  inject(4, 3),
  { GUEST_ACTIVITY_STATE: 1 },
  { GUEST_ACTIVITY_STATE: 1, ...inject(2, 2) },
  { GUEST_ACTIVITY_STATE: 2, ...inject(2, 2) },
  { VM_EXIT_MSR_STORE_COUNT: 1, VM_EXIT_MSR_LOAD_COUNT: 1, VM_ENTRY_MSR_LOAD_COUNT: 1 },
  {
    CPU_BASED_VM_EXEC_CONTROL: Controls.PRIMARY + 2 ** 21,
    SECONDARY_VM_EXEC_CONTROL: Controls.SECONDARY + 1,
  },
  { GUEST_INTERRUPTIBILITY_INFO: 1, GUEST_RFLAGS: 0x202 },
  { GUEST_INTERRUPTIBILITY_INFO: 2 },
  { GUEST_LDTR_AR_BYTES: 0x82, GUEST_LDTR_SELECTOR: 0x28 },
  { GUEST_ES_AR_BYTES: 0xc0f3, GUEST_DS_AR_BYTES: 0xc0fb, GUEST_FS_AR_BYTES: 0xc0f3 },
  { GUEST_CS_LIMIT: 0xfffff, GUEST_CS_AR_BYTES: 0x209b },
];

const failing = (bench: VmxBench) => CHECKS.filter(({ holds }) => !holds(bench.virtual.vmcs));

/** Checks that are the only ones to fail after one bit of one field of theirs has changed. */
function brokenAlone(start: FieldValues): Set<EntryCheck> {
  const bench = new VmxBench();
  bench.set(start);
  const found = new Set<EntryCheck>();
  const { vmcs } = bench.virtual;
  const names = new Set(CHECKS.flatMap(({ fields }) => fields));
  for (const name of names) {
    const old = vmcs.read(name);
    for (let bit = 0; bit < FIELDS[fieldIndex(name)].width; bit++) {
      vmcs.write(name, old.xor(Long.ONE.shl(bit)));
      const failed = failing(bench);
      if (failed.length === 1) found.add(failed[0] as EntryCheck);
    }
    vmcs.write(name, Long.ZERO);
    const failed = failing(bench);
    if (failed.length === 1) found.add(failed[0] as EntryCheck);
    vmcs.write(name, old);
  }
  return found;
}

describe('every check', () => {
  test('the starts are valid', () => {
    for (const start of STARTS) {
      const bench = new VmxBench();
      bench.set(start);
      expect([start, failing(bench).map(({ rule }) => rule)]).toEqual([start, []]);
    }
  });

  test('can be the only one that fails', () => {
    const broken = new Set(STARTS.flatMap((start) => [...brokenAlone(start)]));
    const rest = CHECKS.filter((check) => !broken.has(check));
    expect(rest.map(({ rule, fields }) => `${rule} (${fields[0]})`)).toEqual([]);
  });
});
