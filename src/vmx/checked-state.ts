// What the checks that are made at every entry read, as it was when they held last: while nothing
// of it has changed they hold again. Guests exit to hosts that change little but RIP, so nearly
// every entry is spared some twenty checks.

import { Rflags } from '../cpu/index.ts';
import { isVirtual8086Guest } from './check.ts';
import { FIELDS, type FieldName, fieldIndex } from './fields.ts';
import { VIRTUAL_8086_CHECKS } from './guest-segment-checks.ts';
import { EVERY_ENTRY_CHECKS } from './guest-state-checks.ts';
import type { Vmcs } from './vmcs.ts';

/** Bits of the low half of a field that no check reads, although it reads others. */
const UNREAD: Partial<Readonly<Record<FieldName, number>>> = {
  GUEST_RIP: -1,
  GUEST_RFLAGS: Rflags.CF | Rflags.PF | Rflags.AF | Rflags.ZF | Rflags.SF | Rflags.DF | Rflags.OF,
};

/** The fields that the checks read of guests outside virtual-8086 mode. */
const READ: readonly FieldName[] = [
  ...new Set(
    EVERY_ENTRY_CHECKS.filter((check) => !VIRTUAL_8086_CHECKS.includes(check)).flatMap(
      ({ fields }) => fields,
    ),
  ),
];

const LOW_FIELDS = READ.filter((name) => UNREAD[name] !== -1);
const LOW = Int32Array.from(LOW_FIELDS, fieldIndex);
const LOW_MASKS = Int32Array.from(LOW_FIELDS, (name) => ~(UNREAD[name] ?? 0));
const HIGH = Int32Array.from(READ.map(fieldIndex).filter((index) => FIELDS[index].width === 64));

export class CheckedState {
  private isKnown = false;
  private readonly low = new Int32Array(LOW.length);
  private readonly high = new Int32Array(HIGH.length);

  /** Whether all that the checks read is as it was when {@link remember} was called last. */
  isAsRemembered(vmcs: Vmcs): boolean {
    if (!this.isKnown) return false;
    for (let i = 0; i < LOW.length; i++) {
      if ((vmcs.get32(LOW[i]) & LOW_MASKS[i]) !== this.low[i]) return false;
    }
    for (let i = 0; i < HIGH.length; i++) {
      if (vmcs.getHigh(HIGH[i]) !== this.high[i]) return false;
    }
    return true;
  }

  /** The checks hold. In virtual-8086 mode they read the segment registers too: nothing is kept. */
  remember(vmcs: Vmcs): void {
    this.isKnown = !isVirtual8086Guest(vmcs);
    for (let i = 0; i < LOW.length; i++) this.low[i] = vmcs.get32(LOW[i]) & LOW_MASKS[i];
    for (let i = 0; i < HIGH.length; i++) this.high[i] = vmcs.getHigh(HIGH[i]);
  }
}
