// From guest-physical to host-physical memory, and the exits on the way: EPT violations and
// misconfigurations, and accesses to the APIC-access page. SDM 3, "EPT Violations", "EPT
// Misconfigurations", "Virtualizing Memory-Mapped APIC Accesses".

import Long from 'long';
import {
  Access,
  type AccessKind,
  DEVICE,
  type Platform,
  Rflags,
  type TranslationPurpose,
  Word,
} from '../cpu/index.ts';
import { Secondary } from './controls.ts';
import { EptBit, type EptWalk, walkEpt } from './ept.ts';
import { Exit } from './exit-reasons.ts';
import { fieldIndex } from './fields.ts';
import {
  apicAccessQualification,
  isApicAccess,
  mayBeVirtualized,
  REGISTER_BYTES,
  virtualTaskPriority,
  writeTaskPriority,
} from './virtual-apic.ts';
import type { VirtualProcessor } from './virtual-processor.ts';

const EPT_POINTER = fieldIndex('EPT_POINTER');
const LINEAR_VALID = 1 << 7;
const PAGE_BYTES = 4096;

const NEEDED_RIGHTS: Readonly<Record<AccessKind, number>> = {
  [Access.READ]: EptBit.READ,
  [Access.WRITE]: EptBit.WRITE,
  [Access.EXECUTE]: EptBit.EXECUTE,
};

/** As `Virtualization.translate`. */
export function translateOrExit(
  owner: VirtualProcessor,
  gpa: number,
  access: AccessKind,
  purpose: TranslationPurpose,
  linearLow: number,
  linearHigh: number,
): number {
  const { memory, vmcs } = owner;
  const controls = owner.secondary;
  let hpa = gpa;
  if ((controls & Secondary.ENABLE_EPT) !== 0) {
    const pointer = vmcs.address(EPT_POINTER);
    const root = pointer - (pointer % PAGE_BYTES);
    const walk = walkEpt(memory, root, gpa, NEEDED_RIGHTS[access]);
    if (walk.kind !== 'mapped') {
      return exitForEpt(owner, walk, gpa, access, purpose, Long.fromBits(linearLow, linearHigh));
    }
    hpa = walk.hpa;
  } else if (gpa >= memory.sizeBytes) hpa = DEVICE;
  const isApic = (controls & Secondary.VIRTUALIZE_APIC_ACCESSES) !== 0 && isApicAccess(owner, hpa);
  return isApic ? accessApic(owner, gpa, access, purpose) : hpa;
}

function exitForEpt(
  owner: VirtualProcessor,
  walk: Exclude<EptWalk, { kind: 'mapped' }>,
  gpa: number,
  access: AccessKind,
  purpose: TranslationPurpose,
  linear: Long,
): never {
  setResumeFlag(owner);
  if (walk.kind === 'misconfiguration') {
    owner.exit(Exit.EPT_MISCONFIG, { guestPhysicalAddress: gpa });
  }
  const isFinal = purpose === 'final' ? 1 << 8 : 0;
  // PDPTEs are loaded for no linear address.
  const isLinear = purpose === 'pdptes' ? 0 : LINEAR_VALID;
  const qualification =
    (1 << access) | (walk.rights << 3) | isLinear | isFinal | owner.nmiUnblocking;
  return owner.exit(Exit.EPT_VIOLATION, {
    qualification: Long.fromInt(qualification),
    guestPhysicalAddress: gpa,
    guestLinearAddress: linear,
  });
}

/** As a fault would push it; during delivery RF is already as the push would have had it. */
function setResumeFlag({ processor }: VirtualProcessor): void {
  if (processor.delivering === null) processor.state.words[Word.RFLAGS] |= Rflags.RF;
}

/** A device, which is the virtual-APIC page, or the exit. */
function accessApic(
  owner: VirtualProcessor,
  gpa: number,
  access: AccessKind,
  purpose: TranslationPurpose,
): number {
  const isLinear = purpose === 'final';
  if (!isLinear || !mayBeVirtualized(owner, gpa % PAGE_BYTES, access)) {
    return exitForApicAccess(owner, gpa, access, isLinear);
  }
  owner.virtualizedGpa = gpa;
  return DEVICE;
}

/** @param isLinear it is the access itself, not one to a paging structure on the way to it */
export function exitForApicAccess(
  owner: VirtualProcessor,
  gpa: number,
  access: AccessKind,
  isLinear = true,
): never {
  const { delivering, evaluator } = owner.processor;
  const isDelivery = delivering !== null;
  setResumeFlag(owner);
  const offset = gpa % PAGE_BYTES;
  const qualification = apicAccessQualification(offset, access, isLinear, isDelivery);
  const isOfInstruction = isLinear && !isDelivery && access !== Access.EXECUTE;
  return owner.exit(Exit.APIC_ACCESS, {
    qualification: Long.fromInt(qualification),
    instructionLengthBytes: isOfInstruction ? evaluator.instruction.lengthBytes : 0,
  });
}

/** A board behind the virtual-APIC page. */
export function behindVirtualApic(owner: VirtualProcessor, board: Platform): Platform {
  const isOwn = (gpa: number, lengthBytes: number, access: AccessKind) => {
    if (gpa !== owner.virtualizedGpa) return false;
    if (lengthBytes > REGISTER_BYTES) exitForApicAccess(owner, gpa, access);
    return true;
  };
  return {
    ...board,
    deviceRead: (gpa, lengthBytes) => {
      if (!isOwn(gpa, lengthBytes, Access.READ)) return board.deviceRead(gpa, lengthBytes);
      return Long.fromInt(virtualTaskPriority(owner), true);
    },
    deviceWrite: (gpa, lengthBytes, value) => {
      if (!isOwn(gpa, lengthBytes, Access.WRITE)) board.deviceWrite(gpa, lengthBytes, value);
      else if (writeTaskPriority(owner, value.low)) owner.taskPriorityFell();
    },
  };
}
