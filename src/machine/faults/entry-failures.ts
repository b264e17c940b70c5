// VM entries that fail because a field of the VMCS is invalid just then, or an MSR of the list of
// those to load cannot be. KVM gives up on them: KVM_EXIT_FAIL_ENTRY with exit reason 33 or 34, or
// a VM-instruction error. Linux arch/x86/kvm/vmx/vmx.c, __vmx_handle_exit.

import Long from 'long';
import type { Vcpu } from '../../kvm/index.ts';
import type { FieldName } from '../../vmx/index.ts';
import type { Fault } from './catalogue.ts';

/** SDM 3, "Checks on Guest Non-Register State": activity states are 0 to 3. */
const FIELD = 'GUEST_ACTIVITY_STATE';
const VALUE = '7';

/**
 * A list of one MSR where there is no memory: reads find ones there, and the reserved bits of an
 * entry must be zero. SDM 3, "Loading MSRs".
 */
const LIST: readonly Written[] = [
  { field: 'VM_ENTRY_MSR_LOAD_ADDR', value: '0xffff0000' },
  { field: 'VM_ENTRY_MSR_LOAD_COUNT', value: '1' },
];

/** A field, and its value for one entry. */
interface Written {
  readonly field: string;
  readonly value: string;
}

interface Failure {
  readonly written: readonly Written[];
  /** What the fields hold else, in that order, once they have been written; else null. */
  readonly valid: readonly { readonly low: number; readonly high: number }[] | null;
}

/** By vCPU; plain data. */
export type EntryFailuresState = Readonly<Record<string, Failure>>;

export class EntryFailures {
  state: EntryFailuresState = {};

  /** The next entry of a vCPU, at which it looks at its events, is to fail. */
  request(vcpu: Vcpu, { fault, field, value }: Fault): void {
    this.restore(vcpu);
    const given = [{ field: field || FIELD, value: value || VALUE }];
    const failure = { written: fault === 'fail-msr-load' ? LIST : given, valid: null };
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
    const valid = failure.written.map(({ field }) => {
      const { low, high } = vmcs.read(field as FieldName);
      return { low, high };
    });
    this.state = { ...this.state, [key]: { ...failure, valid } };
    for (const { field, value } of failure.written) vmcs.write(field as FieldName, longOf(value));
  }

  /** An entry has failed: the fields are what they were, for whoever looks or tries again. */
  restore(vcpu: Vcpu): void {
    const key = keyOf(vcpu);
    const { [key]: failure, ...rest } = this.state;
    if (failure === undefined) return;
    this.state = rest;
    failure.valid?.forEach(({ low, high }, i) => {
      const field = failure.written[i].field as FieldName;
      vcpu.virtual.vmcs.write(field, Long.fromBits(low, high, true));
    });
  }
}

function keyOf({ vm, index }: Vcpu): string {
  return `${vm.id} ${index}`;
}

function longOf(text: string): Long {
  const isHex = /^0x/i.test(text);
  return Long.fromString(isHex ? text.slice(2) : text, true, isHex ? 16 : 10);
}
