// Why the last VM exit happened: which control bits and fields of the VMCS asked for it, what the
// exit recorded, and what the bits of that mean. Reads the VMCS as the exit left it, so it is to be
// asked before a handler has changed it.

import type Long from 'long';
import { Cr0, Cr4, VECTOR_NAMES } from '../cpu/index.ts';
import type { ControlWord } from './controls.ts';
import { type ControlBitName, EXIT_DETAILS, type ExitDetail } from './exit-details.ts';
import {
  type BitRange,
  DEBUG_LAYOUT,
  INTERRUPTION_LAYOUT,
  PAGE_FAULT_LAYOUT,
  QUALIFICATIONS,
} from './exit-layouts.ts';
import { ENTRY_FAILURE, EXIT_REASONS, type ExitReason } from './exit-reasons.ts';
import type { FieldName } from './fields.ts';
import type { Vmcs } from './vmcs.ts';

/** A part of a field: what it is, its value, and in words what that means (or ''). */
export interface ExplainedBits {
  readonly high: number;
  readonly low: number;
  readonly name: string;
  readonly value: Long;
  readonly meaning: string;
}

export interface ExplainedField {
  readonly name: FieldName;
  readonly value: Long;
  /** The parts of a packed field that are not 0, or that choose among names. */
  readonly parts: readonly ExplainedBits[];
}

export interface ExplainedControl {
  /** The VMCS field that holds the bit. */
  readonly field: FieldName;
  /** The kernel's name of the mask, and the SDM's name of the control. */
  readonly name: string;
  readonly title: string;
  readonly bit: number;
  readonly isSet: boolean;
}

export interface ExitExplanation {
  /** Number of the basic exit reason. */
  readonly number: number;
  /** Linux's name without EXIT_REASON_, or the number for one that is not in the table. */
  readonly name: string;
  readonly meaning: string;
  /** Bit 31 of the exit reason: VM entry failed, and the guest did not run. */
  readonly isEntryFailure: boolean;
  /** SDM 3 section title. */
  readonly section: string;
  /** When such an exit happens, to be read after "exits". */
  readonly condition: string;
  /** Control bits that ask for it, with their settings. */
  readonly controls: readonly ExplainedControl[];
  /** Other fields that decide about it. */
  readonly deciding: readonly ExplainedField[];
  /** What the exit recorded: reason, qualification, and what else is valid for this reason. */
  readonly information: readonly ExplainedField[];
  /** What led to this very exit, in sentences; may be empty where the condition says it all. */
  readonly because: readonly string[];
}

/** What is known of an exit reason without a VMCS. */
export interface ExitReasonDetail extends ExitReason {
  readonly section: string;
  readonly condition: string;
  readonly controls: readonly Omit<ExplainedControl, 'isSet'>[];
  readonly deciding: readonly FieldName[];
  readonly information: readonly FieldName[];
  /** Of the exit qualification; empty if that is 0. */
  readonly qualification: readonly BitRange[];
}

const NO_DETAIL: ExitDetail = {
  condition: 'for a reason that is not in the table',
  section: 'VMX Basic Exit Reasons',
  controls: [],
  deciding: [],
  information: [],
};

const EXCEPTION_NMI = 0;
const DEBUG = 1;
const NMI = 2;
const PAGE_FAULT = 14;

/** Everything about a basic exit reason that does not depend on a VMCS. */
export function exitReasonDetail(reason: ExitReason): ExitReasonDetail {
  const detail = detailOf(reason.name);
  const isException = reason.number === EXCEPTION_NMI;
  return {
    ...reason,
    section: detail.section,
    condition: detail.condition,
    controls: detail.controls.map(controlOf),
    deciding: detail.deciding,
    information: detail.information,
    qualification: isException ? DEBUG_LAYOUT : (QUALIFICATIONS[reason.name] ?? []),
  };
}

