// What explains an exit and a refused entry. What the bits mean is from the SDM: "VM-Execution
// Control Fields", tables of exit qualifications in "Basic VM-Exit Information".

import { describe, expect, test } from 'vitest';
import {
  EXIT_REASONS,
  exitReasonDetail,
  explainEntry,
  explainExit,
  FIELDS,
} from '../../src/vmx/index.ts';
import { At, type FieldValues, VmxBench } from '../support/vmx-bench.ts';

const PRIMARY = 'CPU_BASED_VM_EXEC_CONTROL';

function explained(source: string, change: FieldValues = {}) {
  const bench = new VmxBench();
  bench.set(change);
  bench.exitOf(source);
  return explainExit(bench.virtual.vmcs);
}

/** `name value meaning` of the parts of the qualification. */
function qualificationOf({ information }: ReturnType<typeof explainExit>): string[] {
  const field = information.find(({ name }) => name === 'EXIT_QUALIFICATION');
  return (field?.parts ?? []).map(({ name, value, meaning }) =>
    [name, value.toString(16), meaning].join(' ').trimEnd(),
  );
}

describe('an exit', () => {
  test('HLT names its control', () => {
    const exit = explained('hlt');
    expect(exit).toMatchObject({
      number: 12,
      name: 'HLT',
      isEntryFailure: false,
      section: 'Instructions That Cause VM Exits Conditionally',
      because: ['"HLT exiting" is 1'],
      controls: [
        { field: PRIMARY, name: 'HLT_EXITING', title: 'HLT exiting', bit: 7, isSet: true },
      ],
    });
  });

  test('one that cannot be switched off has no control', () => {
    expect(explained('cpuid')).toMatchObject({
      name: 'CPUID',
      section: 'Instructions That Cause VM Exits Unconditionally',
      controls: [],
      because: [],
    });
  });

  test.each<[string, string, FieldValues, string[], string[]]>([
    [
      'IN AL, DX',
      'mov dx, 0x3f8\nin al, dx',
      { [PRIMARY]: 0x84006172 + 2 ** 24 },
      ['size 0 1 byte', 'direction 1 IN', 'port given by 0 DX', 'port 3f8'],
      ['"Unconditional I/O exiting" is 1'],
    ],
    [
      'MOV DR7',
      'mov dr7, rbx',
      { [PRIMARY]: 0x84006172 + 2 ** 23 },
      ['debug register 7', 'direction 0 MOV to DR', 'general register 3 RBX'],
      ['"MOV-DR exiting" is 1'],
    ],
    [
      'MOV CR3',
      'mov rax, cr3',
      { [PRIMARY]: 0x84006172 + 2 ** 16 },
      [
        'control register 3',
        'access 1 MOV from CR',
        'LMSW operand 0 register',
        'general register 0 RAX',
      ],
      ['"CR3-store exiting" is 1'],
    ],
    [
      'MOV CR0 that clears WP',
      'mov rcx, 0x80000033\nmov cr0, rcx',
      { CR0_GUEST_HOST_MASK: 0x10000, CR0_READ_SHADOW: 0x80010033 },
      ['access 0 MOV to CR', 'LMSW operand 0 register', 'general register 1 RCX'],
      ["CR0.WP is the host's (guest/host mask 1), and 0 was written where the guest reads 1"],
    ],
    ['UD2', 'ud2', { EXCEPTION_BITMAP: 1 << 6 }, [], ['bit 6 of EXCEPTION_BITMAP is 1']],
    [
      'a page fault that the mask selects',
      `mov rax, [${At.END + 0x2008}]`,
      { EXCEPTION_BITMAP: 0, PAGE_FAULT_ERROR_CODE_MASK: 0, PAGE_FAULT_ERROR_CODE_MATCH: 1 },
      ['linear address that faulted 102008'],
      [
        'bit 14 of EXCEPTION_BITMAP is 0',
        'error code 0x0 under the mask 0x0 differs from the match 0x1',
      ],
    ],
    [
      'PAUSE exiting',
      'pause',
      { [PRIMARY]: 0x84006172 + 2 ** 30 },
      [],
      ['"PAUSE exiting" is 1: every PAUSE exits'],
    ],
    [
      'a PAUSE loop',
      'again: pause\njmp again',
      { SECONDARY_VM_EXEC_CONTROL: 0x0a + 2 ** 10, PLE_GAP: 128, PLE_WINDOW: 200 },
      [],
      [
        '"PAUSE-loop exiting" is 1, and a loop of PAUSEs at CPL 0, at most 128 cycles apart, ' +
          'has lasted for more than 200 cycles',
      ],
    ],
    [
      'RDMSR without bitmaps',
      'mov ecx, 0x10\nrdmsr',
      {},
      [],
      ['"Use MSR bitmaps" is 0: every RDMSR and WRMSR exits'],
    ],
    [
      'an EPT violation',
      `mov [${At.END}], rax`,
      {},
      ['data write 1', 'guest-linear address is valid 1', 'access was 1 to the translated address'],
      ['"Enable EPT" is 1'],
    ],
  ])('%s: parts of the qualification, and why', (_what, source, change, parts, because) => {
    const exit = explained(source, change);
    expect(qualificationOf(exit)).toEqual(parts);
    expect(exit.because).toEqual(because);
  });

  test('secondary controls that are not activated count as 0', () => {
    const bench = new VmxBench();
    bench.set({ SECONDARY_VM_EXEC_CONTROL: 0x0a + 2 ** 10, PLE_GAP: 128, PLE_WINDOW: 200 });
    bench.exitOf('again: pause\njmp again');
    bench.remove(PRIMARY, 2 ** 31);
    const [, loop] = explainExit(bench.virtual.vmcs).controls;
    expect(loop).toMatchObject({ name: 'PAUSE_LOOP_EXITING', isSet: false });
  });

  test('the event that was being delivered is taken apart', () => {
    const bench = new VmxBench();
    bench.gate(0x21, { present: false });
    bench.set({ EXCEPTION_BITMAP: 1 << 11 });
    bench.exitOf('int 0x21');
    const { information } = explainExit(bench.virtual.vmcs);
    const parts = information
      .find(({ name }) => name === 'IDT_VECTORING_INFO_FIELD')
      ?.parts.map(({ name, value, meaning }) => `${name} ${value.toString(16)} ${meaning}`);
    expect(parts).toEqual(['vector 21 ', 'type 4 software interrupt', 'valid 1 ']);
  });
});

