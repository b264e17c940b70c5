// Guests outside IA-32e mode: what entry checks of them, and how they run and exit. SDM 3,
// "Unrestricted Guests", "Checks on the Guest-State Area", "Loading Page-Directory-Pointer-Table
// Entries", "Recording VM-Exit Information and Updating VM-entry Control Fields".

import Long from 'long';
import { describe, expect, test } from 'vitest';
import { EntryControl, Primary, Secondary } from '../../src/vmx/index.ts';
import { type AcceptedCase, accepts, type RefusedCase, refuses } from '../support/entry-outcome.ts';
import { Controls } from '../support/valid-vmcs.ts';
import { At, exitRecord, type FieldValues, VmxBench } from '../support/vmx-bench.ts';
import {
  PAE_PAGED,
  PAGED,
  PROTECTED,
  REAL,
  UNRESTRICTED,
  VIRTUAL_8086,
} from '../support/vmx-modes.ts';

const FAILED = 'exit 33, qualification 0';
const FAILED_FOR_PDPTES = 'exit 33, qualification 2';
const IA32E = 0x200;
const NO_EPT: FieldValues = {
  SECONDARY_VM_EXEC_CONTROL: Controls.SECONDARY & ~Secondary.ENABLE_EPT,
};

describe('controls', () => {
  refuses('error 7', [
    [
      'unrestricted guest without EPT',
      { SECONDARY_VM_EXEC_CONTROL: 0x88 },
      /"unrestricted guest" needs "enable EPT"/,
    ],
    [
      'an error code in real mode',
      { ...REAL, VM_ENTRY_INTR_INFO_FIELD: 0x80000b0d },
      /not in real mode/,
    ],
    [
      '#GP without an error code in protected mode',
      { ...PROTECTED, VM_ENTRY_INTR_INFO_FIELD: 0x8000030d },
      /error code/,
    ],
  ]);
  accepts([
    ['unrestricted 64-bit guest', UNRESTRICTED],
    ['#GP without an error code in real mode', { ...REAL, VM_ENTRY_INTR_INFO_FIELD: 0x8000030d }],
  ]);
});

describe('modes', () => {
  accepts([
    ['real mode', REAL],
    ['protected mode', PROTECTED],
    ['protected mode with 32-bit paging, not unrestricted', PAGED],
    ['protected mode with PAE paging, not unrestricted', PAE_PAGED],
    ['virtual-8086 mode, not unrestricted', VIRTUAL_8086],
    ['virtual-8086 mode, unrestricted', { ...VIRTUAL_8086, ...UNRESTRICTED }],
    ['compatibility mode', { GUEST_CS_AR_BYTES: 0xc09b }],
    ['PCIDs in IA-32e mode', { GUEST_CR4: 0x22020 }],
  ]);
  refuses(FAILED, [
    ['PE clear, not unrestricted', { GUEST_CR0: 0x80000030 }, /CR0 has the fixed bits/],
    ['PG clear, not unrestricted', { ...PAGED, GUEST_CR0: 0x31 }, /CR0 has the fixed bits/],
    ['NE clear, unrestricted', { ...PROTECTED, GUEST_CR0: 0x11 }, /CR0 has the fixed bits/],
    ['PG without PE', { ...REAL, GUEST_CR0: 0x80000030 }, /CR0.PG needs CR0.PE/],
    ['IA-32e mode without PG', { ...UNRESTRICTED, GUEST_CR0: 0x31 }, /IA-32e mode guest has/],
    ['PCIDs outside IA-32e mode', { ...PAE_PAGED, GUEST_CR4: 0x22020 }, /PCIDE only in IA-32e/],
    ['virtual-8086 mode without PE', { ...REAL, GUEST_RFLAGS: 0x20002 }, /RFLAGS.VM is 0/],
  ]);
});