/** Explain the exit that a VMCS has recorded last. */
export function explainExit(vmcs: Vmcs): ExitExplanation {
  const reasonField = vmcs.read('VM_EXIT_REASON').low;
  const number = reasonField & 0xffff;
  const reason = EXIT_REASONS.find((candidate) => candidate.number === number);
  const name = reason?.name ?? String(number);
  const detail = detailOf(name);
  const controls = detail.controls.map((control) => {
    const known = controlOf(control);
    return { ...known, isSet: isControlSet(vmcs, known) };
  });
  return {
    number,
    name,
    meaning: reason?.meaning ?? 'not in the table of basic exit reasons',
    isEntryFailure: (reasonField & ENTRY_FAILURE) !== 0,
    section: detail.section,
    condition: detail.condition,
    controls,
    deciding: detail.deciding.map((field) => ({ name: field, value: vmcs.read(field), parts: [] })),
    information: (['VM_EXIT_REASON', 'EXIT_QUALIFICATION', ...detail.information] as const).map(
      (field) => explainField(vmcs, name, field),
    ),
    because: becauseOf(vmcs, name, controls),
  };
}

function detailOf(name: string): ExitDetail {
  const details: Readonly<Partial<Record<string, ExitDetail>>> = EXIT_DETAILS;
  return details[name] ?? NO_DETAIL;
}

function controlOf({ word, name }: ControlBitName): Omit<ExplainedControl, 'isSet'> {
  const found = word.bits.find((candidate) => candidate.name === name);
  if (found === undefined) throw new Error(`no control named '${name}' in ${word.field}`);
  return { field: word.field, name, title: found.title, bit: found.bit };
}

/** Secondary controls count as 0 while they are not activated. */
function isControlSet(vmcs: Vmcs, control: { field: ControlWord['field']; bit: number }): boolean {
  const isSecondary = control.field === 'SECONDARY_VM_EXEC_CONTROL';
  if (isSecondary && vmcs.read('CPU_BASED_VM_EXEC_CONTROL').low >= 0) return false;
  return (vmcs.read(control.field).low & (1 << control.bit)) !== 0;
}

function layoutOf(vmcs: Vmcs, reason: string, field: FieldName): readonly BitRange[] {
  if (field === 'VM_EXIT_INTR_INFO' || field === 'IDT_VECTORING_INFO_FIELD') {
    return vmcs.read(field).low < 0 ? INTERRUPTION_LAYOUT : [];
  }
  if (field !== 'EXIT_QUALIFICATION') return [];
  if (reason !== 'EXCEPTION_NMI') return QUALIFICATIONS[reason] ?? [];
  const vector = vmcs.read('VM_EXIT_INTR_INFO').low & 0xff;
  if (vector === DEBUG) return DEBUG_LAYOUT;
  return vector === PAGE_FAULT ? PAGE_FAULT_LAYOUT : [];
}

function explainField(vmcs: Vmcs, reason: string, name: FieldName): ExplainedField {
  const value = vmcs.read(name);
  const parts = layoutOf(vmcs, reason, name)
    .map((range) => explainBits(range, value))
    .filter((part) => part.meaning !== '' || !part.value.isZero());
  return { name, value, parts };
}

function explainBits({ high, low, name, values }: BitRange, field: Long): ExplainedBits {
  const width = high - low + 1;
  const shifted = field.shru(low);
  const value = width === 64 ? shifted : shifted.and(2 ** width - 1);
  const isVector = name === 'vector' && VECTOR_NAMES.has(value.toNumber());
  const meaning = isVector ? VECTOR_NAMES.get(value.toNumber()) : values?.[value.toNumber()];
  return { high, low, name, value, meaning: meaning ?? '' };
}

