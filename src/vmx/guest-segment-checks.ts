// Checks on guest segment and descriptor-table registers. SDM 3, "Checks on the Guest-State Area".
// What SS and CS may be depends on whether the guest is unrestricted; in virtual-8086 mode other
// rules hold, which are checked at every entry because RFLAGS says whether they do.

import type Long from 'long';
import { Cr0, isCanonical, Rights } from '../cpu/index.ts';
import {
  check,
  csRights,
  type EntryCheck,
  guestCr0,
  implies,
  isLongModeGuest,
  isUnrestricted,
  isVirtual8086Guest,
  ssRights,
} from './check.ts';
import type { FieldName } from './fields.ts';
import type { Vmcs } from './vmcs.ts';

const SECTION = 'Checks on Guest Segment Registers';

const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'] as const;

type Segment = (typeof SEGMENTS)[number];

const rightsField = (segment: Segment) => `GUEST_${segment}_AR_BYTES` as const;
const isUsable = (rights: number) => (rights & Rights.UNUSABLE) === 0;
const dplOf = (rights: number) => (rights >> Rights.DPL_SHIFT) & 3;

/**
 * A check of a segment's access rights; for all but CS it is made only if the segment is usable.
 */
function ofUsable(
  segment: Segment,
  rule: string,
  holds: (rights: number, vmcs: Vmcs) => boolean,
  others: readonly FieldName[] = [],
): EntryCheck {
  const name = rightsField(segment);
  return check('guest', SECTION, rule, [name, ...others], (v) => {
    const rights = v.read(name).low;
    if (isVirtual8086Guest(v) && segment !== 'LDTR' && segment !== 'TR') return true;
    return implies(segment === 'CS' || isUsable(rights), holds(rights, v));
  });
}

/** Accessed writable data that expand up, as real mode has them. */
const isDataType = (rights: number) => (rights & 15) === 3;

/** Present, and a code or data segment. */
const isPresentSegment = (rights: number) => (rights & 0x90) === 0x90;

const SELECTOR_CHECKS: readonly EntryCheck[] = [
  check(
    'guest',
    SECTION,
    'TI of TR is 0',
    ['GUEST_TR_SELECTOR'],
    (v) => (v.read('GUEST_TR_SELECTOR').low & 4) === 0,
  ),
  ofUsable(
    'LDTR',
    'TI of LDTR is 0 if usable',
    (_rights, v) => (v.read('GUEST_LDTR_SELECTOR').low & 4) === 0,
    ['GUEST_LDTR_SELECTOR'],
  ),
  check(
    'guest',
    SECTION,
    'the RPLs of SS and CS are equal, and that of SS is its DPL, but with "unrestricted guest"',
    ['GUEST_SS_SELECTOR', 'GUEST_CS_SELECTOR', 'GUEST_SS_AR_BYTES', 'SECONDARY_VM_EXEC_CONTROL'],
    (v) => {
      if (isUnrestricted(v) || isVirtual8086Guest(v)) return true;
      const ss = v.read('GUEST_SS_SELECTOR').low & 3;
      return ss === (v.read('GUEST_CS_SELECTOR').low & 3) && ss === dplOf(ssRights(v));
    },
  ),
];

const TYPE_CHECKS: readonly EntryCheck[] = [
  ofUsable(
    'CS',
    'CS is present code, or with "unrestricted guest" present accessed writable data',
    (rights, v) => {
      const isCode = [9, 11, 13, 15].includes(rights & 15);
      return (isCode || (isUnrestricted(v) && isDataType(rights))) && isPresentSegment(rights);
    },
    ['SECONDARY_VM_EXEC_CONTROL'],
  ),
  ofUsable(
    'CS',
    'CS does not have both L and D in IA-32e mode',
    (rights, v) =>
      implies(isLongModeGuest(v) && (rights & Rights.L) !== 0, (rights & Rights.DB) === 0),
    ['VM_ENTRY_CONTROLS'],
  ),
  check(
    'guest',
    SECTION,
    'the DPL of CS equals that of SS, or is lower if CS is conforming, or is 0 if CS is data',
    ['GUEST_CS_AR_BYTES', 'GUEST_SS_AR_BYTES'],
    (v) => {
      if (isVirtual8086Guest(v)) return true;
      if (isDataType(csRights(v))) return dplOf(csRights(v)) === 0;
      const cs = dplOf(csRights(v));
      const ss = dplOf(ssRights(v));
      return (csRights(v) & 15) >= 13 ? cs <= ss : cs === ss;
    },
  ),
  check(
    'guest',
    SECTION,
    'the DPL of SS is 0 if CS is data, and in real mode',
    ['GUEST_CS_AR_BYTES', 'GUEST_SS_AR_BYTES', 'GUEST_CR0'],
    (v) => {
      const mustBe0 = isDataType(csRights(v)) || (guestCr0(v) & Cr0.PE) === 0;
      return implies(mustBe0 && !isVirtual8086Guest(v), dplOf(ssRights(v)) === 0);
    },
  ),
  ofUsable(
    'SS',
    'SS is present writable data if usable',
    (rights) => [3, 7].includes(rights & 15) && isPresentSegment(rights),
  ),
  ...(['ES', 'DS', 'FS', 'GS'] as const).flatMap((segment) => [
    ofUsable(segment, 'accessed, readable and present if usable', (rights) => {
      const readable = implies((rights & 8) !== 0, (rights & 2) !== 0);
      return isPresentSegment(rights) && (rights & 1) !== 0 && readable;
    }),
    ofUsable(
      segment,
      'the DPL is not below the RPL if usable, but for conforming code and unrestricted guests',
      (rights, v) =>
        isUnrestricted(v) ||
        (rights & 15) >= 12 ||
        dplOf(rights) >= (v.read(`GUEST_${segment}_SELECTOR`).low & 3),
      [`GUEST_${segment}_SELECTOR`, 'SECONDARY_VM_EXEC_CONTROL'],
    ),
  ]),
  check(
    'guest',
    SECTION,
    'TR is usable, a busy TSS, of 16 bits at most outside IA-32e mode, and present',
    ['GUEST_TR_AR_BYTES', 'VM_ENTRY_CONTROLS'],
    (v) => {
      const rights = v.read('GUEST_TR_AR_BYTES').low;
      const isBusy16 = (rights & 0x9f) === 0x83 && !isLongModeGuest(v);
      return isUsable(rights) && ((rights & 0x9f) === 0x8b || isBusy16);
    },
  ),
  ofUsable('LDTR', 'LDTR is a present LDT if usable', (rights) => (rights & 0x9f) === 0x82),
];

