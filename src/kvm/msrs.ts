// MSRs as the guest sees them after an exit. Linux arch/x86/kvm/x86.c, kvm_get_msr_common and
// kvm_set_msr_common. Those that are the processor's own are left to it.

import Long from 'long';
import { Msr, readMsr, writeMsr } from '../cpu/index.ts';
import type { Pcpu } from '../host/index.ts';
import { readApicBase, readX2apic, writeApicBase, writeX2apic } from './apic-access.ts';
import { updateClock } from './pv-clock.ts';
import { isPvMsr, readPvMsr, writePvMsr } from './pv-msrs.ts';
import type { Vcpu } from './vcpu.ts';

const isX2apicMsr = (index: number) => index >= Msr.X2APIC_FIRST && index <= Msr.X2APIC_LAST;

/** FAST_STRINGS; the rest as KVM reports it. */
const MISC_ENABLE_VALUE = Long.fromInt(1);

/** The value, or null for #GP. */
export function readGuestMsr(vcpu: Vcpu, index: number, pcpu: Pcpu): Long | null {
  if (isX2apicMsr(index)) return vcpu.vm.hasIrqchip ? readX2apic(vcpu, index, pcpu) : null;
  if (isPvMsr(index)) return readPvMsr(vcpu, index);
  switch (index) {
    case Msr.TSC:
      return vcpu.guestTsc(pcpu.now);
    case Msr.TSC_ADJUST:
      return vcpu.virtual.processor.state.get('tscAdjust');
    case Msr.APIC_BASE:
      return readApicBase(vcpu);
    case Msr.TSC_DEADLINE:
      return vcpu.vm.hasIrqchip ? vcpu.timer.readDeadline() : Long.ZERO;
    case Msr.MISC_ENABLE:
      return MISC_ENABLE_VALUE;
    default:
      return readMsr(vcpu.virtual.processor, index);
  }
}

/** False for #GP. */
export function writeGuestMsr(vcpu: Vcpu, index: number, value: Long, pcpu: Pcpu): boolean {
  if (isX2apicMsr(index)) return vcpu.vm.hasIrqchip && writeX2apic(vcpu, index, value, pcpu);
  if (isPvMsr(index)) return writePvMsr(vcpu, index, value, pcpu);
  switch (index) {
    case Msr.TSC:
      shiftTsc(vcpu, value.sub(vcpu.guestTsc(pcpu.now)), pcpu);
      return true;
    case Msr.TSC_ADJUST:
      shiftTsc(vcpu, value.sub(vcpu.virtual.processor.state.get('tscAdjust')), pcpu);
      return true;
    case Msr.APIC_BASE:
      return writeApicBase(vcpu, value, pcpu);
    case Msr.TSC_DEADLINE:
      if (vcpu.vm.hasIrqchip) vcpu.timer.writeDeadline(value, pcpu);
      return true;
    case Msr.MISC_ENABLE:
      return true;
    default:
      return writeMsr(vcpu.virtual.processor, index, value);
  }
}

/**
 * A write to the TSC or to TSC_ADJUST moves both; here it is the offset that moves, and with it
 * what was said in terms of the old TSC. Linux arch/x86/kvm/x86.c, adjust_tsc_offset_guest.
 * Deviation: which leaves a deadline aimed at where it was with the old TSC.
 */
function shiftTsc(vcpu: Vcpu, delta: Long, pcpu: Pcpu): void {
  moveTsc(vcpu, delta, pcpu);
  const { state } = vcpu.virtual.processor;
  state.set('tscAdjust', state.get('tscAdjust').add(delta));
}

/** The host gives a guest another TSC offset, from host context: TSC_ADJUST does not tell. */
export function moveTsc(vcpu: Vcpu, delta: Long, pcpu: Pcpu): void {
  const { vmcs } = vcpu.virtual;
  const previous = vmcs.read('TSC_OFFSET').toUnsigned();
  const next = previous.add(delta);
  vmcs.write('TSC_OFFSET', next);
  if (pcpu.traced) pcpu.trace('kvm_write_tsc_offset', { vcpu: vcpu.index, previous, next });
  vcpu.timer.tscMoved(delta, pcpu);
  updateClock(vcpu, pcpu);
}
