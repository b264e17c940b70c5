// End of interrupt without an exit: where the host need not hear of it, a bit in guest memory says
// so, and the guest clears it instead of writing to its APIC. Linux
// Documentation/virt/kvm/x86/msr.rst, and arch/x86/kvm/lapic.c, apic_sync_pv_eoi_to_guest and
// apic_sync_pv_eoi_from_guest.

import Long from 'long';
import type { Pcpu } from '../host/index.ts';
import { endInterrupt } from './apic-access.ts';
import type { Vcpu } from './vcpu.ts';

const ENABLED = 1;
const PENDING = 1;

/** WRMSR of the MSR; false for #GP: the word must be aligned, and in RAM if it is to be used. */
export function writePvEoi(vcpu: Vcpu, value: Long): boolean {
  const isEnabled = (value.low & ENABLED) !== 0;
  if ((value.low & 2) !== 0) return false;
  const gpa = Long.fromBits(value.low & ~ENABLED, value.high, true);
  if (isEnabled && vcpu.vm.guestRam(gpa, 4) === null) return false;
  vcpu.state.pv.eoi = { low: value.low, high: value.high };
  return true;
}

function addressOf(vcpu: Vcpu): Long | null {
  const { low, high } = vcpu.state.pv.eoi;
  return (low & ENABLED) === 0 ? null : Long.fromBits(low & ~ENABLED, high, true);
}

/** Before an entry: may the guest end the interrupt that it handles by itself? */
export function offerPvEoi(vcpu: Vcpu): void {
  const { lapic, vm } = vcpu;
  const gpa = addressOf(vcpu);
  if (gpa === null || lapic.requestedVector >= 0) return;
  const vector = lapic.state.knownInService;
  if (vector < 0 || vm.irqchip?.ioapic.handlesVector(vector) === true) return;
  vm.writeGuestRam(gpa, Uint8Array.of(PENDING));
  vcpu.state.pv.eoiOffered = true;
}

/** After an exit: has it done so? */
export function takePvEoi(vcpu: Vcpu, pcpu: Pcpu): void {
  const { vm, state } = vcpu;
  state.pv.eoiOffered = false;
  const gpa = addressOf(vcpu);
  const word = gpa === null ? null : vm.guestRam(gpa, 1);
  if (gpa === null || word === null) return;
  const isPending = (word.getUint8(0) & PENDING) !== 0;
  if (isPending) {
    vm.writeGuestRam(gpa, Uint8Array.of(word.getUint8(0) & ~PENDING));
    return;
  }
  const vector = endInterrupt(vcpu, pcpu);
  if (pcpu.traced) pcpu.trace('kvm_pv_eoi', { apicId: vcpu.lapic.id, vector });
}
