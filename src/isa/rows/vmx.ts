// SDM 3, "VMX Instruction Reference". In VMX non-root operation they all leave to the host before
// anything else; outside VMX operation, which guests cannot enter by themselves, they are
// undefined.

import type { Meaning } from '../domain.ts';
import { type Form, instruction } from '../notation.ts';

const undefinedHere: Meaning = (d) => d.raise('UD');

const ROWS: readonly (readonly [name: string, summary: string, form: Form])[] = [
  ['VMLAUNCH', 'Launch virtual machine', ['', 'NP 0F 01 C2']],
  ['VMRESUME', 'Resume virtual machine', ['', 'NP 0F 01 C3']],
  ['VMXOFF', 'Leave VMX operation', ['', 'NP 0F 01 C4']],
  ['VMXON', 'Enter VMX operation', ['m', 'F3 0F C7 /6']],
  ['VMCLEAR', 'Clear VMCS', ['m', '66 0F C7 /6']],
  ['VMPTRLD', 'Load pointer to VMCS', ['m', 'NP 0F C7 /6']],
  ['VMPTRST', 'Store pointer to VMCS', ['m', 'NP 0F C7 /7']],
  ['VMREAD', 'Read VMCS field', ['r/m32|64, r32|64', 'NP 0F 78 /r']],
  ['VMWRITE', 'Write VMCS field', ['r32|64, r/m32|64', 'NP 0F 79 /r']],
  ['INVEPT', 'Invalidate EPT translations', ['r32|64, m128', '66 0F 38 80 /r']],
  ['INVVPID', 'Invalidate VPID translations', ['r32|64, m128', '66 0F 38 81 /r']],
];

const attributes = {
  cost: 'system',
  intercept: 'VMX',
  operandSize: 'native',
  protectedOnly: true,
} as const;

export const vmxRows = ROWS.flatMap(([name, summary, form]) =>
  instruction(name, summary, attributes, undefinedHere, [form]),
);
