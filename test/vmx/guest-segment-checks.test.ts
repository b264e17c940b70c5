// VM-entry checks on guest segment and table registers: entry failure, reason 33, qualification 0.
// SDM 3, "Checks on Guest Segment Registers" and "Checks on Guest Descriptor-Table Registers". The
// guest is in IA-32e mode, and unrestricted guests are not offered.

import Long from 'long';
import { describe } from 'vitest';
import type { FieldName } from '../../src/vmx/index.ts';
import { type AcceptedCase, accepts, type RefusedCase, refuses } from '../support/entry-outcome.ts';
import type { FieldValues } from '../support/vmx-bench.ts';

const REFUSED = 'exit 33, qualification 0';

type Segment = 'ES' | 'CS' | 'SS' | 'DS' | 'FS' | 'GS' | 'LDTR' | 'TR';

const rights = (segment: Segment, value: number): FieldValues => ({
  [`GUEST_${segment}_AR_BYTES`]: value,
});
const base = (segment: Segment, value: Long): FieldValues => ({
  [`GUEST_${segment}_BASE`]: value,
});
const selector = (segment: Segment, value: number): FieldValues => ({
  [`GUEST_${segment}_SELECTOR`]: value,
});

const UNUSABLE = 0x10000;
const DATA_RIGHTS = 0xc093;
const CODE_RIGHTS = 0xa09b;
const LDTR_USABLE = rights('LDTR', 0x82);
const USER: FieldValues = {
  ...selector('CS', 0x23),
  ...selector('SS', 0x1b),
  ...rights('CS', 0xa0fb),
  ...rights('SS', 0xc0f3),
};

const NOT_CANONICAL = [Long.fromBits(0, 0x8000), Long.fromBits(-1, 0xffff7fff)];
const BIT_32 = Long.fromBits(0, 1);
const hex = (value: Long | number) =>
  (typeof value === 'number' ? value : value.toUnsigned()).toString(16);

describe('selectors', () => {
  refuses(REFUSED, [
    ['TR with TI', selector('TR', 0x2c), /TI of TR/],
    ['a usable LDTR with TI', { ...LDTR_USABLE, ...selector('LDTR', 0x34) }, /TI of LDTR/],
    ['RPL of SS above that of CS', selector('SS', 0x13), /RPLs of SS and CS/],
    ['RPL of CS above that of SS', selector('CS', 0x0b), /RPLs of SS and CS/],
    ['RPL of both not the DPL of SS', { ...USER, ...rights('SS', 0xc0d3) }, /RPL|DPL/],
  ]);
  accepts([
    ['an unusable LDTR with TI', selector('LDTR', 0x34)],
    ['CPL 3', USER],
    ['null data segments', { ...selector('DS', 0), ...rights('DS', UNUSABLE) }],
  ]);
});

describe('bases', () => {
  const canonical = ['FS', 'GS', 'TR'] as const;
  const short = ['ES', 'SS', 'DS'] as const;
  refuses(REFUSED, [
    ...canonical.flatMap((segment) =>
      NOT_CANONICAL.map((value): RefusedCase => {
        return [`${segment} at ${hex(value)}`, base(segment, value), /canonical/];
      }),
    ),
    ...(['FS', 'GS'] as const).map((segment): RefusedCase => {
      const change = { ...rights(segment, UNUSABLE), ...base(segment, Long.fromBits(0, 0x8000)) };
      return [`unusable ${segment} at 800000000000`, change, /canonical/];
    }),
    ...NOT_CANONICAL.map((value): RefusedCase => {
      return [`usable LDTR at ${hex(value)}`, { ...LDTR_USABLE, ...base('LDTR', value) }, /canon/];
    }),
    ...(['CS', ...short] as const).map((segment): RefusedCase => {
      return [`${segment} at 100000000`, base(segment, BIT_32), /bits 63:32/];
    }),
  ]);
  accepts([
    ...canonical.map((segment): AcceptedCase => {
      return [`${segment} at ffff800000000000`, base(segment, Long.fromBits(0, 0xffff8000))];
    }),
    ['unusable LDTR anywhere', base('LDTR', Long.fromBits(0, 0x8000))],
    ...(['CS', ...short] as const).map((segment): AcceptedCase => {
      return [`${segment} at ffffffff`, base(segment, Long.fromBits(-1, 0))];
    }),
    ...short.map((segment): AcceptedCase => {
      const change = { ...rights(segment, UNUSABLE), ...base(segment, BIT_32) };
      return [`unusable ${segment} at 100000000`, change];
    }),
  ]);
});

