// MSR lists of VM entry and VM exit, and the save controls. SDM 3, "Loading MSRs", "Saving MSRs",
// "Saving Control Registers, Debug Registers, and MSRs"; kvm-unit-tests "MSR switch", invalid_msr,
// atomic_switch_max_msrs_test, vmx_store_tsc_test, "debug controls", "control field PAT / EFER".

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { explainEntry } from '../../src/vmx/index.ts';
import { outcomeText } from '../support/entry-outcome.ts';
import { VmxBench } from '../support/vmx-bench.ts';

const KERNEL_GS_BASE = 0xc0000102;
const STAR = 0xc0000081;
const TSC_AUX = 0xc0000103;
const TSC = 0x10;
const LSTAR = 0xc0000082;

type Entry = readonly [index: number, value: number | Long, reserved?: number];
type Lists = 'VM_EXIT_MSR_STORE' | 'VM_EXIT_MSR_LOAD' | 'VM_ENTRY_MSR_LOAD';

/** In guest RAM, where a test can look at it. */
const LIST = 0x30000;

function withList(name: Lists, entries: readonly Entry[]): VmxBench {
  const bench = new VmxBench();
  entries.forEach(([index, value, reserved = 0], i) => {
    const wide = typeof value === 'number' ? Long.fromNumber(value) : value;
    bench.write64(LIST + 16 * i, index, reserved);
    bench.write64(LIST + 16 * i + 8, wide.low, wide.high);
  });
  bench.set({ [`${name}_ADDR`]: bench.ramHpa + LIST, [`${name}_COUNT`]: entries.length });
  bench.load('vmcall');
  return bench;
}

const stored = (bench: VmxBench, i: number) => bench.read64(LIST + 16 * i + 8);

describe('VM-entry MSR-load list', () => {
  test('loads in order: the last value of an MSR counts', () => {
    const bench = withList('VM_ENTRY_MSR_LOAD', [
      [STAR, 5],
      [TSC_AUX, 6],
      [STAR, 7],
    ]);
    expect(bench.resume().reason).toBe('VMCALL');
    expect([bench.register('star'), bench.register('tscAux')]).toEqual([7, 6]);
  });

  test.each<[string, Entry]>([
    ['IA32_FS_BASE', [0xc0000100, 0]],
    ['IA32_GS_BASE', [0xc0000101, 0]],
    ['the first MSR of an x2APIC', [0x800, 0]],
    ['the last MSR of an x2APIC', [0x8ff, 0]],
    ['a reserved bit', [STAR, 0, 1]],
    ['an MSR that does not exist', [0x12345, 0]],
    ['a value that WRMSR refuses', [LSTAR, Long.fromBits(0, 0x00800000)]],
    ['a change of EFER.LME while paging is on', [0xc0000080, 0]],
  ])('%s: entry failure 34 with the position', (_what, wrong) => {
    const bench = withList('VM_ENTRY_MSR_LOAD', [[TSC_AUX, 9], wrong, [TSC_AUX, 10]]);
    bench.set({ VM_EXIT_INSTRUCTION_LEN: 77, VM_ENTRY_INTR_INFO_FIELD: 2 ** 31 + 0x203 - 1 });
    const outcome = bench.tryToEnter();
    expect(outcomeText(bench, outcome)).toBe('exit 34, qualification 2');
    // What was loaded before it stays; no other field changes; the VMCS is not launched.
    expect(bench.register('tscAux')).toBe(9);
    expect(bench.field('VM_EXIT_INSTRUCTION_LEN')).toBe(77);
    expect(bench.field('VM_ENTRY_INTR_INFO_FIELD')).toBe(2 ** 31 + 0x202);
    expect([bench.virtual.inNonRoot, bench.virtual.vmcs.launched]).toEqual([false, false]);
    const why = explainEntry(bench.virtual.vmcs, outcome);
    expect(why?.report).toEqual({ kind: 'entryFailure', reason: 34, qualification: 2 });
    expect([why?.section, why?.fields.map(({ name }) => name)]).toEqual([
      'Loading MSRs',
      ['VM_ENTRY_MSR_LOAD_ADDR', 'VM_ENTRY_MSR_LOAD_COUNT'],
    ]);
  });

  test('guest state is checked before it', () => {
    const bench = withList('VM_ENTRY_MSR_LOAD', [[0x800, 0]]);
    bench.set({ GUEST_RFLAGS: 0 });
    expect(outcomeText(bench, bench.tryToEnter())).toBe('exit 33, qualification 0');
  });

  test('up to 512 entries, as IA32_VMX_MISC[27:25] says', () => {
    const many = (count: number) => withList('VM_ENTRY_MSR_LOAD', new Array(count).fill([STAR, 1]));
    expect(outcomeText(many(512), many(512).tryToEnter())).toBe('entered');
    const bench = many(513);
    expect(outcomeText(bench, bench.tryToEnter())).toBe('exit 34, qualification 513');
  });

  test('a list beyond the end of memory cannot be read', () => {
    const bench = withList('VM_ENTRY_MSR_LOAD', [[STAR, 1]]);
    bench.set({ VM_ENTRY_MSR_LOAD_ADDR: 2 ** 40 });
    expect(outcomeText(bench, bench.tryToEnter())).toBe('exit 34, qualification 1');
  });
});

