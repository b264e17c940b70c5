// VM entries that fail because a field of the VMCS is invalid just then. KVM gives up on them:
// KVM_EXIT_FAIL_ENTRY. Linux arch/x86/kvm/vmx/vmx.c, vmx_handle_exit.

import Long from 'long';
import type { Vcpu } from '../../kvm/index.ts';
import type { FieldName } from '../../vmx/index.ts';
import type { Fault } from './catalogue.ts';

/** SDM 3, "Checks on Guest Non-Register State": activity states are 0 to 3. */
const FIELD = 'GUEST_ACTIVITY_STATE';
const VALUE = '7';

interface Failure {
  readonly field: string;
  readonly value: string;
  /** What the field holds else, once it has been made invalid; else null. */
  readonly valid: { readonly low: number; readonly high: number } | null;
}

/** By vCPU; plain data. */
export type EntryFailuresState = Readonly<Record<string, Failure>>;

export class EntryFailures {
  state: EntryFailuresState = {};

  /** The next entry of a vCPU, at which it looks at its events, is to fail. */
  request(vcpu: Vcpu, { field, value }: Fault): void {
    this.restore(vcpu);
    const failure = { field: field || FIELD, value: value || VALUE, valid: null };
    this.state = { ...this.state, [keyOf(vcpu)]: failure };
    vcpu.requestEvent();
  }

  beforeEntry(vcpu: Vcpu): void {
    const key = keyOf(vcpu);
    const failure = this.state[key];
    if (failure === undefined) return;
    if (failure.valid !== null) {
      this.restore(vcpu);
      return;
    }
    const { vmcs } = vcpu.virtual;
    const name = failure.field as FieldName;
    const { low, high } = vmcs.read(name);
    this.state = { ...this.state, [key]: { ...failure, valid: { low, high } } };
    vmcs.write(name, longOf(failure.value));
  }

  /** An entry has failed: the field is what it was, for whoever looks or tries again. */
  restore(vcpu: Vcpu): void {
    const key = keyOf(vcpu);
    const { [key]: failure, ...rest } = this.state;
    if (failure === undefined) return;
    this.state = rest;
    if (failure.valid === null) return;
    const { low, high } = failure.valid;
    vcpu.virtual.vmcs.write(failure.field as FieldName, Long.fromBits(low, high, true));
  }
}

function keyOf({ vm, index }: Vcpu): string {
  return `${vm.id} ${index}`;
}

function longOf(text: string): Long {
  const isHex = /^0x/i.test(text);
  return Long.fromString(isHex ? text.slice(2) : text, true, isHex ? 16 : 10);
}