describe('CS', () => {
  const withType = (type: number) => rights('CS', (CODE_RIGHTS & ~15) | type);
  const isAllowed = (type: number) => [9, 11, 13, 15].includes(type);
  const types = Array.from({ length: 16 }, (_, type) => type);
  refuses(REFUSED, [
    ...types
      .filter((type) => !isAllowed(type))
      .map((type): RefusedCase => [`type ${type}`, withType(type), /CS is present code/]),
    ['a system segment', rights('CS', CODE_RIGHTS & ~0x10), /CS is present code/],
    ['not present', rights('CS', CODE_RIGHTS & ~0x80), /CS is present code/],
    ['L and D', rights('CS', CODE_RIGHTS | 0x4000), /both L and D/],
    ...[9, 11].map((type): RefusedCase => {
      return [
        `type ${type}, DPL 0 at CPL 3`,
        { ...USER, ...rights('CS', 0xa090 | type) },
        /DPL of CS/,
      ];
    }),
    ...[9, 11, 13, 15].map((type): RefusedCase => {
      return [`type ${type}, DPL 1 at CPL 0`, rights('CS', 0xa0b0 | type), /DPL of CS/];
    }),
    ['reserved bits of a CS marked unusable', rights('CS', CODE_RIGHTS | UNUSABLE | 0x100), /res/],
  ]);
  accepts([
    ...types.filter(isAllowed).map((type): AcceptedCase => [`type ${type}`, withType(type)]),
    ...[13, 15].map((type): AcceptedCase => {
      return [`type ${type}, DPL 0 at CPL 3`, { ...USER, ...rights('CS', 0xa090 | type) }];
    }),
  ]);
});

describe('SS', () => {
  const types = Array.from({ length: 16 }, (_, type) => type).filter((t) => t !== 3 && t !== 7);
  refuses(REFUSED, [
    ...types.map((type): RefusedCase => {
      return [`type ${type}`, rights('SS', 0xc090 | type), /SS is/];
    }),
    ['a system segment', rights('SS', DATA_RIGHTS & ~0x10), /SS is/],
    ['not present', rights('SS', DATA_RIGHTS & ~0x80), /SS is/],
    [
      'unusable with a DPL that is not its RPL',
      { ...USER, ...rights('SS', UNUSABLE) },
      /DPL of CS|RPL/,
    ],
  ]);
  accepts([
    ['type 7', rights('SS', 0xc097)],
    ['null at CPL 0', { ...selector('SS', 0), ...rights('SS', UNUSABLE) }],
    ['unusable at CPL 3', { ...USER, ...rights('SS', UNUSABLE | 0x60) }],
    ['unusable of any type', rights('SS', UNUSABLE | 0x0f)],
  ]);
});

describe.each(['ES', 'DS', 'FS', 'GS'] as const)('%s', (segment) => {
  const usable = /accessed, readable and present/;
  const bad = [0, 2, 4, 6, 8, 9, 10, 12, 13, 14];
  refuses(REFUSED, [
    ...bad.map((type): RefusedCase => {
      return [`type ${type}`, rights(segment, 0xc090 | type), usable];
    }),
    ['a system segment', rights(segment, DATA_RIGHTS & ~0x10), usable],
    ['not present', rights(segment, DATA_RIGHTS & ~0x80), usable],
    ...[3, 11].map((type): RefusedCase => {
      const change = { ...selector(segment, 0x13), ...rights(segment, 0xc0d0 | type) };
      return [`type ${type}, DPL 2 below RPL 3`, change, /DPL/];
    }),
  ]);
  accepts([
    ...[1, 3, 5, 7, 11, 15].map((type): AcceptedCase => {
      return [`type ${type}`, rights(segment, 0xc090 | type)];
    }),
    ['unusable', { ...selector(segment, 0), ...rights(segment, UNUSABLE) }],
    ['DPL 3 above RPL 0', rights(segment, 0xc0f3)],
    [
      'conforming code, DPL 0 below RPL 3',
      {
        ...selector(segment, 0x13),
        ...rights(segment, 0xc09f),
      },
    ],
  ]);
});