test('every reason has a section, and fields that exist', () => {
  const fields = new Set<string>(FIELDS.map(({ name }) => name));
  for (const reason of EXIT_REASONS) {
    const detail = exitReasonDetail(reason);
    expect(detail.section, reason.name).not.toBe('');
    for (const name of [...detail.deciding, ...detail.information]) expect(fields).toContain(name);
    const bits = detail.qualification.flatMap(({ high, low }) =>
      Array.from({ length: high - low + 1 }, (_, i) => low + i),
    );
    expect(new Set(bits).size, `${reason.name}: parts overlap`).toBe(bits.length);
  }
});

describe('a refused entry', () => {
  test('names the check, the fields with their values, and the report', () => {
    const bench = new VmxBench();
    bench.set({ GUEST_CR0: 0x80010013 });
    const why = explainEntry(bench.virtual.vmcs, bench.tryToEnter());
    expect(why?.report).toEqual({ kind: 'entryFailure', reason: 33, qualification: 0 });
    expect(why?.rule).toMatch(/CR0 has the fixed bits/);
    expect(why?.section).toBe('Checks on Guest Control Registers, Debug Registers, and MSRs');
    const cr0 = why?.fields.find(({ name }) => name === 'GUEST_CR0');
    expect([cr0?.title, cr0?.value.toString(16)]).toEqual(['Guest CR0', '80010013']);
  });

  test('gives the VM-instruction error', () => {
    const bench = new VmxBench();
    const vmcs = bench.virtual.vmcs;
    const launched = explainEntry(vmcs, bench.virtual.enter(0, false));
    expect(launched?.report).toMatchObject({ kind: 'VMfailValid', error: 5 });
    bench.set({ CR3_TARGET_COUNT: 5 });
    const control = explainEntry(vmcs, bench.tryToEnter());
    expect(control?.report).toMatchObject({ kind: 'VMfailValid', error: 7 });
    expect(bench.field('VM_INSTRUCTION_ERROR')).toBe(7);
  });

  test('without a current VMCS is VMfailInvalid, and leaves the error number alone', () => {
    const bench = new VmxBench();
    const { vmcs } = bench.virtual;
    bench.enter();
    bench.virtual.run(bench.now + 1);
    vmcs.clear();
    const before = bench.field('VM_INSTRUCTION_ERROR');
    expect(explainEntry(vmcs, bench.virtual.enter(0, false))?.report.kind).toBe('VMfailInvalid');
    expect(explainEntry(vmcs, bench.virtual.enter(0, true))?.report.kind).toBe('VMfailInvalid');
    expect(bench.field('VM_INSTRUCTION_ERROR')).toBe(before);
  });

  test('a VMCS that is made current again is clear', () => {
    const bench = new VmxBench();
    const { virtual } = bench;
    bench.enter();
    virtual.vmcs.clear();
    virtual.vmcs.makeCurrent();
    expect(virtual.enter(0, false)).toMatchObject({ kind: 'failValid', error: 5 });
    expect(virtual.enter(0, true).kind).toBe('entered');
  });

  test('an entry that succeeds has nothing to explain', () => {
    const bench = new VmxBench();
    expect(explainEntry(bench.virtual.vmcs, bench.tryToEnter())).toBeNull();
  });
});