describe('VM-exit MSR-store list', () => {
  test("stores the guest's values", () => {
    const bench = withList('VM_EXIT_MSR_STORE', [
      [KERNEL_GS_BASE, 0],
      [TSC_AUX, 0],
    ]);
    bench.exitOf(`mov ecx, ${TSC_AUX}\nmov eax, 0x1234\nxor edx, edx\nwrmsr\nswapgs\nvmcall`);
    // No bitmaps: every WRMSR exits, before it is done.
    expect([bench.exit.reason, stored(bench, 1)]).toEqual(['MSR_WRITE', 0]);
    bench.setRegister('tscAux', 0x1234);
    expect(bench.skipAndResume().reason).toBe('VMCALL');
    expect([stored(bench, 0), stored(bench, 1)]).toEqual([0, 0x1234]);
  });

  test('the time-stamp counter is the physical one, whatever the offset', () => {
    const bench = withList('VM_EXIT_MSR_STORE', [[TSC, 0]]);
    bench.add('CPU_BASED_VM_EXEC_CONTROL', 1 << 3);
    bench.set({ TSC_OFFSET: 1_000_000 });
    bench.now = 5000;
    bench.exitOf('rdtsc\nvmcall');
    expect(bench.register('rax')).toBe(1_005_000);
    expect(stored(bench, 0)).toBe(5001);
  });

  test('a time-stamp counter that an entry has loaded goes on from there, and is state', () => {
    const bench = withList('VM_ENTRY_MSR_LOAD', [[TSC, Long.fromBits(7, 5)]]);
    bench.add('CPU_BASED_VM_EXEC_CONTROL', 1 << 3);
    bench.set({ TSC_OFFSET: 100 });
    bench.now = 5000;
    bench.exitOf('rdtsc\nvmcall');
    expect([bench.register('rax'), bench.register('rdx')]).toEqual([107, 5]);
    const { virtual } = bench;
    const later = virtual.processor.clock + 10;
    const { state } = virtual;
    virtual.tscAhead = null;
    expect(virtual.timeStamp(later).toNumber()).toBe(later + 100);
    virtual.state = state;
    expect(virtual.timeStamp(later).toString()).toBe(
      Long.fromBits(107, 5)
        .add(later - 5000)
        .toString(),
    );
  });

  test.each([0x800, 0x12345])('MSR %i cannot be stored: VMX abort 1', (index) => {
    const bench = withList('VM_EXIT_MSR_STORE', [[index, 0]]);
    bench.enter();
    expect(bench.virtual.run(1000)).toEqual({ kind: 'abort', indicator: 1 });
    expect(bench.virtual.vmcs.abortIndicator).toBe(1);
    expect(bench.memory.view.getInt32(bench.virtual.vmcs.hpa + 4, true)).toBe(1);
  });
});