describe('TR and LDTR', () => {
  const tr = /TR is usable, a busy TSS/;
  const ldtr = /LDTR is/;
  const others = (good: number) =>
    Array.from({ length: 16 }, (_, type) => type).filter((type) => type !== good);
  refuses(REFUSED, [
    ['TR unusable', rights('TR', 0x8b | UNUSABLE), tr],
    ['TR not a system segment', rights('TR', 0x9b), tr],
    ['TR not present', rights('TR', 0x0b), tr],
    ...others(11).map((type): RefusedCase => [`TR of type ${type}`, rights('TR', 0x80 | type), tr]),
    ['LDTR not a system segment', rights('LDTR', 0x92), ldtr],
    ['LDTR not present', rights('LDTR', 0x02), ldtr],
    ...others(2).map((type): RefusedCase => {
      return [`LDTR of type ${type}`, rights('LDTR', 0x80 | type), ldtr];
    }),
  ]);
  accepts([
    ['a usable LDTR', LDTR_USABLE],
    ['an unusable LDTR of any type', rights('LDTR', UNUSABLE | 0xff)],
  ]);
});

describe('reserved bits and granularity', () => {
  const rule = /reserved access-right bits/;
  const usable: readonly (readonly [Segment, number])[] = [
    ...(['ES', 'SS', 'DS', 'FS', 'GS'] as const).map((name) => [name, DATA_RIGHTS] as const),
    ['CS', CODE_RIGHTS],
    ['TR', 0x8b],
    ['LDTR', 0x82],
  ];
  const limit = (segment: Segment, value: number): FieldValues => ({
    [`GUEST_${segment}_LIMIT` as FieldName]: value,
  });
  const G = 0x8000;
  refuses(REFUSED, [
    ...usable.flatMap(([segment, good]) =>
      [8, 9, 10, 11, 17, 18, 30, 31].map((number): RefusedCase => {
        const change = rights(segment, (good | (2 ** number)) >>> 0);
        return [`${segment} with bit ${number}`, change, rule];
      }),
    ),
    ...usable.flatMap(([segment, good]): RefusedCase[] => [
      [
        `${segment} granular, limit FFFFFFFE`,
        {
          ...rights(segment, good | G),
          ...limit(segment, 0xfffffffe),
        },
        rule,
      ],
      [
        `${segment} granular, limit 7FF`,
        {
          ...rights(segment, good | G),
          ...limit(segment, 0x7ff),
        },
        rule,
      ],
      [
        `${segment} by bytes, limit 100000`,
        {
          ...rights(segment, good & ~G),
          ...limit(segment, 0x100000),
        },
        rule,
      ],
    ]),
  ]);
  accepts([
    ...usable.flatMap(([segment, good]): AcceptedCase[] => [
      [
        `${segment} granular, limit FFF`,
        {
          ...rights(segment, good | G),
          ...limit(segment, 0xfff),
        },
      ],
      [
        `${segment} by bytes, limit FFFFF`,
        {
          ...rights(segment, good & ~G),
          ...limit(segment, 0xfffff),
        },
      ],
      [`${segment} by bytes, limit 0`, { ...rights(segment, good & ~G), ...limit(segment, 0) }],
    ]),
    ['reserved bits of what is unusable', rights('LDTR', UNUSABLE | 0x20f00)],
    ['a limit of what is unusable', limit('LDTR', 0x100000)],
  ]);
});

describe.each(['GDTR', 'IDTR'] as const)('%s', (table) => {
  const rule = /base is canonical and the limit has 16 bits/;
  refuses(REFUSED, [
    ...NOT_CANONICAL.map((value): RefusedCase => {
      return [`base ${hex(value)}`, { [`GUEST_${table}_BASE`]: value }, rule];
    }),
    ...[0x10000, 0x80000000].map((value): RefusedCase => {
      return [`limit ${hex(value)}`, { [`GUEST_${table}_LIMIT`]: value }, rule];
    }),
  ]);
  accepts([
    ['limit FFFF', { [`GUEST_${table}_LIMIT`]: 0xffff }],
    ['limit 0', { [`GUEST_${table}_LIMIT`]: 0 }],
    ['base ffff800000000000', { [`GUEST_${table}_BASE`]: Long.fromBits(0, 0xffff8000) }],
  ]);
});