describe('EFER, when entry loads it', () => {
  const load = (controls: number) => ({
    VM_ENTRY_CONTROLS: controls | EntryControl.LOAD_IA32_EFER,
  });
  const outside = load(Controls.ENTRY - IA32E);
  refuses(FAILED, [
    ['LMA outside IA-32e mode', { ...PROTECTED, ...outside, GUEST_IA32_EFER: 0x500 }, /LMA equals/],
    ['LME with paging outside it', { ...PAGED, ...outside, GUEST_IA32_EFER: 0x100 }, /LMA equals/],
  ]);
  accepts([
    ['LME without paging', { ...PROTECTED, ...outside, GUEST_IA32_EFER: 0x100 }],
    ['neither', { ...PAGED, ...outside, GUEST_IA32_EFER: 0x801 }],
  ]);

  test.each<[string, FieldValues, number, number]>([
    // [what, state, EFER before, EFER in the guest]
    ['outside IA-32e mode with paging LMA and LME are cleared', PAGED, 0xd01, 0x801],
    ['without paging LME stays', PROTECTED, 0x501, 0x101],
    ['in IA-32e mode both are set', {}, 0x801, 0xd01],
  ])('when it does not: %s', (_what, state, before, after) => {
    const bench = new VmxBench();
    bench.set({ ...state, GUEST_IA32_EFER: before });
    bench.enter();
    expect(bench.field('GUEST_IA32_EFER')).toBe(after);
  });
});

describe('segments of an unrestricted guest', () => {
  const cs = (rights: number): FieldValues => ({ ...PROTECTED, GUEST_CS_AR_BYTES: rights });
  accepts([
    ['CS of type 3', cs(0xc093)],
    ['an RPL of SS that is not that of CS', { ...PROTECTED, GUEST_SS_SELECTOR: 3 }],
    ['a DPL of DS below its RPL', { ...PROTECTED, GUEST_DS_SELECTOR: 0x13 }],
    ['a 16-bit TSS', { ...PROTECTED, GUEST_TR_AR_BYTES: 0x83 }],
    ['L and D outside IA-32e mode', cs(0xe09b)],
  ]);
  refuses(FAILED, [
    ['CS of type 3, not unrestricted', { ...PAGED, GUEST_CS_AR_BYTES: 0xc093 }, /CS is present/],
    ...[1, 2, 7].map(
      (type): RefusedCase => [`CS of type ${type}`, cs(0xc090 | type), /CS is pres/],
    ),
    ['CS of type 3 with DPL 3', cs(0xc0f3), /CS is data/],
    [
      'CS of type 3 with SS of DPL 3',
      { ...cs(0xc093), GUEST_SS_AR_BYTES: 0xc0f3 },
      /the DPL of SS is 0/,
    ],
    [
      'SS of DPL 3 in real mode',
      { ...REAL, GUEST_SS_AR_BYTES: 0xf3, GUEST_CS_AR_BYTES: 0xfb },
      /the DPL of SS is 0/,
    ],
    [
      'a DPL of SS that is not its RPL, not unrestricted',
      { ...PAGED, GUEST_SS_SELECTOR: 0x13 },
      /RPLs/,
    ],
    ['a 16-bit TSS in IA-32e mode', { GUEST_TR_AR_BYTES: 0x83 }, /TR is usable/],
    ['an available 16-bit TSS', { ...PROTECTED, GUEST_TR_AR_BYTES: 0x81 }, /TR is usable/],
  ]);
});

describe('segments in virtual-8086 mode', () => {
  const rule = /in virtual-8086 mode the base is 16 times/;
  const names = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS'] as const;
  refuses(
    FAILED,
    names.flatMap((name): RefusedCase[] => [
      [`${name} at another base`, { ...VIRTUAL_8086, [`GUEST_${name}_BASE`]: 0x1010 }, rule],
      [`${name} with another limit`, { ...VIRTUAL_8086, [`GUEST_${name}_LIMIT`]: 0xfffff }, rule],
      [`${name} with other rights`, { ...VIRTUAL_8086, [`GUEST_${name}_AR_BYTES`]: 0x93 }, rule],
    ]),
  );
  accepts(
    names.map((name): AcceptedCase => {
      const high = { [`GUEST_${name}_SELECTOR`]: 0xffff, [`GUEST_${name}_BASE`]: 0xffff0 };
      return [`${name} with selector FFFF`, { ...VIRTUAL_8086, ...high }];
    }),
  );

  test('segments are looked at again when RFLAGS.VM changes', () => {
    const bench = new VmxBench();
    bench.set(VIRTUAL_8086);
    bench.enter();
    bench.virtual.run(bench.now);
    bench.set({ GUEST_RFLAGS: 2 });
    const outcome = bench.tryToEnter();
    expect(outcome.kind === 'entryFailure' && outcome.check.rule).toMatch(/RPLs of SS and CS/);
  });
});

