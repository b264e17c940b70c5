// VMREAD and VMWRITE by encoding. SDM 3, "Field Encoding in VMCS", and the instruction pages.
// There is a current VMCS all the time, so every failure is VMfailValid with an error number.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { FIELDS, type Vmcs, vmxCapabilityMsrs } from '../../src/vmx/index.ts';
import { ENCODINGS, type Encoding, NOT_OFFERED } from '../support/vmcs-encodings.ts';
import { VmxBench } from '../support/vmx-bench.ts';

const UNSUPPORTED = 12;
const READ_ONLY = 13;

const ALL_ONES = Long.NEG_ONE;
const PATTERN = Long.fromBits(0x89abcdef, 0x01234567);

const hex = (encoding: number) => encoding.toString(16).padStart(4, '0');
const isWide = ({ width }: Encoding) => width === 64;
const writable = ENCODINGS.filter(({ type }) => type !== 'exitInformation');
const readOnly = ENCODINGS.filter(({ type }) => type === 'exitInformation');

/** What VMREAD gives, which has to succeed, as hexadecimal digits. */
function read(vmcs: Vmcs, encoding: number): string {
  const value = vmcs.vmread(encoding);
  if (typeof value === 'number') return `error ${value}`;
  return value.toUnsigned().toString(16);
}

/** The digits of a value that went through a field. */
function through({ width }: Encoding, value: Long): string {
  if (width === 16) return (value.low & 0xffff).toString(16);
  if (width === 32) return (value.low >>> 0).toString(16);
  return value.toUnsigned().toString(16);
}

/** A value that no other field gets. */
const ownValue = (index: number) => Long.fromBits(0x11110000 + index, 0x22220000 + index);

describe('encodings', () => {
  test('bits of an encoding say type and width', () => {
    const types = ['control', 'exitInformation', 'guestState', 'hostState'];
    const widths = [16, 64, 32, 'natural'];
    for (const { encoding, type, width } of ENCODINGS) {
      expect([hex(encoding), types[(encoding >> 10) & 3]]).toEqual([hex(encoding), type]);
      expect([hex(encoding), widths[(encoding >> 13) & 3]]).toEqual([hex(encoding), width]);
    }
  });

  test('the fields are those of the manual, under their names', () => {
    const ours = FIELDS.map(({ encoding, name, type }) => `${hex(encoding)} ${name} ${type}`);
    const theirs = ENCODINGS.map(({ encoding, name, type }) => `${hex(encoding)} ${name} ${type}`);
    expect(ours).toEqual(theirs.sort());
  });

  test('widths are those of the manual; natural is 64', () => {
    const ours = FIELDS.map(({ encoding, width }) => [hex(encoding), width]);
    const theirs = ENCODINGS.map(({ encoding, width }) => [
      hex(encoding),
      width === 'natural' ? 64 : width,
    ]);
    expect(ours.sort()).toEqual(theirs.sort());
  });

  test('of all 32768 encodings without reserved bits exactly these exist', () => {
    const { vmcs } = new VmxBench().virtual;
    const exist = new Set(
      ENCODINGS.flatMap((field) =>
        isWide(field) ? [field.encoding, field.encoding + 1] : [field.encoding],
      ),
    );
    const wrong: string[] = [];
    for (let encoding = 0; encoding < 0x8000; encoding++) {
      const result = vmcs.vmread(encoding);
      const isFound = typeof result !== 'number';
      if (isFound !== exist.has(encoding)) wrong.push(hex(encoding));
      else if (!isFound && result !== UNSUPPORTED) wrong.push(`${hex(encoding)}: ${result}`);
    }
    expect(wrong).toEqual([]);
  });

  test.each([
    ['bit 12', 0x4402 | 0x1000],
    ['bit 15', 0x4402 | 0x8000],
    ['bit 16', 0x4402 | 0x10000],
    ['bit 31', 0x4402 + 2 ** 31],
    ['bit 32 of the operand', 0x4402 + 2 ** 32],
    ['bit 52 of the operand', 0x4402 + 2 ** 52],
    ['access type high of a 32-bit field', 0x4403],
    ['access type high of a natural-width field', 0x681f],
    ['access type high of a 16-bit field', 0x0801],
  ])('%s: error 12 from both instructions', (_name, encoding) => {
    const { vmcs } = new VmxBench().virtual;
    expect(vmcs.vmread(encoding)).toBe(UNSUPPORTED);
    expect(vmcs.vmwrite(encoding, Long.ZERO)).toBe(UNSUPPORTED);
  });

  test('fields of features that are not offered do not exist', () => {
    const { vmcs } = new VmxBench().virtual;
    const found = NOT_OFFERED.filter(
      (encoding) =>
        vmcs.vmread(encoding) !== UNSUPPORTED || vmcs.vmwrite(encoding, Long.ZERO) !== UNSUPPORTED,
    );
    expect(found.map(hex)).toEqual([]);
  });
});

describe('reading and writing', () => {
  test.each(writable.map((field) => [field.name, field] as const))(
    '%s keeps its value',
    (_n, f) => {
      const { vmcs } = new VmxBench().virtual;
      for (const value of [ALL_ONES, PATTERN, Long.ZERO]) {
        expect(vmcs.vmwrite(f.encoding, value)).toBeNull();
        expect(read(vmcs, f.encoding)).toBe(through(f, value));
      }
    },
  );

  test('no field shares its place with another', () => {
    const { vmcs } = new VmxBench().virtual;
    writable.forEach(({ encoding }, i) => {
      vmcs.vmwrite(encoding, ownValue(i));
    });
    const wrong = writable.filter((f, i) => read(vmcs, f.encoding) !== through(f, ownValue(i)));
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });

  test.each(readOnly.map((field) => [field.name, field] as const))(
    '%s cannot be written: error 13, value unchanged',
    (_name, field) => {
      const { vmcs } = new VmxBench().virtual;
      const before = read(vmcs, field.encoding);
      expect(vmcs.vmwrite(field.encoding, ALL_ONES)).toBe(READ_ONLY);
      if (isWide(field)) expect(vmcs.vmwrite(field.encoding + 1, ALL_ONES)).toBe(READ_ONLY);
      expect(read(vmcs, field.encoding)).toBe(before);
    },
  );

  test.each(writable.filter(isWide).map((field) => [field.name, field.encoding] as const))(
    '%s in halves: a high write changes bits 63:32 only',
    (_name, encoding) => {
      const { vmcs } = new VmxBench().virtual;
      vmcs.vmwrite(encoding, PATTERN);
      expect(read(vmcs, encoding + 1)).toBe('1234567');
      // The source's own upper half is not used.
      expect(vmcs.vmwrite(encoding + 1, Long.fromBits(0x5555aaaa, 0x7777))).toBeNull();
      expect(read(vmcs, encoding)).toBe('5555aaaa89abcdef');
      expect(read(vmcs, encoding + 1)).toBe('5555aaaa');
    },
  );

  test('a full write of a 64-bit field replaces both halves', () => {
    const { vmcs } = new VmxBench().virtual;
    vmcs.vmwrite(0x2010, ALL_ONES);
    vmcs.vmwrite(0x2010, Long.fromInt(5));
    expect(read(vmcs, 0x2010)).toBe('5');
  });
});

test('the region begins with the revision identifier of IA32_VMX_BASIC, shadow bit clear', () => {
  const { memory, virtual } = new VmxBench();
  const revision = vmxCapabilityMsrs().get(0x480)?.low;
  expect(memory.view.getUint32(virtual.vmcs.hpa, true)).toBe(revision);
});
