// The guest's CR0, CR4 and EFER.LMA, as opposed to what the processor runs with: VMX operation
// needs bits set that the guest does not see. Linux arch/x86/kvm/x86.c, kvm_set_cr0 and
// kvm_set_cr4, and vmx/vmx.c, vmx_set_cr0, vmx_set_cr4, vmx_set_efer, enter_lmode and exit_lmode.

import Long from 'long';
import {
  type ControlContext,
  Cr0,
  Cr4,
  controlContext,
  Efer,
  isControlValueLegal,
  loadPdptes,
  loadsPdptes,
  Rights,
  Word,
} from '../cpu/index.ts';
import { CR4_FIXED_1, EntryControl, fieldIndex, UNRESTRICTED_CR0_FIXED_1 } from '../vmx/index.ts';
import type { Vcpu } from './vcpu.ts';

const F = {
  ENTRY: fieldIndex('VM_ENTRY_CONTROLS'),
  EFER: fieldIndex('GUEST_IA32_EFER'),
  TR_RIGHTS: fieldIndex('GUEST_TR_AR_BYTES'),
} as const;

/** Bits of CR0 that exist; writes to the others are ignored, and ET is always 1. */
const CR0_BITS = Object.values(Cr0).reduce((bits, bit) => bits | bit, 0);

/** Caches are the host's business. */
const CR0_HOST_CLEAR = Cr0.NW | Cr0.CD;

/** The guest's CR0 or CR4. */
export function guestControl(vcpu: Vcpu, number: 0 | 4): Long {
  const { state } = vcpu.virtual.processor;
  return vcpu.virtual.readControl(number, state.get64(number === 0 ? Word.CR0 : Word.CR4));
}

function guestContext(vcpu: Vcpu): ControlContext {
  return {
    ...controlContext(vcpu.virtual.processor.state),
    cr0: guestControl(vcpu, 0).low,
    cr4: guestControl(vcpu, 4).low,
  };
}

/** Write the guest's CR0, with the change of mode that goes with it; false for #GP. */
export function writeGuestCr0(vcpu: Vcpu, value: Long): boolean {
  const now = guestContext(vcpu);
  if (!isControlValueLegal(0, value, now)) return false;
  const written = Long.fromInt((value.low & CR0_BITS) | Cr0.ET, true);
  if (!reloadPdptes(vcpu, 0, written, now)) return false;
  installCr0(vcpu, written);
  const isPaging = (written.low & Cr0.PG) !== 0;
  const toggles = ((written.low ^ now.cr0) & Cr0.PG) !== 0;
  if (toggles && (now.efer & Efer.LME) !== 0) setLongMode(vcpu, isPaging);
  return true;
}

/** Write the guest's CR4; false for #GP. VMX is not offered to guests. */
export function writeGuestCr4(vcpu: Vcpu, value: Long): boolean {
  const now = guestContext(vcpu);
  if ((value.low & Cr4.VMXE) !== 0 || !isControlValueLegal(4, value, now)) return false;
  if (!reloadPdptes(vcpu, 4, value, now)) return false;
  installCr4(vcpu, value);
  return true;
}

function reloadPdptes(vcpu: Vcpu, number: 0 | 4, value: Long, now: ControlContext): boolean {
  return !loadsPdptes(number, value, now) || loadPdptes(vcpu.virtual.processor, now.cr3.low);
}

function installCr0(vcpu: Vcpu, value: Long): void {
  const { vmcs } = vcpu.virtual;
  vmcs.write('CR0_READ_SHADOW', value);
  const real = value.and(Long.fromInt(~CR0_HOST_CLEAR)).or(UNRESTRICTED_CR0_FIXED_1);
  vmcs.write('GUEST_CR0', real);
}

function installCr4(vcpu: Vcpu, value: Long): void {
  const { vmcs } = vcpu.virtual;
  vmcs.write('CR4_READ_SHADOW', value);
  vmcs.write('GUEST_CR4', value.or(CR4_FIXED_1));
}

/** Busy 64-bit TSS, and busy 32-bit TSS outside IA-32e mode. */
const BUSY_TSS = 11;

/** The guest enters or leaves IA-32e mode. */
function setLongMode(vcpu: Vcpu, active: boolean): void {
  const { vmcs } = vcpu.virtual;
  if (active) {
    const rights = vmcs.get32(F.TR_RIGHTS);
    vmcs.set32(F.TR_RIGHTS, (rights & ~Rights.TYPE) | BUSY_TSS);
  }
  const efer = vmcs.get32(F.EFER);
  vmcs.set32(F.EFER, active ? efer | Efer.LMA : efer & ~Efer.LMA);
  followLongMode(vcpu);
}

/** "IA-32e mode guest" is what EFER.LMA says. */
function followLongMode(vcpu: Vcpu): void {
  const { vmcs } = vcpu.virtual;
  const controls = vmcs.get32(F.ENTRY) & ~EntryControl.IA32E_MODE;
  const isActive = (vmcs.get32(F.EFER) & Efer.LMA) !== 0;
  vmcs.set32(F.ENTRY, isActive ? controls | EntryControl.IA32E_MODE : controls);
}

/** The control registers and EFER in the processor's state are those that the guest is to have. */
export function adoptControlRegisters(vcpu: Vcpu): void {
  const { state } = vcpu.virtual.processor;
  installCr0(vcpu, state.get64(Word.CR0));
  installCr4(vcpu, state.get64(Word.CR4));
  followLongMode(vcpu);
}