describe('PDPTEs', () => {
  const reserved = Long.fromInt(3);
  refuses(
    FAILED_FOR_PDPTES,
    [0, 1, 2, 3].map((number): RefusedCase => {
      return [
        `with EPT: PDPTE${number} with bit 1`,
        { ...PAE_PAGED, [`GUEST_PDPTR${number}`]: reserved },
        /with "enable EPT", PDPTEs/,
      ];
    }),
  );
  accepts([
    ['reserved bits of one that is not present', { ...PAE_PAGED, GUEST_PDPTR0: 2 }],
    ['reserved bits under 32-bit paging', { ...PAGED, GUEST_PDPTR0: reserved }],
    ['reserved bits in IA-32e mode', { GUEST_PDPTR0: reserved }],
    ['reserved bits without paging', { ...PROTECTED, GUEST_CR4: 0x2020, GUEST_PDPTR0: reserved }],
  ]);

  test('without EPT they come from memory', () => {
    const bench = new VmxBench();
    const table = bench.ramHpa + At.DATA;
    bench.memory.write64(table, 0x1001, 0);
    bench.set({ ...PAE_PAGED, ...NO_EPT, GUEST_CR3: table, GUEST_PDPTR0: 3 });
    bench.enter();
    expect(bench.field('GUEST_PDPTR0')).toBe(0x1001);
    bench.memory.write64(table + 24, 3, 0);
    bench.set({ GUEST_CR3: table });
    const outcome = bench.tryToEnter();
    expect(outcome.kind === 'entryFailure' && outcome.check.qualification).toBe(2);
    expect(bench.field('EXIT_QUALIFICATION')).toBe(2);
  });
});

/** `mov cr3, eax`, `mov cr0, eax` and so on, the same in every mode. */
const MOV = { cr0: '0f 22 c0', cr3: '0f 22 d8', cr4: '0f 22 e0' } as const;
const VMCALL = '0f 01 c1';

/** Guest code by its bytes. */
function code(bench: VmxBench, ...bytes: readonly string[]): void {
  const list = bytes.join(' ').split(' ');
  const data = Uint8Array.from(list.map((byte) => Number.parseInt(byte, 16)));
  bench.memory.write(bench.ramHpa + At.CODE, data);
}

/** A guest at At.CODE; in real mode by way of the base of CS. */
function guest(state: FieldValues, ...bytes: readonly string[]): VmxBench {
  const bench = new VmxBench();
  bench.set(state);
  if (state === REAL)
    bench.set({ GUEST_CS_BASE: At.CODE, GUEST_CS_SELECTOR: 0x1000, GUEST_RIP: 0 });
  code(bench, ...bytes);
  return bench;
}

