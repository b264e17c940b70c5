// MSRs that are user space's: those that the kernel lacks or refuses, those that a filter denies;
// and paravirtual features that only work where the vCPU's CPUID offers them. Expectations are from
// Linux Documentation/virt/kvm/api.rst and arch/x86/kvm/x86.c.

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { KVM_MSR_EXIT_REASON, KVM_MSR_FILTER, type KvmMsrFilter } from '../../src/api/index.ts';
import { codeOf, errnoOf, guest } from '../support/kvm-api-guest.ts';

const { INVAL, UNKNOWN, FILTER } = KVM_MSR_EXIT_REASON;
const { READ, WRITE, DEFAULT_DENY } = KVM_MSR_FILTER;
const SYSENTER_EIP = 0x176;
const NO_SUCH = 0x12345;
const LSTAR = 0xc0000082;

const read = (index: number) => `mov ecx, ${index}\nrdmsr\nout 0x80, al\nhlt`;
const write = (index: number, high: number) =>
  `mov ecx, ${index}\nmov eax, 0x11\nmov edx, ${high}\nwrmsr\nout 0x80, al\nhlt`;

/** A guest whose #GP writes 99 to port 81H. */
function withFaults(source: string, mask: number) {
  const made = guest(source);
  made.ram.set([0x00, 0x20, 0, 0], 4 * 13);
  made.ram.set(codeOf('mov al, 99\nout 0x81, al\nhlt', 16, 0x2000), 0x2000);
  if (mask !== 0) made.vm.enableCap('KVM_CAP_X86_USER_SPACE_MSR', [mask]);
  return made;
}

const faulted = { name: 'IO', port: 0x81 };

function ended({ vcpu }: ReturnType<typeof withFaults>) {
  const run = vcpu.run();
  return { name: run.exitReasonName, port: run.io.port };
}

describe('an access that the kernel refuses', () => {
  test.each<[string, string, number, string, number, number]>([
    ['an unknown MSR is read', read(NO_SUCH), UNKNOWN, 'X86_RDMSR', UNKNOWN, NO_SUCH],
    ['an unknown MSR is written', write(NO_SUCH, 0), UNKNOWN, 'X86_WRMSR', UNKNOWN, NO_SUCH],
    ['a wrong value is written', write(LSTAR, 0x800000), INVAL, 'X86_WRMSR', INVAL, LSTAR],
  ])('%s: it is user space that answers', (_what, source, mask, name, why, index) => {
    const made = withFaults(source, mask);
    const { vcpu } = made;
    const run = vcpu.run();
    expect([run.exitReasonName, run.msr.reason, run.msr.index]).toEqual([name, why, index]);
    if (name === 'X86_WRMSR') expect(run.msr.data.low).toBe(0x11);
    const at = vcpu.getRegs().rip.toNumber();
    run.msrData = Long.fromNumber(0x77);
    expect(ended(made)).toEqual({ name: 'IO', port: 0x80 });
    expect(vcpu.getRegs().rip.toNumber()).toBeGreaterThan(at);
    if (name === 'X86_RDMSR') expect(vcpu.page.io.data[0]).toBe(0x77);
  });

  test.each<[string, string, number]>([
    ['nobody asked', read(NO_SUCH), 0],
    ['only wrong values were asked for', read(NO_SUCH), INVAL | FILTER],
    ['only unknown ones were asked for', write(LSTAR, 0x800000), UNKNOWN | FILTER],
  ])('is #GP, as %s', (_what, source, mask) => {
    expect(ended(withFaults(source, mask))).toEqual(faulted);
  });

  test('is #GP if user space says so', () => {
    const made = withFaults(read(NO_SUCH), UNKNOWN);
    made.vcpu.run().msrError = 1;
    expect(ended(made)).toEqual(faulted);
  });

  test('only known reasons can be asked for', () => {
    const { vm } = guest('hlt');
    expect(errnoOf(() => vm.enableCap('X86_USER_SPACE_MSR', [8]))).toBe('EINVAL');
  });
});

