// The VMCS fields as the SDM tables have them (3, "Field Encoding in VMCS"): encoding, width, type,
// and the name that Linux, or failing that Xen or kvm-unit-tests, gives them. Written down here a
// second time on purpose. Fields that only exist with a feature that is not offered are at the end.

export type Width = 16 | 32 | 64 | 'natural';
export type FieldType = 'control' | 'exitInformation' | 'guestState' | 'hostState';

export interface Encoding {
  readonly encoding: number;
  readonly name: string;
  readonly width: Width;
  readonly type: FieldType;
}

const SEGMENTS = ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'LDTR', 'TR'];
const TABLES = ['GDTR', 'IDTR'];

function rows(
  type: FieldType,
  width: Width,
  list: readonly (readonly [encoding: number, name: string])[],
): Encoding[] {
  return list.map(([encoding, name]) => ({ encoding, name, width, type }));
}

/** Names at even encodings from the first on. */
function run(
  first: number,
  names: readonly string[],
  prefix = '',
  suffix = '',
): (readonly [number, string])[] {
  return names.map((name, i) => [first + 2 * i, prefix + name + suffix] as const);
}

const CONTROL: readonly Encoding[] = [
  ...rows('control', 16, [[0x0000, 'VIRTUAL_PROCESSOR_ID']]),
  ...rows('control', 64, [
    [0x2000, 'IO_BITMAP_A'],
    [0x2002, 'IO_BITMAP_B'],
    [0x2004, 'MSR_BITMAP'],
    [0x2006, 'VM_EXIT_MSR_STORE_ADDR'],
    [0x2008, 'VM_EXIT_MSR_LOAD_ADDR'],
    [0x200a, 'VM_ENTRY_MSR_LOAD_ADDR'],
    [0x2010, 'TSC_OFFSET'],
    [0x2012, 'VIRTUAL_APIC_PAGE_ADDR'],
    [0x2014, 'APIC_ACCESS_ADDR'],
    [0x201a, 'EPT_POINTER'],
    [0x2032, 'TSC_MULTIPLIER'],
  ]),
  ...rows('control', 32, [
    [0x4000, 'PIN_BASED_VM_EXEC_CONTROL'],
    [0x4002, 'CPU_BASED_VM_EXEC_CONTROL'],
    [0x4004, 'EXCEPTION_BITMAP'],
    [0x4006, 'PAGE_FAULT_ERROR_CODE_MASK'],
    [0x4008, 'PAGE_FAULT_ERROR_CODE_MATCH'],
    [0x400a, 'CR3_TARGET_COUNT'],
    [0x400c, 'VM_EXIT_CONTROLS'],
    [0x400e, 'VM_EXIT_MSR_STORE_COUNT'],
    [0x4010, 'VM_EXIT_MSR_LOAD_COUNT'],
    [0x4012, 'VM_ENTRY_CONTROLS'],
    [0x4014, 'VM_ENTRY_MSR_LOAD_COUNT'],
    [0x4016, 'VM_ENTRY_INTR_INFO_FIELD'],
    [0x4018, 'VM_ENTRY_EXCEPTION_ERROR_CODE'],
    [0x401a, 'VM_ENTRY_INSTRUCTION_LEN'],
    [0x401c, 'TPR_THRESHOLD'],
    [0x401e, 'SECONDARY_VM_EXEC_CONTROL'],
    [0x4020, 'PLE_GAP'],
    [0x4022, 'PLE_WINDOW'],
  ]),
  ...rows('control', 'natural', [
    [0x6000, 'CR0_GUEST_HOST_MASK'],
    [0x6002, 'CR4_GUEST_HOST_MASK'],
    [0x6004, 'CR0_READ_SHADOW'],
    [0x6006, 'CR4_READ_SHADOW'],
    ...run(0x6008, ['0', '1', '2', '3'], 'CR3_TARGET_VALUE'),
  ]),
];

const EXIT_INFORMATION: readonly Encoding[] = [
  ...rows('exitInformation', 64, [[0x2400, 'GUEST_PHYSICAL_ADDRESS']]),
  ...rows('exitInformation', 32, [
    [0x4400, 'VM_INSTRUCTION_ERROR'],
    [0x4402, 'VM_EXIT_REASON'],
    [0x4404, 'VM_EXIT_INTR_INFO'],
    [0x4406, 'VM_EXIT_INTR_ERROR_CODE'],
    [0x4408, 'IDT_VECTORING_INFO_FIELD'],
    [0x440a, 'IDT_VECTORING_ERROR_CODE'],
    [0x440c, 'VM_EXIT_INSTRUCTION_LEN'],
    [0x440e, 'VMX_INSTRUCTION_INFO'],
  ]),
  ...rows('exitInformation', 'natural', [
    [0x6400, 'EXIT_QUALIFICATION'],
    ...run(0x6402, ['RCX', 'RSI', 'RDI', 'RIP'], 'IO_'),
    [0x640a, 'GUEST_LINEAR_ADDRESS'],
  ]),
];