describe('running', () => {
  test('in real mode: CS:IP, 16-bit code, EPT translates physical addresses', () => {
    // mov ax, 0x1234; mov [0x500], ax; vmcall
    const bench = guest(REAL, 'b8 34 12 a3 00 05', VMCALL);
    expect(bench.resume()).toEqual(exitRecord('VMCALL', 6, { lengthBytes: 3 }));
    expect(bench.read64(0x500) % 0x10000).toBe(0x1234);
    expect(bench.field('VM_ENTRY_CONTROLS') & IA32E).toBe(0);
  });

  test('beyond RAM without paging: an EPT violation, with the linear address', () => {
    // mov eax, [0x123456]
    const bench = guest(PROTECTED, 'a1 56 34 12 00');
    const { reason, gpa, linear, qualification } = bench.resume();
    expect([reason, gpa, linear, qualification]).toEqual([
      'EPT_VIOLATION',
      0x123456,
      0x123456,
      // Read, of nothing that is mapped; the address is a linear one, and it is the final one.
      0x181,
    ]);
  });

  test('into protected mode, without an exit if the host does not own PE', () => {
    const bench = guest(REAL, MOV.cr0, VMCALL);
    bench.setRegister('rax', 0x31);
    expect(bench.resume()).toEqual(exitRecord('VMCALL', 3, { lengthBytes: 3 }));
    expect(bench.field('GUEST_CR0')).toBe(0x31);
  });

  test.each([
    ['PE', REAL, 0x31],
    ['PG', PROTECTED, 0x80000031],
  ])('%s set exits if the host owns it', (_name, state, value) => {
    const bench = guest(state, MOV.cr0);
    bench.set({ CR0_GUEST_HOST_MASK: 0x80000001, CR0_READ_SHADOW: state === REAL ? 0x30 : 0x31 });
    bench.setRegister('rax', value);
    expect(bench.resume()).toMatchObject({ reason: 'CR_ACCESS', qualification: 0 });
  });

  test.each([
    ['unrestricted, PE may be cleared', PROTECTED, 0x30, 'VMCALL'],
    ['not unrestricted, PG may not', PAGED, 0x31, 'EXCEPTION_NMI'],
    ['NE never', PROTECTED, 0x11, 'EXCEPTION_NMI'],
  ])('%s', (_what, state, value, reason) => {
    const bench = guest(state, MOV.cr0, VMCALL);
    flatPages(bench);
    bench.set({ EXCEPTION_BITMAP: 1 << 13 });
    bench.setRegister('rax', value);
    expect(bench.resume().reason).toBe(reason);
  });

  /** A page directory at At.DATA whose first 4 MiB are one page. */
  function flatPages(bench: VmxBench): void {
    bench.memory.write(bench.ramHpa + At.DATA, Uint8Array.of(0x87, 0, 0, 0));
    bench.set({ GUEST_CR3: At.DATA });
  }

  test('with 32-bit paging', () => {
    const bench = guest(PAGED, 'a1 00 05 00 00', VMCALL);
    flatPages(bench);
    bench.write64(0x500, 0x12345678);
    expect(bench.resume().reason).toBe('VMCALL');
    expect(bench.register('rax')).toBe(0x12345678);
  });

  test('into IA-32e mode: the exit says so in the entry controls', () => {
    const bench = guest(
      { ...PROTECTED, GUEST_IA32_EFER: 0x100, GUEST_CR4: 0x2020 },
      MOV.cr0,
      VMCALL,
    );
    bench.setRegister('rax', 0x80000031);
    expect(bench.resume()).toEqual(exitRecord('VMCALL', At.CODE + 3, { lengthBytes: 3 }));
    expect(bench.field('GUEST_IA32_EFER')).toBe(0x500);
    expect(bench.field('VM_ENTRY_CONTROLS') & IA32E).toBe(IA32E);
    expect(bench.tryToEnter().kind).toBe('entered');
  });

  test('out of IA-32e mode by way of compatibility mode', () => {
    const bench = guest({ ...UNRESTRICTED, GUEST_CS_AR_BYTES: 0xc09b }, MOV.cr0, VMCALL);
    bench.setRegister('rax', 0x31);
    expect(bench.resume().reason).toBe('VMCALL');
    expect(bench.field('GUEST_IA32_EFER') & 0x400).toBe(0);
    expect(bench.field('VM_ENTRY_CONTROLS') & IA32E).toBe(0);
  });
});

describe('injection in real mode', () => {
  // The vector table at 0: vector 0x20 leads to 0x2000:0x10.
  function real(): VmxBench {
    const bench = guest(REAL, VMCALL);
    bench.write64(4 * 0x20, 0x20000010);
    bench.memory.write(bench.ramHpa + 0x20010, Uint8Array.of(0x0f, 0x01, 0xc1));
    bench.set({ GUEST_RFLAGS: 0x202 });
    return bench;
  }
  const frame = (bench: VmxBench) =>
    [0, 2, 4].map((at) => bench.read64(bench.field('GUEST_RSP') + at) % 0x10000);

  test.each([
    ['an external interrupt', 0x80000020, 0, 0],
    ['a hardware exception', 0x80000314, 0, 0],
    ['a software interrupt', 0x80000420, 2, 2],
  ])('%s goes through the vector table', (_what, information, lengthBytes, ip) => {
    const bench = real();
    bench.write64(4 * 0x14, 0x20000010);
    bench.set({
      VM_ENTRY_INTR_INFO_FIELD: information,
      VM_ENTRY_INSTRUCTION_LEN: lengthBytes,
    });
    expect(bench.resume()).toEqual(exitRecord('VMCALL', 0x10, { lengthBytes: 3 }));
    expect(bench.field('GUEST_CS_BASE')).toBe(0x20000);
    expect(frame(bench)).toEqual([ip, 0x1000, 0x202]);
    expect(bench.field('GUEST_RFLAGS') & 0x200).toBe(0);
  });

  test('a fault on the way exits without an error code', () => {
    const bench = real();
    // The table ends before the vector.
    bench.set({
      GUEST_IDTR_LIMIT: 4 * 0x20 - 1,
      VM_ENTRY_INTR_INFO_FIELD: 0x80000020,
      EXCEPTION_BITMAP: 1 << 13,
    });
    const exit = bench.resume();
    expect(exit).toMatchObject({ reason: 'EXCEPTION_NMI', idtVectoring: 0x80000020 });
    expect([exit.interruption, exit.errorCode]).toEqual([0x8000030d, null]);
  });
});