/** Of two MSRs, the second one is denied. */
function denies(flags: number): KvmMsrFilter {
  const bitmap = Uint8Array.of(0b01);
  return { flags: 0, ranges: [{ flags, nmsrs: 2, base: SYSENTER_EIP - 1, bitmap }] };
}

describe('a filter', () => {
  // Without it, the guest accesses this MSR without an exit.
  test.each<[string, number, string, string]>([
    ['reads', READ, read(SYSENTER_EIP), 'X86_RDMSR'],
    ['reads', READ, write(SYSENTER_EIP, 0), 'IO'],
    ['writes', WRITE, write(SYSENTER_EIP, 0), 'X86_WRMSR'],
    ['writes', WRITE, read(SYSENTER_EIP), 'IO'],
    ['both', READ | WRITE, read(SYSENTER_EIP - 1), 'IO'],
  ])('of %s (%i) makes %s end as %s', (_what, flags, source, name) => {
    const made = withFaults(source, FILTER);
    made.vm.setMsrFilter(denies(flags));
    const run = made.vcpu.run();
    expect(run.exitReasonName).toBe(name);
    if (name !== 'IO') expect([run.msr.reason, run.msr.index]).toEqual([FILTER, SYSENTER_EIP]);
    else expect(run.io.port).toBe(0x80);
  });

  test('makes #GP of what user space does not want to hear of, until it is taken away', () => {
    const filtered = withFaults(read(SYSENTER_EIP), 0);
    filtered.vm.setMsrFilter(denies(READ));
    expect(ended(filtered)).toEqual(faulted);
    const free = withFaults(read(SYSENTER_EIP), 0);
    free.vm.setMsrFilter(denies(READ));
    free.vm.setMsrFilter({ ranges: [] });
    expect(ended(free)).toEqual({ name: 'IO', port: 0x80 });
  });

  test('may deny all that it does not name, but never all', () => {
    const made = withFaults(read(LSTAR), FILTER);
    made.vm.setMsrFilter({ ...denies(READ), flags: DEFAULT_DENY });
    expect(made.vcpu.run().msr.index).toBe(LSTAR);
    const set = (filter: KvmMsrFilter) => errnoOf(() => made.vm.setMsrFilter(filter));
    expect(set({ flags: DEFAULT_DENY, ranges: [] })).toBe('EINVAL');
    expect(set({ flags: 2, ranges: [] })).toBe('EINVAL');
    expect(set(denies(4))).toBe('EINVAL');
    const range = { flags: READ, nmsrs: 0x600 * 8 + 1, base: 0, bitmap: new Uint8Array(0x601) };
    expect(set({ ranges: [range] })).toBe('EINVAL');
  });
});

describe('features that CPUID does not offer', () => {
  const KVM_FEATURES = 0x40000001;
  const POLL_CONTROL = 0x4b564d05;

  function tried(enforce: number | null, offered: number) {
    const made = withFaults(read(POLL_CONTROL), 0);
    const { vm, vcpu } = made;
    const entries = vm.kvm.getSupportedCpuid();
    vcpu.setCpuid2(
      entries.map((entry) =>
        entry.function === KVM_FEATURES ? { ...entry, eax: offered } : entry,
      ),
    );
    if (enforce !== null) vcpu.enableCap('ENFORCE_PV_FEATURE_CPUID', [enforce]);
    return ended(made).port;
  }

  test('do not work if that is enforced', () => {
    const bit = 1 << 12;
    expect([tried(null, 0), tried(0, 0), tried(1, 0), tried(1, bit)]).toEqual([
      0x80, 0x80, 0x81, 0x80,
    ]);
  });

  test('are the only thing that is enabled on a vCPU', () => {
    const { vcpu } = guest('hlt');
    expect(errnoOf(() => vcpu.enableCap('HALT_POLL', [1]))).toBe('EINVAL');
    expect(errnoOf(() => vcpu.enableCap(190, [1], 1))).toBe('EINVAL');
  });
});
