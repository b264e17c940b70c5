// Message-signalled interrupts. SDM 3, "Message Signalled Interrupts"; Linux
// arch/x86/kvm/irq_comm.c, kvm_set_msi_irq and kvm_set_msi.

import { DELIVERY_MODES } from '../trace/index.ts';
import { sendMessage } from './apic-ipi.ts';
import type { Vm } from './vm.ts';

const ADDRESS_PREFIX = 0xfee;
const LOGICAL = 1 << 2;
const ASSERT = 1 << 14;
const LEVEL = 1 << 15;

/** Deliver a message to the local APICs that its address names; false if none takes it. */
export function deliverMessage(
  vm: Vm,
  addressLo: number,
  addressHi: number,
  data: number,
): boolean {
  if (addressLo >>> 20 !== ADDRESS_PREFIX) return false;
  // Above 255 vCPUs the rest of the destination would be in the high half.
  const destination = ((addressLo >>> 12) & 0xff) | (addressHi & 0xffffff00);
  return sendMessage(vm, {
    vector: data & 0xff,
    mode: DELIVERY_MODES[(data >> 8) & 7],
    logical: (addressLo & LOGICAL) !== 0,
    assert: (data & ASSERT) !== 0,
    levelTriggered: (data & LEVEL) !== 0,
    shorthand: 'dst',
    destination,
  });
}