const isShort = (base: Long) => base.high === 0;
const isCanonicalBase = (base: Long) => isCanonical(base.high);

const BASE_CHECKS: readonly EntryCheck[] = [
  ...(['FS', 'GS', 'TR'] as const).map((segment) => {
    const name = `GUEST_${segment}_BASE` as const;
    return check('guest', SECTION, 'the base is canonical', [name], (v) =>
      isCanonicalBase(v.read(name)),
    );
  }),
  ofUsable(
    'LDTR',
    'the base is canonical if usable',
    (_rights, v) => isCanonicalBase(v.read('GUEST_LDTR_BASE')),
    ['GUEST_LDTR_BASE'],
  ),
  ...(['CS', 'SS', 'DS', 'ES'] as const).map((segment) => {
    const name = `GUEST_${segment}_BASE` as const;
    return ofUsable(
      segment,
      'bits 63:32 of the base are 0 (if usable, but for CS)',
      (_rights, v) => isShort(v.read(name)),
      [name],
    );
  }),
];

const LIMIT_CHECKS: readonly EntryCheck[] = SEGMENTS.map((segment) => {
  const limitName = `GUEST_${segment}_LIMIT` as const;
  return ofUsable(
    segment,
    'reserved access-right bits are 0 and granularity fits the limit (if usable, but for CS)',
    (rights, v) => {
      const limit = v.read(limitName).low;
      const granular = (rights & Rights.G) !== 0;
      const fits =
        implies((limit & 0xfff) !== 0xfff, !granular) && implies(limit >>> 20 !== 0, granular);
      return (rights & 0xfffe0f00) === 0 && fits;
    },
    [limitName],
  );
});

const TABLE_CHECKS: readonly EntryCheck[] = (['GDTR', 'IDTR'] as const).map((table) => {
  const base = `GUEST_${table}_BASE` as const;
  const limit = `GUEST_${table}_LIMIT` as const;
  return check(
    'guest',
    'Checks on Guest Descriptor-Table Registers',
    'the base is canonical and the limit has 16 bits',
    [base, limit],
    (v) => isCanonicalBase(v.read(base)) && v.read(limit).low >>> 16 === 0,
  );
});

/** Selector times 16 as the base, 64 KiB, and access rights that are always the same. */
export const VIRTUAL_8086_CHECKS: readonly EntryCheck[] = (
  ['CS', 'SS', 'DS', 'ES', 'FS', 'GS'] as const
).map((segment) => {
  const names = [
    `GUEST_${segment}_SELECTOR`,
    `GUEST_${segment}_BASE`,
    `GUEST_${segment}_LIMIT`,
    `GUEST_${segment}_AR_BYTES`,
  ] as const;
  const rule = 'in virtual-8086 mode the base is 16 times the selector, the limit FFFF, rights F3';
  return check('guest', SECTION, rule, [...names, 'GUEST_RFLAGS'], (v) => {
    if (!isVirtual8086Guest(v)) return true;
    const [selector, base, limit, rights] = names.map((name) => v.read(name));
    const fits = base.eq(selector.low * 16) && limit.low === 0xffff;
    return fits && rights.low === VIRTUAL_8086_RIGHTS;
  });
});

const VIRTUAL_8086_RIGHTS = 0xf3;

export const GUEST_SEGMENT_CHECKS: readonly EntryCheck[] = [
  ...SELECTOR_CHECKS,
  ...TYPE_CHECKS,
  ...BASE_CHECKS,
  ...LIMIT_CHECKS,
  ...TABLE_CHECKS,
];
