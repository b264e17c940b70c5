// Exits that a scenario may ask for although KVM does not: what the guest sees must not change, and
// each exit is handled as Linux 6.1 would (arch/x86/kvm/vmx/vmx.c, handle_invlpg, handle_invpcid,
// handle_cr; emulate.c, em_rdtsc).

import { describe, expect, test } from 'vitest';
import type { ExtraExit } from '../../src/vmx/index.ts';
import { KVM_COSTS, KvmBench, VMX_COSTS } from '../support/kvm-bench.ts';

function bench(extraExits: readonly ExtraExit[], source: string): KvmBench {
  return new KvmBench(source, { parameters: { extraExits } }).finish();
}

const INVPCID_ALL = 'mov qword [0x9200], 0\nmov qword [0x9208], 0\nmov eax, 2';

describe('each control has its exit, and only with it', () => {
  test.each<[ExtraExit, string, string, string]>([
    // [control, preparation, instruction, reason]
    ['INVLPG_EXITING', '', 'invlpg [0x200000]', 'INVLPG'],
    ['INVLPG_EXITING', INVPCID_ALL, 'invpcid rax, [0x9200]', 'INVPCID'],
    ['RDTSC_EXITING', '', 'rdtsc', 'RDTSC'],
    ['RDTSC_EXITING', '', 'rdtscp', 'RDTSCP'],
    ['CR3_LOAD_EXITING', 'mov rax, cr3', 'mov cr3, rax', 'CR_ACCESS'],
    ['CR3_STORE_EXITING', '', 'mov rax, cr3', 'CR_ACCESS'],
    ['PAUSE_EXITING', '', 'pause', 'PAUSE_INSTRUCTION'],
    ['DESC', '', 'sgdt [0x9200]', 'GDTR_IDTR'],
    ['DESC', '', 'str rax', 'LDTR_TR'],
    ['WBINVD_EXITING', '', 'wbinvd', 'WBINVD'],
  ])('%s: %s %s', (control, setup, instruction, reason) => {
    const source = `${setup}\n${instruction}\nafter: finish`;
    expect(bench([], source).exits()).toEqual(['IO_INSTRUCTION']);
    const exiting = bench([control], source);
    // The prologue of the bench loads IDTR.
    const before = control === 'DESC' ? ['GDTR_IDTR'] : [];
    expect(exiting.exits()).toEqual([...before, reason, 'IO_INSTRUCTION']);
    expect(exiting.lines('kvm_inj_exception')).toEqual([]);
  });
});

describe('INVLPG', () => {
  test('qualification is the linear address, and it is counted as kvm_stat does', () => {
    const made = bench(['INVLPG_EXITING'], 'mov rbx, 0x200000\ninvlpg [rbx + 8]\nfinish');
    expect(made.lines('kvm_exit')[0]).toContain('reason INVLPG');
    expect(made.lines('kvm_exit')[0]).toMatch(/info1 0x0*200008 /);
    expect(made.counters().invlpg).toBe(1);
  });

  test('a remapped page is seen through it', () => {
    // The third page directory entry, 4 MiB, is made another name of the first.
    const made = bench(
      ['INVLPG_EXITING'],
      `mov result(1), 77
       mov rax, [0x3010]
       mov qword [0x3010], 0x87
       invlpg [0x400000]
       mov rax, [0x400000 + 0x9108]
       mov result(0), rax
       finish`,
    );
    expect(made.result(0)).toBe(77n);
  });
});

test('INVPCID of a type that does not exist is #GP(0) after the exit', () => {
  const source = `${INVPCID_ALL}\nmov eax, 4\nmov r14, -1\ntry invpcid rax, [0x9200]
      mov result(0), r15\nmov result(1), r14\nfinish`;
  const made = bench(['INVLPG_EXITING'], source);
  expect(made.results(2)).toEqual([13n, 0n]);
  expect(made.exits()[0]).toBe('INVPCID');
});

describe('RDTSC and RDTSCP', () => {
  const twice = (instruction: string) => `
      mov rax, -1
      mov rdx, -1
      write_msr 0xc0000103, 0x123456
      ${instruction}
      shl rdx, 32
      or rax, rdx
      mov result(0), rax
      mov result(2), rcx
      ${instruction}
      shl rdx, 32
      or rax, rdx
      mov result(1), rax
      finish`;

  test.each(['rdtsc', 'rdtscp'])(
    '%s: the time of the handler, some exit later than before',
    (name) => {
      const difference = (extra: readonly ExtraExit[]) => {
        const [first, second] = bench(extra, twice(name)).results(2);
        return Number(second - first);
      };
      const { exitPath, entryPath, handler } = KVM_COSTS;
      const round = VMX_COSTS.exit + VMX_COSTS.entry + exitPath + entryPath + handler;
      const extra = difference(['RDTSC_EXITING']) - difference([]);
      // Instructions that exit do not cost their own cycle.
      expect(Math.abs(extra - round)).toBeLessThanOrEqual(1);
    },
  );

  test('RDTSCP has IA32_TSC_AUX in ECX; RDTSC leaves it alone', () => {
    expect(bench(['RDTSC_EXITING'], twice('rdtscp')).result(2)).toBe(0x123456n);
    expect(bench(['RDTSC_EXITING'], twice('rdtsc')).result(2)).toBe(0xc0000103n);
  });
});

describe('CR3', () => {
  test('loads and stores are seen as kvm_cr, and done', () => {
    const made = bench(
      ['CR3_LOAD_EXITING', 'CR3_STORE_EXITING'],
      `mov rax, cr3
       or rax, 8
       mov cr3, rax
       mov rbx, cr3
       mov result(0), rbx
       finish`,
    );
    expect(made.result(0)).toBe(0x1008n);
    expect(made.lines('kvm_cr')).toEqual([
      'kvm_cr: cr_read 3 = 0x1000',
      'kvm_cr: cr_write 3 = 0x1008',
      'kvm_cr: cr_read 3 = 0x1008',
    ]);
  });

  test('an address beyond the physical width is #GP(0)', () => {
    const made = bench(
      ['CR3_LOAD_EXITING'],
      'mov rax, 1 << 62\nmov r14, -1\ntry mov cr3, rax\nmov result(0), r15\nmov result(1), r14\nfinish',
    );
    expect(made.results(2)).toEqual([13n, 0n]);
  });
});