describe('VM-exit MSR-load list', () => {
  test("loads the host's values", () => {
    const bench = withList('VM_EXIT_MSR_LOAD', [[KERNEL_GS_BASE, 0x5000]]);
    bench.setRegister('kernelGsBase', 0x4000);
    bench.resume();
    expect(bench.register('kernelGsBase')).toBe(0x5000);
  });

  test('what guest-state fields hold stays there', () => {
    const bench = withList('VM_EXIT_MSR_LOAD', [[0x174, 0x10]]);
    bench.set({ GUEST_SYSENTER_CS: 8 });
    bench.resume();
    expect(bench.field('GUEST_SYSENTER_CS')).toBe(8);
  });

  test('one that cannot be loaded: VMX abort 4', () => {
    const bench = withList('VM_EXIT_MSR_LOAD', [[0xc0000100, 0]]);
    bench.enter();
    expect(bench.virtual.run(1000)).toEqual({ kind: 'abort', indicator: 4 });
  });
});

describe('fields that an exit does not save', () => {
  const LOAD = { debug: 1 << 2, pat: 1 << 14, efer: 1 << 15 } as const;
  const SAVE = { debug: 1 << 2, pat: 1 << 18, efer: 1 << 20 } as const;
  /** A field, what changes it, and its values before and after. */
  const CASES = [
    ['debug', 'GUEST_DR7', 'mov rax, 0x455\nmov dr7, rax', 0x400, 0x455],
    ['pat', 'GUEST_IA32_PAT', 'mov ecx, 0x277\nxor eax, eax\nxor edx, edx\nwrmsr', 0x0606, 0],
    [
      'efer',
      'GUEST_IA32_EFER',
      'mov ecx, 0xc0000080\nmov eax, 0xd00\nxor edx, edx\nwrmsr',
      0xd01,
      0xd00,
    ],
  ] as const;

  test.each([
    // [loaded, saved, holds the guest's value afterwards]
    [true, true, true],
    [true, false, false],
    // Neither: the field is the register itself.
    [false, false, true],
  ])('loaded: %s, saved: %s', (loaded, saved, changes) => {
    for (const [which, field, change, before, after] of CASES) {
      const bench = new VmxBench();
      bench.add('CPU_BASED_VM_EXEC_CONTROL', 1 << 28);
      // A bitmap of zeros: no WRMSR exits.
      bench.set({ MSR_BITMAP: bench.ramHpa + 0x40000, [field]: before });
      bench.remove('VM_EXIT_CONTROLS', SAVE[which]);
      bench.remove('VM_ENTRY_CONTROLS', LOAD[which]);
      if (loaded) bench.add('VM_ENTRY_CONTROLS', LOAD[which]);
      if (saved) bench.add('VM_EXIT_CONTROLS', SAVE[which]);
      expect(bench.exitOf(`${change}\nvmcall`).reason).toBe('VMCALL');
      expect([which, bench.field(field)]).toEqual([which, changes ? after : before]);
    }
  });

  test('the next entry goes on with the old breakpoints', () => {
    const bench = new VmxBench();
    bench.add('VM_ENTRY_CONTROLS', LOAD.debug);
    bench.remove('VM_EXIT_CONTROLS', SAVE.debug);
    bench.set({ GUEST_DR7: 0x400 });
    const labels = bench.load(`
        mov rax, second
        mov dr0, rax
        mov rax, 0x402
        mov dr7, rax
        vmcall
      second: nop
        vmcall`);
    expect(bench.resume().reason).toBe('VMCALL');
    // The breakpoint at the NOP was never saved.
    expect(bench.skipAndResume()).toMatchObject({
      reason: 'VMCALL',
      rip: (labels.get('second') ?? 0) + 1,
    });
  });
});
