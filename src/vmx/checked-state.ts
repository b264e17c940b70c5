// What the checks that are made at every entry read, as it was when they held last: while nothing
// of it has changed they hold again. Guests exit to hosts that change little but RIP, so nearly
// every entry is spared some twenty checks.

import { Rflags } from '../cpu/index.ts';
import { isVirtual8086Guest } from './check.ts';
import { FIELDS, type FieldName, fieldIndex } from './fields.ts';
import { VIRTUAL_8086_CHECKS } from './guest-segment-checks.ts';
import { EVERY_ENTRY_CHECKS } from './guest-state-checks.ts';
import { halfOf, type Vmcs } from './vmcs.ts';

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

/** Their halves, and which bits of each are read. */
const HALVES = READ.flatMap((name) => {
  const index = fieldIndex(name);
  const low = { half: halfOf(index, 'low'), mask: ~(UNREAD[name] ?? 0) };
  const high = { half: halfOf(index, 'high'), mask: -1 };
  return FIELDS[index].width === 64 ? [low, high] : [low];
}).filter(({ mask }) => mask !== 0);
const PLACES = Int32Array.from(HALVES, ({ half }) => half);
const MASKS = Int32Array.from(HALVES, ({ mask }) => mask);

export class CheckedState {
  private isKnown = false;
  private readonly noted = new Int32Array(PLACES.length);

  /** Whether all that the checks read is as it was when {@link remember} was called last. */
  isAsRemembered(vmcs: Vmcs): boolean {
    return this.isKnown && vmcs.isAsNoted(PLACES, MASKS, this.noted);
  }

  /** The checks hold. In virtual-8086 mode they read the segment registers too: nothing is kept. */
  remember(vmcs: Vmcs): void {
    this.isKnown = !isVirtual8086Guest(vmcs);
    vmcs.note(PLACES, this.noted);
  }
}