const GUEST: readonly Encoding[] = [
  ...rows('guestState', 16, run(0x0800, SEGMENTS, 'GUEST_', '_SELECTOR')),
  ...rows('guestState', 64, [
    [0x2800, 'VMCS_LINK_POINTER'],
    [0x2802, 'GUEST_IA32_DEBUGCTL'],
    [0x2804, 'GUEST_IA32_PAT'],
    [0x2806, 'GUEST_IA32_EFER'],
    ...run(0x280a, ['0', '1', '2', '3'], 'GUEST_PDPTR'),
  ]),
  ...rows('guestState', 32, [
    ...run(0x4800, [...SEGMENTS, ...TABLES], 'GUEST_', '_LIMIT'),
    ...run(0x4814, SEGMENTS, 'GUEST_', '_AR_BYTES'),
    [0x4824, 'GUEST_INTERRUPTIBILITY_INFO'],
    [0x4826, 'GUEST_ACTIVITY_STATE'],
    [0x4828, 'GUEST_SMBASE'],
    [0x482a, 'GUEST_SYSENTER_CS'],
    [0x482e, 'VMX_PREEMPTION_TIMER_VALUE'],
  ]),
  ...rows('guestState', 'natural', [
    ...run(0x6800, ['0', '3', '4'], 'GUEST_CR'),
    ...run(0x6806, [...SEGMENTS, ...TABLES], 'GUEST_', '_BASE'),
    ...run(0x681a, ['DR7', 'RSP', 'RIP', 'RFLAGS'], 'GUEST_'),
    [0x6822, 'GUEST_PENDING_DBG_EXCEPTIONS'],
    [0x6824, 'GUEST_SYSENTER_ESP'],
    [0x6826, 'GUEST_SYSENTER_EIP'],
  ]),
];

const HOST: readonly Encoding[] = [
  ...rows(
    'hostState',
    16,
    run(0x0c00, ['ES', 'CS', 'SS', 'DS', 'FS', 'GS', 'TR'], 'HOST_', '_SELECTOR'),
  ),
  ...rows('hostState', 64, run(0x2c00, ['PAT', 'EFER'], 'HOST_IA32_')),
  ...rows('hostState', 32, [[0x4c00, 'HOST_IA32_SYSENTER_CS']]),
  ...rows('hostState', 'natural', [
    ...run(0x6c00, ['0', '3', '4'], 'HOST_CR'),
    ...run(0x6c06, ['FS', 'GS', 'TR', 'GDTR', 'IDTR'], 'HOST_', '_BASE'),
    ...run(0x6c10, ['ESP', 'EIP'], 'HOST_IA32_SYSENTER_'),
    ...run(0x6c14, ['RSP', 'RIP'], 'HOST_'),
  ]),
];

/** Every field that this processor has. */
export const ENCODINGS: readonly Encoding[] = [...CONTROL, ...EXIT_INFORMATION, ...GUEST, ...HOST];

/** Fields of features that are not offered here: they do not exist. */
export const NOT_OFFERED: readonly number[] = [
  // Posted interrupts, EPTP switching, executive VMCS, PML, APIC virtualization.
  ...[0x0002, 0x0004, 0x200c, 0x200e, 0x2016, 0x2018],
  // EOI-exit bitmaps, EPTP list, shadowing bitmaps, #VE, XSS and ENCLS bitmaps.
  ...[0x201c, 0x201e, 0x2020, 0x2022, 0x2024, 0x2026, 0x2028, 0x202a, 0x202c, 0x202e],
  // Tertiary controls, secondary exit controls, instruction timeout.
  ...[0x2034, 0x2044, 0x4024],
  // Guest interrupt status, PML index, PERF_GLOBAL_CTRL, BNDCFGS, CET; the host's likewise.
  ...[0x0810, 0x0812, 0x2808, 0x2812, 0x6828, 0x682a, 0x682c],
  ...[0x2c04, 0x6c18, 0x6c1a, 0x6c1c],
];
