// Descriptor-table exiting: which instructions exit, their qualification and instruction
// information. SDM 3, "Format of the VM-Exit Instruction-Information Field as Used for LIDT, LGDT,
// SIDT, or SGDT" and "... for LLDT, LTR, SLDT, and STR".

import { describe, expect, test } from 'vitest';
import { At, exitRecord, type FieldValues, handler, VmxBench } from '../support/vmx-bench.ts';

const SECONDARY = 'SECONDARY_VM_EXEC_CONTROL';
const DESCRIPTOR_TABLE_EXITING = 1 << 2;
const UMIP = 1 << 11;

function bench(exits: boolean, change: FieldValues = {}): VmxBench {
  const made = new VmxBench();
  if (exits) made.add(SECONDARY, DESCRIPTOR_TABLE_EXITING);
  made.set(change);
  return made;
}

/** No index, no base: of an absolute address. */
const ABSOLUTE = 2 ** 22 + 2 ** 27;
const ADDRESS_64 = 2 << 7;
const DS = 3 << 15;
const REGISTER = 1 << 10;

describe('descriptor-table exiting', () => {
  test.each<[string, string, number, number]>([
    // [instruction, exit reason, qualification, instruction information]
    [`sgdt [${At.DATA}]`, 'GDTR_IDTR', At.DATA, ABSOLUTE + ADDRESS_64 + DS],
    [`sidt [${At.DATA}]`, 'GDTR_IDTR', At.DATA, 2 ** 28 + ABSOLUTE + ADDRESS_64 + DS],
    [`lgdt [${At.DATA}]`, 'GDTR_IDTR', At.DATA, 2 * 2 ** 28 + ABSOLUTE + ADDRESS_64 + DS],
    [
      `lidt [rbx + 4 * rsi + 8]`,
      'GDTR_IDTR',
      8,
      3 * 2 ** 28 + 2 + ADDRESS_64 + DS + (6 << 18) + 3 * 2 ** 23,
    ],
    ['sldt ecx', 'LDTR_TR', 0, REGISTER + (1 << 3)],
    ['str ebx', 'LDTR_TR', 0, 2 ** 28 + REGISTER + (3 << 3)],
    ['lldt ax', 'LDTR_TR', 0, 2 * 2 ** 28 + REGISTER],
    ['ltr di', 'LDTR_TR', 0, 3 * 2 ** 28 + REGISTER + (7 << 3)],
  ])('%s', (instruction, reason, qualification, information) => {
    const exiting = bench(true);
    const labels = exiting.load(`default abs\n${instruction}\nbehind: vmcall`);
    const lengthBytes = (labels.get('behind') ?? 0) - At.CODE;
    const exit = exiting.exitOf(`default abs\n${instruction}\nbehind: vmcall`);
    expect(exit).toEqual(exitRecord(reason, At.CODE, { qualification, lengthBytes }));
    expect(exiting.field('VMX_INSTRUCTION_INFO')).toBe(information);
  });

  test.each(['sgdt [rbx]', 'sldt ecx', 'str ecx'])('%s executes without it', (instruction) => {
    const plain = bench(false);
    plain.setRegister('rbx', At.DATA);
    expect(plain.exitOf(`${instruction}\nvmcall`).reason).toBe('VMCALL');
  });

  test('at CPL 3 what loads faults, and what stores exits but under UMIP', () => {
    for (const [instruction, cr4, reason] of [
      ['lgdt [rbx]', 0x2020, 'VMCALL'],
      ['sldt ecx', 0x2020, 'LDTR_TR'],
      ['sldt ecx', 0x2020 + UMIP, 'VMCALL'],
    ] as const) {
      const user = bench(true, { GUEST_CR4: cr4 });
      user.enterUserMode();
      const exit = user.exitOf(`${instruction}\nvmcall`);
      expect([instruction, exit.reason]).toEqual([instruction, reason]);
      if (reason === 'VMCALL') expect(exit.rip).toBe(handler(13));
    }
  });

  test('SMSW is none of them', () => {
    expect(bench(true).exitOf('smsw ecx\nvmcall').reason).toBe('VMCALL');
  });
});
