// Checks on guest segment and descriptor-table registers. SDM 3, "Checks on the Guest-State Area".
// There are no unrestricted guests; virtual-8086 mode does not occur in IA-32e mode.

import type Long from 'long';
import { isCanonical, Rights } from '../cpu/index.ts';
import { check, csRights, type EntryCheck, implies, ssRights } from './check.ts';
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
    return implies(segment === 'CS' || isUsable(rights), holds(rights, v));
  });
}

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
    'the RPLs of SS and CS are equal, and that of SS is its DPL',
    ['GUEST_SS_SELECTOR', 'GUEST_CS_SELECTOR', 'GUEST_SS_AR_BYTES'],
    (v) => {
      const ss = v.read('GUEST_SS_SELECTOR').low & 3;
      return ss === (v.read('GUEST_CS_SELECTOR').low & 3) && ss === dplOf(ssRights(v));
    },
  ),
];

const TYPE_CHECKS: readonly EntryCheck[] = [
  ofUsable(
    'CS',
    'CS is present code',
    (rights) => [9, 11, 13, 15].includes(rights & 15) && isPresentSegment(rights),
  ),
  ofUsable('CS', 'CS does not have both L and D', (rights) =>
    implies((rights & Rights.L) !== 0, (rights & Rights.DB) === 0),
  ),
  check(
    'guest',
    SECTION,
    'the DPL of CS equals that of SS, or is lower if CS is conforming',
    ['GUEST_CS_AR_BYTES', 'GUEST_SS_AR_BYTES'],
    (v) => {
      const cs = dplOf(csRights(v));
      const ss = dplOf(ssRights(v));
      return (csRights(v) & 15) >= 13 ? cs <= ss : cs === ss;
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
      'the DPL is not below the RPL if usable, but for conforming code',
      (rights, v) =>
        (rights & 15) >= 12 || dplOf(rights) >= (v.read(`GUEST_${segment}_SELECTOR`).low & 3),
      [`GUEST_${segment}_SELECTOR`],
    ),
  ]),
  check('guest', SECTION, 'TR is usable, a busy TSS, and present', ['GUEST_TR_AR_BYTES'], (v) => {
    const rights = v.read('GUEST_TR_AR_BYTES').low;
    return isUsable(rights) && (rights & 0x9f) === 0x8b;
  }),
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

export const GUEST_SEGMENT_CHECKS: readonly EntryCheck[] = [
  ...SELECTOR_CHECKS,
  ...TYPE_CHECKS,
  ...BASE_CHECKS,
  ...LIMIT_CHECKS,
  ...TABLE_CHECKS,
];
