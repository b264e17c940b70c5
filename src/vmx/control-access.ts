// What MOV to and from CR0, CR4 and CR8 do that do not exit. SDM 3, "CR0/CR4 guest/host masks and
// read shadows", "Changes to Instruction Behavior in VMX Non-Root Operation", "Virtualizing
// CR8-Based TPR Accesses".

import Long from 'long';
import { GuestFault, Vector } from '../cpu/index.ts';
import { Secondary } from './controls.ts';
import { fieldIndex } from './fields.ts';
import { CR0_FIXED_1, CR4_FIXED_1, UNRESTRICTED_CR0_FIXED_1 } from './fixed-bits.ts';
import { hasTprShadow, virtualTaskPriority, writeTaskPriority } from './virtual-apic.ts';
import type { VirtualProcessor } from './virtual-processor.ts';

const CR0 = { mask: fieldIndex('CR0_GUEST_HOST_MASK'), shadow: fieldIndex('CR0_READ_SHADOW') };
const CR4 = { mask: fieldIndex('CR4_GUEST_HOST_MASK'), shadow: fieldIndex('CR4_READ_SHADOW') };

/** Host-owned bits read as the shadow; CR8 as the task priority of the virtual APIC. */
export function readGuestControl(owner: VirtualProcessor, number: number, real: Long): Long {
  if (number === 8) {
    return hasTprShadow(owner) ? Long.fromInt(virtualTaskPriority(owner) >> 4) : real;
  }
  const fields = number === 0 ? CR0 : CR4;
  const mask = owner.vmcs.get64(fields.mask);
  return owner.vmcs.get64(fields.shadow).and(mask).or(real.and(mask.not()));
}

/**
 * What becomes of the register: host-owned bits keep their value; clearing a bit that VMX operation
 * fixes to 1 faults.
 */
export function writeGuestControl(
  owner: VirtualProcessor,
  number: number,
  real: Long,
  written: Long,
): Long {
  if (number === 8) {
    if (!hasTprShadow(owner)) return written;
    if (writeTaskPriority(owner, written.low << 4)) owner.taskPriorityFell();
    return real;
  }
  const mask = owner.vmcs.get64((number === 0 ? CR0 : CR4).mask);
  const fixed = number === 0 ? fixedCr0(owner) : CR4_FIXED_1;
  const result = real.and(mask).or(written.and(mask.not()));
  if ((result.low & fixed) !== fixed) throw new GuestFault(Vector.GP, 0);
  return result;
}

function fixedCr0(owner: VirtualProcessor): number {
  const isFree = (owner.secondary & Secondary.UNRESTRICTED_GUEST) !== 0;
  return isFree ? UNRESTRICTED_CR0_FIXED_1 : CR0_FIXED_1;
}
