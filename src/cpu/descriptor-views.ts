// What LAR, LSL, VERR and VERW may look at. SDM 3, "Pointer Validation", and the tables of types on
// the pages of LAR and LSL in SDM 2.

import type { SegmentLook } from '../isa/index.ts';
import {
  type Descriptor,
  dplOf,
  findDescriptor,
  isCode,
  isConforming,
  isSystem,
  SystemType,
} from './descriptors.ts';
import { isIa32e } from './mode.ts';
import type { Processor } from './processor.ts';
import { SegmentType } from './segmentation.ts';
import { Rights } from './state.ts';

/** Types with a limit. */
const SIZED = [SystemType.LDT, SystemType.AVAILABLE_TSS, SystemType.BUSY_TSS] as const;
const NARROW_TSS = [SystemType.AVAILABLE_TSS_16, SystemType.BUSY_TSS_16] as const;
const NARROW_OR_TASK_GATE = [SystemType.CALL_GATE_16, SystemType.TASK_GATE] as const;

const IN_IA32E = {
  accessRights: [...SIZED, SystemType.CALL_GATE],
  segmentLimit: SIZED,
} as const;

const IN_PROTECTED_MODE = {
  accessRights: [...IN_IA32E.accessRights, ...NARROW_TSS, ...NARROW_OR_TASK_GATE],
  segmentLimit: [...SIZED, ...NARROW_TSS],
} as const;

/** The descriptor, if the program may look at it in that way; else null. Never faults by itself. */
export function visibleDescriptor(
  processor: Processor,
  selector: number,
  look: SegmentLook,
): Descriptor | null {
  if ((selector & 0xfffc) === 0) return null;
  const descriptor = findDescriptor(processor, selector);
  if (descriptor === null) return null;
  const { rights } = descriptor;
  if (isSystem(rights)) {
    if (look === 'read' || look === 'write') return null;
    const types = isIa32e(processor.mode) ? IN_IA32E[look] : IN_PROTECTED_MODE[look];
    if (!types.some((type) => type === (rights & Rights.TYPE))) return null;
  } else {
    if (look === 'read' && isCode(rights) && (rights & SegmentType.READABLE) === 0) return null;
    const isWritable = !isCode(rights) && (rights & SegmentType.WRITABLE) !== 0;
    if (look === 'write' && !isWritable) return null;
    if (isConforming(rights)) return descriptor;
  }
  const asked = Math.max(processor.state.cpl, selector & 3);
  return dplOf(rights) >= asked ? descriptor : null;
}