/** The bits that have been decisive, as far as the VMCS can tell. */
function becauseOf(
  vmcs: Vmcs,
  reason: string,
  controls: readonly ExplainedControl[],
): readonly string[] {
  switch (reason) {
    case 'EXCEPTION_NMI':
      return becauseOfException(vmcs);
    case 'CR_ACCESS':
      return becauseOfControlRegister(vmcs, controls);
    case 'MSR_READ':
    case 'MSR_WRITE':
      return controls[0].isSet
        ? ['"Use MSR bitmaps" is 1, and the bitmap has a 1 for the MSR or does not cover it']
        : ['"Use MSR bitmaps" is 0: every RDMSR and WRMSR exits'];
    case 'IO_INSTRUCTION':
      return controls[1].isSet
        ? ['"Use I/O bitmaps" is 1, and the bitmap has a 1 for a port of the access']
        : ['"Unconditional I/O exiting" is 1'];
    case 'PAUSE_INSTRUCTION':
      return [becauseOfPause(vmcs, controls[0].isSet)];
    default:
      return controls.filter(({ isSet }) => isSet).map(({ title }) => `"${title}" is 1`);
  }
}

function becauseOfPause(vmcs: Vmcs, isUnconditional: boolean): string {
  if (isUnconditional) return '"PAUSE exiting" is 1: every PAUSE exits';
  const gap = vmcs.read('PLE_GAP').toString();
  const window = vmcs.read('PLE_WINDOW').toString();
  return (
    `"PAUSE-loop exiting" is 1, and a loop of PAUSEs at CPL 0, at most ${gap} cycles apart, ` +
    `has lasted for more than ${window} cycles`
  );
}

function becauseOfException(vmcs: Vmcs): readonly string[] {
  const vector = vmcs.read('VM_EXIT_INTR_INFO').low & 0xff;
  if (vector === NMI) return ['"NMI exiting" is 1'];
  const bit = (vmcs.read('EXCEPTION_BITMAP').low >>> vector) & 1;
  const selected = `bit ${vector} of EXCEPTION_BITMAP is ${bit}`;
  if (vector !== PAGE_FAULT) return [selected];
  const mask = vmcs.read('PAGE_FAULT_ERROR_CODE_MASK').low >>> 0;
  const match = vmcs.read('PAGE_FAULT_ERROR_CODE_MATCH').low >>> 0;
  const error = vmcs.read('VM_EXIT_INTR_ERROR_CODE').low >>> 0;
  const relation = (error & mask) >>> 0 === match ? 'equals' : 'differs from';
  const hex = (value: number) => `0x${value.toString(16)}`;
  return [
    selected,
    `error code ${hex(error)} under the mask ${hex(mask)} ${relation} the match ${hex(match)}`,
  ];
}

const CR_BITS = { 0: Cr0, 4: Cr4 } as const;
const MOV_TO_CR = 0;
const MOV_FROM_CR = 1;

function becauseOfControlRegister(
  vmcs: Vmcs,
  controls: readonly ExplainedControl[],
): readonly string[] {
  const qualification = vmcs.read('EXIT_QUALIFICATION').low;
  const number = qualification & 15;
  const type = (qualification >> 4) & 3;
  if (number === 3 || number === 8) {
    const verb = type === MOV_FROM_CR ? 'STORE' : 'LOAD';
    const control = controls.find(({ name }) => name === `CR${number}_${verb}_EXITING`);
    return control === undefined ? [] : [`"${control.title}" is ${control.isSet ? 1 : 0}`];
  }
  if (number !== 0 && number !== 4) return [];
  const mask = vmcs.read(`CR${number}_GUEST_HOST_MASK`);
  const shadow = vmcs.read(`CR${number}_READ_SHADOW`);
  const written = type === MOV_TO_CR ? sourceOf(vmcs, (qualification >> 8) & 15) : null;
  if (written === null) return [`a bit of CR${number} that the host owns would change`];
  const differing = written.xor(shadow).and(mask).low;
  const names = Object.entries(CR_BITS[number]).filter(([, bit]) => (differing & bit) !== 0);
  return names.map(([name, bit]) => {
    const value = (written.low & bit) === 0 ? 0 : 1;
    return (
      `CR${number}.${name} is the host's (guest/host mask 1), and ${value} was written ` +
      `where the guest reads ${1 - value}`
    );
  });
}

/** The general register that was the source, as it is now. */
function sourceOf(vmcs: Vmcs, register: number): Long {
  return vmcs.state.get64(2 * register);
}