describe('PDPTEs of a guest', () => {
  const DIRECTORY = 0x22000;

  function paged(): VmxBench {
    const bench = guest(PAE_PAGED, MOV.cr3, VMCALL);
    bench.write64(DIRECTORY, 0x87);
    bench.set({ GUEST_PDPTR0: DIRECTORY | 1 });
    return bench;
  }

  test('entry takes them from the VMCS, MOV to CR3 from memory by way of EPT', () => {
    const bench = paged();
    bench.write64(At.DATA, DIRECTORY | 1);
    bench.write64(At.DATA + 8, 0x5001);
    bench.setRegister('rax', At.DATA);
    expect(bench.resume().reason).toBe('VMCALL');
    expect([bench.field('GUEST_PDPTR0'), bench.field('GUEST_PDPTR1')]).toEqual([
      DIRECTORY | 1,
      0x5001,
    ]);
  });

  test('an EPT violation while they are loaded is for no linear address', () => {
    const bench = paged();
    bench.setRegister('rax', At.END);
    expect(bench.resume()).toEqual(
      exitRecord('EPT_VIOLATION', At.CODE, { qualification: 1, gpa: At.END }),
    );
    expect(bench.field('GUEST_CR3')).toBe(At.PML4);
  });

  test('reserved bits in memory fault', () => {
    const bench = paged();
    bench.write64(At.DATA, DIRECTORY | 3);
    bench.set({ EXCEPTION_BITMAP: 1 << 13 });
    bench.setRegister('rax', At.DATA);
    expect(bench.resume()).toMatchObject({ reason: 'EXCEPTION_NMI', errorCode: 0 });
  });
});

describe('INVPCID', () => {
  const SOURCE = `mov qword [${At.DATA}], 0\nmov eax, 2\ninvpcid rax, [${At.DATA}]\nvmcall`;
  const enabled = { SECONDARY_VM_EXEC_CONTROL: Controls.SECONDARY | Secondary.ENABLE_INVPCID };
  const exiting = {
    CPU_BASED_VM_EXEC_CONTROL: (Controls.PRIMARY | Primary.INVLPG_EXITING) >>> 0,
  };

  test('is undefined unless it is enabled, at every CPL', () => {
    for (const user of [false, true]) {
      const bench = new VmxBench();
      bench.set({ EXCEPTION_BITMAP: 1 << 6 });
      if (user) bench.enterUserMode();
      expect(bench.exitOf(SOURCE).interruption & 0xff).toBe(6);
    }
  });

  test('executes if enabled', () => {
    const bench = new VmxBench();
    bench.set(enabled);
    expect(bench.exitOf(SOURCE).reason).toBe('VMCALL');
  });

  test('exits under "INVLPG exiting", before memory is looked at', () => {
    const bench = new VmxBench();
    bench.set({ ...enabled, ...exiting });
    bench.setRegister('rcx', 0x1000_0000);
    const { reason, qualification, lengthBytes } = bench.exitOf('invpcid rdx, [rcx + 0x123456]');
    expect([reason, qualification]).toEqual(['INVPCID', 0x123456]);
    expect(lengthBytes).toBeGreaterThan(5);
    // Register 2 is RDX; base RCX, no index; 64-bit addresses; DS.
    const information = (2 << 28) | (1 << 23) | (1 << 22) | (3 << 15) | (2 << 7);
    expect(bench.field('VMX_INSTRUCTION_INFO')).toBe(information);
  });

  test('CPL 3 comes before the exit', () => {
    const bench = new VmxBench();
    bench.set({ ...enabled, ...exiting, EXCEPTION_BITMAP: 1 << 13 });
    bench.enterUserMode();
    expect(bench.exitOf('invpcid rdx, [rcx]')).toMatchObject({
      reason: 'EXCEPTION_NMI',
      errorCode: 0,
    });
  });
});
