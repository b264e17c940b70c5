// What the VMCS says of a VM exit, in lines: the control bits that ask for it, the fields that
// decide about it, and what it recorded, with the parts of packed fields.

import type { ExitExplanation, ExplainedField } from '../vmx/index.ts';

/** Columns of the labels on the left. */
const LABEL_COLUMNS = 12;

export function fieldLines(exit: ExitExplanation): string[] {
  const { controls, deciding, information, section } = exit;
  const asking = controls.map(({ field, bit, title, isSet }) => {
    return `${field} bit ${bit}, "${title}": ${isSet ? 1 : 0}`;
  });
  return [
    ...labelled('controls', asking),
    ...labelled('decided by', deciding.flatMap(linesOf)),
    ...labelled('recorded', information.flatMap(linesOf)),
    ...labelled('SDM 3', [`"${section}"`]),
  ];
}

function labelled(label: string, lines: readonly string[]): string[] {
  return lines.map((line, i) => `${(i === 0 ? label : '').padEnd(LABEL_COLUMNS)}${line}`);
}

function linesOf({ name, value, parts }: ExplainedField): string[] {
  const told = parts.map(({ high, low, name: part, value: bits, meaning }) => {
    const place = high === low ? `bit ${low}` : `bits ${high}:${low}`;
    return `  ${place} ${part}: ${bits.toUnsigned()}${meaning === '' ? '' : ` (${meaning})`}`;
  });
  return [`${name} = 0x${value.toUnsigned().toString(16)}`, ...told];
}
