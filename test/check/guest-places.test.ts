// Properties about guest code and words of guest memory: a lock that is taken in two steps has two
// holders, if its vCPU is preempted between them; one that is taken in one has not; and what is
// looked at leaves the run as it was.

import { describe, expect, test } from 'vitest';
import { PlaceError, parseProperty } from '../../src/check/index.ts';
import { lab } from '../../src/testing/index.ts';

const TAKES = {
  torn: 'cmp dword [rel taken], 0\n    jne again\ntake:\n    mov dword [rel taken], 1',
  whole: 'mov eax, 1\ntake:\n    xchg eax, [rel taken]\n    test eax, eax\n    jnz again',
} as const;

const HOLDERS = 'at most 1 between guest_code(at=critical) and guest_code(at=leave)';
const THEIRS =
  'never guest_write(at=taken, vcpu!=$v) between guest_write(at=taken, old=0, vcpu=$v) ' +
  'and guest_write(at=taken, new=0, vcpu=$v)';

function guest(take: keyof typeof TAKES, property: string): string {
  return `; vmxlab: vcpus=2 pcpus=2 fault=preempt,at=take,probability=0.2,for=100us
; PROPERTY: ${property}
bits 64
    mov ebx, 50
again:
    ${TAKES[take]}
critical:
    mov ecx, 200
.hold:
    dec ecx
    jnz .hold
leave:
    mov dword [rel taken], 0
    dec ebx
    jnz again
    cli
    hlt
align 64
taken: dd 0
`;
}

describe.each([HOLDERS, THEIRS])('%s', (property) => {
  test('does not hold of a lock that is torn', () => {
    const { failures } = lab(guest('torn', property)).check();
    expect(failures.map(({ line }) => line)).toEqual([2]);
  });

  test('holds of one that is not', () => {
    expect(lab(guest('whole', property)).check().failures).toEqual([]);
  });
});

test('each vCPU is seen as often as it comes by', () => {
  const count = (least: number) =>
    lab(guest('whole', `at least ${least} guest_code(at=critical)`)).check().holds;
  expect([count(100), count(101)]).toEqual([true, false]);
});

test('looking changes nothing', () => {
  const { virtualNs } = lab(guest('whole', HOLDERS)).check();
  expect(virtualNs).toBe(lab(guest('whole', HOLDERS)).run().report.virtualNs);
});

test('a place has to be named, and to exist', () => {
  expect(parseProperty('never guest_code(vcpu=1)')).toMatchObject({
    offset: 6,
    message: 'guest_code has to say where: guest_code(at=SYMBOL)',
  });
  const run = () => lab(guest('whole', 'never guest_code(at=critcal)')).check();
  expect(run).toThrow(PlaceError);
  expect(run).toThrow("no symbol 'critcal'; did you mean 'critical'?");
});

test.each([
  ['0x10003e', "'0x10003e' lies across two lines of 64 bytes; expected a word in one"],
  ['0x10003c:8', "'0x10003c:8' lies across two lines of 64 bytes; expected a word in one"],
  ['0xfffffffffff0', "'0xfffffffffff0' is not in the guest's memory, which ends at 0x1000000"],
  ['0xfffffd', "'0xfffffd' is not in the guest's memory, which ends at 0x1000000"],
])('a word is in one line of memory: %s', (at, message) => {
  const run = () => lab(guest('whole', `never guest_write(at=${at})`)).check();
  expect(run).toThrow(PlaceError);
  expect(run).toThrow(message);
});
