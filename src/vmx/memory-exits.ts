// From guest-physical to host-physical memory, and the exits on the way: EPT violations and
// misconfigurations, and accesses to the APIC-access page. SDM 3, "EPT Violations", "EPT
// Misconfigurations", "Virtualizing Memory-Mapped APIC Accesses".

import Long from 'long';
import {
  Access,
  type AccessKind,
  DEVICE,
  OWNER_STOP,
  type Platform,
  Rflags,
  STOPPED,
  type TranslationPurpose,
  Word,
} from '../cpu/index.ts';
import { Secondary } from './controls.ts';
import { EptBit, type EptWalk, walkEpt } from './ept.ts';
import { recordExit, recordExitWith } from './exit-information.ts';
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

/**
 * As `Virtualization.translate`. What records returns: V8 never compiles a function that does not,
 * and does not even remember how it looked up its fields.
 */
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
    const walk = walkEpt(memory, pointer - offsetInPage(pointer), gpa, NEEDED_RIGHTS[access]);
    if (walk.kind !== 'mapped') {
      recordEptExit(owner, walk, gpa, access, purpose, Long.fromBits(linearLow, linearHigh));
      return stop(owner, purpose);
    }
    hpa = walk.hpa;
  } else if (gpa >= memory.sizeBytes) hpa = DEVICE;
  if ((controls & Secondary.VIRTUALIZE_APIC_ACCESSES) === 0 || !isApicAccess(owner, hpa)) {
    return hpa;
  }
  const isLinear = purpose === 'final';
  if (isLinear && mayBeVirtualized(owner, offsetInPage(gpa), access)) {
    // A device, which is the virtual-APIC page.
    owner.virtualizedGpa = gpa;
    return DEVICE;
  }
  recordApicAccess(owner, gpa, access, isLinear);
  return stop(owner, purpose);
}

/** After an exit was recorded. */
function stop({ processor }: VirtualProcessor, purpose: TranslationPurpose): number {
  if (purpose === 'final' && processor.evaluator.canBeStopped) return STOPPED;
  throw OWNER_STOP;
}

const offsetInPage = (address: number) => address & (PAGE_BYTES - 1);

function recordEptExit(
  owner: VirtualProcessor,
  walk: Exclude<EptWalk, { kind: 'mapped' }>,
  gpa: number,
  access: AccessKind,
  purpose: TranslationPurpose,
  linear: Long,
): void {
  setResumeFlag(owner);
  if (walk.kind === 'misconfiguration') {
    recordExitWith(owner, Exit.EPT_MISCONFIG, { guestPhysicalAddress: gpa });
    return;
  }
  const isFinal = purpose === 'final' ? 1 << 8 : 0;
  // PDPTEs are loaded for no linear address.
  const isLinear = purpose === 'pdptes' ? 0 : LINEAR_VALID;
  const qualification =
    (1 << access) | (walk.rights << 3) | isLinear | isFinal | owner.nmiUnblocking;
  recordExitWith(owner, Exit.EPT_VIOLATION, {
    qualification: Long.fromInt(qualification),
    guestPhysicalAddress: gpa,
    guestLinearAddress: linear,
  });
}

/** As a fault would push it; during delivery RF is already as the push would have had it. */
function setResumeFlag({ processor }: VirtualProcessor): void {
  if (processor.delivering === null) processor.state.words[Word.RFLAGS] |= Rflags.RF;
}

/** @param isLinear it is the access itself, not one to a paging structure on the way to it */
function recordApicAccess(
  owner: VirtualProcessor,
  gpa: number,
  access: AccessKind,
  isLinear: boolean,
): void {
  const { delivering, evaluator } = owner.processor;
  const isDelivery = delivering !== null;
  setResumeFlag(owner);
  const offset = offsetInPage(gpa);
  const isOfInstruction = isLinear && !isDelivery && access !== Access.EXECUTE;
  recordExit(
    owner,
    Exit.APIC_ACCESS,
    isOfInstruction ? evaluator.instruction.lengthBytes : 0,
    apicAccessQualification(offset, access, isLinear, isDelivery),
  );
}

/** A board behind the virtual-APIC page. */
export function behindVirtualApic(owner: VirtualProcessor, board: Platform): Platform {
  const isOwn = (gpa: number, lengthBytes: number, access: AccessKind) => {
    if (gpa !== owner.virtualizedGpa) return false;
    if (lengthBytes <= REGISTER_BYTES) return true;
    recordApicAccess(owner, gpa, access, true);
    throw OWNER_STOP;
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
