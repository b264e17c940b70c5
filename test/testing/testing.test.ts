// The vitest surface: the example in docs/testing.md runs as it stands; each matcher can fail, and
// prints what there was; wrong input is told.

import { readFileSync } from 'node:fs';
import Long from 'long';
import ts from 'typescript';
import { describe, expect, test } from 'vitest';
import { type LabRun, lab } from '../../src/testing/index.ts';

const PAGE = readFileSync(new URL('../../docs/testing.md', import.meta.url), 'utf8');

describe('the example of docs/testing.md', () => {
  const example = /```ts\n([\s\S]*?)```/.exec(PAGE)?.[1] ?? '';
  const body = example.replace(/^import .*\n/gm, '');
  const options = { compilerOptions: { target: ts.ScriptTarget.ES2023 } };
  const { outputText } = ts.transpileModule(body, options);
  new Function('lab', 'expect', 'test', outputText)(lab, expect, test);
});

const run = lab("bits 64\nmov al, 'a'\nout 0xe9, al\nmov rbx, -1\ncli\nhlt\n", { vcpus: 2 }).run();

/** The message with which an assertion fails. */
function complaint(assert: () => void): string {
  try {
    assert();
  } catch (thrown) {
    return (thrown as Error).message;
  }
  throw new Error('it did not fail');
}

describe('matchers fail with what there was', () => {
  test.each<[string, (one: LabRun) => void, string]>([
    [
      'toHaveExited',
      (one) => expect(one).toHaveExited('HLT', { vcpu: 1, times: 2 }),
      'expected vCPU 1 to have exited with HLT 2 times, but it did once\n\n' +
        'VM exits:\n  vCPU 0  HLT             1\n  vCPU 0  IO_INSTRUCTION  1\n  vCPU 1  HLT',
    ],
    [
      'not.toHaveExited',
      (one) => expect(one).not.toHaveExited('HLT'),
      'expected the guest to have exited with HLT at least once, but it did 2 times',
    ],
    [
      'toHaveEnded',
      (one) => expect(one).toHaveEnded('deadlock'),
      'expected the run to end as deadlock; it ended as halted, exit code 0: every vCPU is halted',
    ],
    [
      'toHaveEnded',
      (one) => expect(one).toHaveEnded(4),
      'expected the run to end with exit code 4',
    ],
    [
      'toHavePrinted',
      (one) => expect(one).toHavePrinted('b'),
      'expected the guest to print "b"; it printed\n\naa',
    ],
    [
      'toHavePrinted',
      (one) => expect(one).toHavePrinted(/^b/),
      'expected the guest to print /^b/; it printed',
    ],
    [
      'toHaveRegister',
      (one) => expect(one).toHaveRegister('rbx', 5, { vcpu: 1 }),
      'expected rbx of vCPU 1 to be 0x5; it is 0xffffffffffffffff',
    ],
    [
      'toHaveTraced',
      (one) => expect(one).toHaveTraced('kvm_pio', { port: 0x80 }),
      'expected kvm_pio with {"port":128} at least once; it was there never, among 2 kvm_pio',
    ],
    [
      'toSatisfyProperty',
      (one) => expect(one).toSatisfyProperty('never kvm_exit(vcpu=1, reason=HLT)'),
      'kvm_exit(vcpu=1, reason=HLT) happened\n\n',
    ],
    [
      'toMatchDirectives',
      (one) => expect(one).toMatchDirectives(['OUTPUT: aa', 'STATE: status limit']),
      'STATE: not found: status limit',
    ],
  ])('%s', (_name, assert, message) => {
    expect(complaint(() => assert(run))).toContain(message);
  });

  test('toMeetItsExpectations', () => {
    const guest = lab('; OUTPUT: b\nbits 64\nmov al, 97\nout 0xe9, al\ncli\nhlt\n');
    expect(complaint(() => expect(guest).toMeetItsExpectations())).toContain(
      'line 1: OUTPUT: not found, in output\n    b\n',
    );
    expect(guest).not.toMeetItsExpectations();
  });
});

test('values of registers may be written in any way', () => {
  for (const value of [-1, -1n, Long.NEG_ONE, '0xffffffffffffffff']) {
    expect(run).toHaveRegister('rbx', value);
  }
});

test('a guest runs the same each time; a seed is another schedule', () => {
  const guest = lab('bits 64\nagain: dec ecx\njnz again\ncli\nhlt\n', { hogs: 1, seed: 3 });
  expect(guest.run().report).toEqual(guest.run().report);
  expect(guest.scenario.seed).toBe(3);
});

test('a header, includes, macros, and 32-bit code', () => {
  const source = '; vmxlab: vcpus=3\nbits 32\n%include "x.inc"\nmov al, N\nout 0xf4, al\n';
  const guest = lab(source, {}, { files: { 'x.inc': '%define M 2\n' }, defines: { N: 'M' } });
  expect(guest.scenario.vms[0].vcpus).toBe(3);
  expect(guest.run()).toHaveEnded(5);
});

describe('mistakes', () => {
  test.each<[string, () => unknown, string]>([
    ['source', () => lab('bits 64\nfoo\n'), "guest.asm:2:1: error: unknown instruction 'foo'"],
    ['setting', () => lab('hlt', { vcpu: 2 }), "unknown setting 'vcpu'; did you mean 'vcpus'?"],
    ['value', () => lab('bits 64\nhlt', { vcpus: 99 }), 'vms.0.vcpus: expected a whole number'],
    ['header', () => lab('; vmxlab: x=1\nbits 64\nhlt'), "1:11: unknown setting 'x'"],
    ['origin', () => lab('bits 64\norg 0\nhlt'), 'org has to be 0x100000'],
    [
      'directive',
      () => lab('; CHECK-NXT: x\nbits 64\nhlt').check(),
      "1:3: CHECK-NXT: unknown 'NXT'",
    ],
    ['no directive', () => lab('bits 64\nhlt').check(), 'says nothing of what it expects'],
    ['reason', () => expect(run).toHaveExited('HTL'), "no exit reason 'HTL'; did you mean 'HLT'?"],
    [
      'register',
      () => expect(run).toHaveRegister('rzx', 1),
      "there is no register 'rzx'; they are",
    ],
    ['property', () => expect(run).toSatisfyProperty('never x'), "no tracepoint 'x'"],
  ])('%s', (_what, act, message) => {
    expect(complaint(() => act())).toContain(message);
  });
});
