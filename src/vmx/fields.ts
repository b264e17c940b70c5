// Every VMCS field once: encoding, the kernel's name, the manual's name, where a guest-state field
// lies in the processor's state, and which entry checks a change of it calls for.
// SDM 3, "Field Encoding in VMCS".

/** Which VM-entry checks must be made again after a field was written. */
export type CheckGroup = 'controls' | 'host' | 'guest' | 'injection' | 'none';

export interface FieldDefinition {
  readonly encoding: number;
  /** As Linux spells it, in arch/x86/include/asm/vmx.h, or else Xen or kvm-unit-tests. */
  readonly name: FieldName;
  /** As the SDM calls it. */
  readonly title: string;
  /** Bits; natural-width fields are 64 bits wide here. */
  readonly width: 16 | 32 | 64;
  readonly type: 'control' | 'exitInformation' | 'guestState' | 'hostState';
  /** The item of the processor's state that holds a guest-state field, or null. */
  readonly state: string | null;
  readonly checks: CheckGroup;
}

type Line = readonly [encoding: number, name: string, title: string, extra?: string | CheckGroup];

const CONTROLS = [
  [0x0000, 'VIRTUAL_PROCESSOR_ID', 'Virtual-processor identifier'],
  [0x2000, 'IO_BITMAP_A', 'Address of I/O bitmap A'],
  [0x2002, 'IO_BITMAP_B', 'Address of I/O bitmap B'],
  [0x2004, 'MSR_BITMAP', 'Address of MSR bitmaps'],
  [0x2006, 'VM_EXIT_MSR_STORE_ADDR', 'VM-exit MSR-store address'],
  [0x2008, 'VM_EXIT_MSR_LOAD_ADDR', 'VM-exit MSR-load address'],
  [0x200a, 'VM_ENTRY_MSR_LOAD_ADDR', 'VM-entry MSR-load address'],
  [0x2010, 'TSC_OFFSET', 'TSC offset', 'none'],
  [0x2012, 'VIRTUAL_APIC_PAGE_ADDR', 'Virtual-APIC address'],
  [0x2014, 'APIC_ACCESS_ADDR', 'APIC-access address'],
  [0x201a, 'EPT_POINTER', 'EPT pointer'],
  [0x2032, 'TSC_MULTIPLIER', 'TSC multiplier'],
  [0x4000, 'PIN_BASED_VM_EXEC_CONTROL', 'Pin-based VM-execution controls'],
  [0x4002, 'CPU_BASED_VM_EXEC_CONTROL', 'Primary processor-based VM-execution controls'],
  [0x4004, 'EXCEPTION_BITMAP', 'Exception bitmap', 'none'],
  [0x4006, 'PAGE_FAULT_ERROR_CODE_MASK', 'Page-fault error-code mask', 'none'],
  [0x4008, 'PAGE_FAULT_ERROR_CODE_MATCH', 'Page-fault error-code match', 'none'],
  [0x400a, 'CR3_TARGET_COUNT', 'CR3-target count'],
  [0x400c, 'VM_EXIT_CONTROLS', 'Primary VM-exit controls'],
  [0x400e, 'VM_EXIT_MSR_STORE_COUNT', 'VM-exit MSR-store count'],
  [0x4010, 'VM_EXIT_MSR_LOAD_COUNT', 'VM-exit MSR-load count'],
  [0x4012, 'VM_ENTRY_CONTROLS', 'VM-entry controls'],
  [0x4014, 'VM_ENTRY_MSR_LOAD_COUNT', 'VM-entry MSR-load count'],
  [0x4016, 'VM_ENTRY_INTR_INFO_FIELD', 'VM-entry interruption-information field', 'injection'],
  [0x4018, 'VM_ENTRY_EXCEPTION_ERROR_CODE', 'VM-entry exception error code', 'injection'],
  [0x401a, 'VM_ENTRY_INSTRUCTION_LEN', 'VM-entry instruction length', 'injection'],
  [0x401c, 'TPR_THRESHOLD', 'TPR threshold'],
  [0x401e, 'SECONDARY_VM_EXEC_CONTROL', 'Secondary processor-based VM-execution controls'],
  [0x4020, 'PLE_GAP', 'PLE_Gap', 'none'],
  [0x4022, 'PLE_WINDOW', 'PLE_Window', 'none'],
  [0x6000, 'CR0_GUEST_HOST_MASK', 'CR0 guest/host mask', 'none'],
  [0x6002, 'CR4_GUEST_HOST_MASK', 'CR4 guest/host mask', 'none'],
  [0x6004, 'CR0_READ_SHADOW', 'CR0 read shadow', 'none'],
  [0x6006, 'CR4_READ_SHADOW', 'CR4 read shadow', 'none'],
  [0x6008, 'CR3_TARGET_VALUE0', 'CR3-target value 0', 'none'],
  [0x600a, 'CR3_TARGET_VALUE1', 'CR3-target value 1', 'none'],
  [0x600c, 'CR3_TARGET_VALUE2', 'CR3-target value 2', 'none'],
  [0x600e, 'CR3_TARGET_VALUE3', 'CR3-target value 3', 'none'],
] as const satisfies readonly Line[];

const EXIT_INFORMATION = [
  [0x2400, 'GUEST_PHYSICAL_ADDRESS', 'Guest-physical address'],
  [0x4400, 'VM_INSTRUCTION_ERROR', 'VM-instruction error'],
  [0x4402, 'VM_EXIT_REASON', 'Exit reason'],
  [0x4404, 'VM_EXIT_INTR_INFO', 'VM-exit interruption information'],
  [0x4406, 'VM_EXIT_INTR_ERROR_CODE', 'VM-exit interruption error code'],
  [0x4408, 'IDT_VECTORING_INFO_FIELD', 'IDT-vectoring information field'],
  [0x440a, 'IDT_VECTORING_ERROR_CODE', 'IDT-vectoring error code'],
  [0x440c, 'VM_EXIT_INSTRUCTION_LEN', 'VM-exit instruction length'],
  [0x440e, 'VMX_INSTRUCTION_INFO', 'VM-exit instruction information'],
  [0x6400, 'EXIT_QUALIFICATION', 'Exit qualification'],
  [0x6402, 'IO_RCX', 'I/O RCX'],
  [0x6404, 'IO_RSI', 'I/O RSI'],
  [0x6406, 'IO_RDI', 'I/O RDI'],
  [0x6408, 'IO_RIP', 'I/O RIP'],
  [0x640a, 'GUEST_LINEAR_ADDRESS', 'Guest-linear address'],
] as const satisfies readonly Line[];

const SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'ldtr', 'tr'] as const;

const TABLES = ['gdtr', 'idtr'] as const;

/** Fields that exist once for each segment register or table register. */
function perRegister<const Name extends string, const Field extends string>(
  first: number,
  names: readonly Name[],
  side: 'GUEST' | 'HOST',
  field: Field,
  title: string,
  state: string | null,
): Line[] {
  return names.map((name, i) => {
    const upper = name.toUpperCase();
    const who = side === 'GUEST' ? 'Guest' : 'Host';
    const line = [first + 2 * i, `${side}_${upper}_${field}`, `${who} ${upper} ${title}`] as const;
    return state === null ? line : [...line, `${name}${state}`];
  });
}

const GUEST_SEGMENT_STATE: readonly Line[] = [
  ...perRegister(0x0800, SEGMENTS, 'GUEST', 'SELECTOR', 'selector', 'Selector'),
  ...perRegister(0x4800, [...SEGMENTS, ...TABLES], 'GUEST', 'LIMIT', 'limit', 'Limit'),
  ...perRegister(0x4814, SEGMENTS, 'GUEST', 'AR_BYTES', 'access rights', 'Rights'),
  ...perRegister(0x6806, [...SEGMENTS, ...TABLES], 'GUEST', 'BASE', 'base', 'Base'),
];

const GUEST_STATE = [
  [0x2800, 'VMCS_LINK_POINTER', 'VMCS link pointer'],
  [0x2802, 'GUEST_IA32_DEBUGCTL', 'Guest IA32_DEBUGCTL', 'debugctl'],
  [0x2804, 'GUEST_IA32_PAT', 'Guest IA32_PAT', 'pat'],
  [0x2806, 'GUEST_IA32_EFER', 'Guest IA32_EFER', 'efer'],
  [0x280a, 'GUEST_PDPTR0', 'Guest PDPTE0', 'pdpte0'],
  [0x280c, 'GUEST_PDPTR1', 'Guest PDPTE1', 'pdpte1'],
  [0x280e, 'GUEST_PDPTR2', 'Guest PDPTE2', 'pdpte2'],
  [0x2810, 'GUEST_PDPTR3', 'Guest PDPTE3', 'pdpte3'],
  [0x4824, 'GUEST_INTERRUPTIBILITY_INFO', 'Guest interruptibility state', 'interruptibility'],
  [0x4826, 'GUEST_ACTIVITY_STATE', 'Guest activity state', 'activity'],
  [0x4828, 'GUEST_SMBASE', 'Guest SMBASE'],
  [0x482a, 'GUEST_SYSENTER_CS', 'Guest IA32_SYSENTER_CS', 'sysenterCs'],
  [0x482e, 'VMX_PREEMPTION_TIMER_VALUE', 'VMX-preemption timer value', 'none'],
  [0x6800, 'GUEST_CR0', 'Guest CR0', 'cr0'],
  [0x6802, 'GUEST_CR3', 'Guest CR3', 'cr3'],
  [0x6804, 'GUEST_CR4', 'Guest CR4', 'cr4'],
  [0x681a, 'GUEST_DR7', 'Guest DR7', 'dr7'],
  [0x681c, 'GUEST_RSP', 'Guest RSP', 'rsp'],
  [0x681e, 'GUEST_RIP', 'Guest RIP', 'rip'],
  [0x6820, 'GUEST_RFLAGS', 'Guest RFLAGS', 'rflags'],
  [0x6822, 'GUEST_PENDING_DBG_EXCEPTIONS', 'Guest pending debug exceptions', 'pendingDebug'],
  [0x6824, 'GUEST_SYSENTER_ESP', 'Guest IA32_SYSENTER_ESP', 'sysenterEsp'],
  [0x6826, 'GUEST_SYSENTER_EIP', 'Guest IA32_SYSENTER_EIP', 'sysenterEip'],
] as const satisfies readonly Line[];

const HOST_SEGMENTS = ['es', 'cs', 'ss', 'ds', 'fs', 'gs', 'tr'] as const;
const HOST_BASES = ['fs', 'gs', 'tr', 'gdtr', 'idtr'] as const;

const HOST_SEGMENT_STATE: readonly Line[] = [
  ...perRegister(0x0c00, HOST_SEGMENTS, 'HOST', 'SELECTOR', 'selector', null),
  ...perRegister(0x6c06, HOST_BASES, 'HOST', 'BASE', 'base', null),
];

const HOST_STATE = [
  [0x2c00, 'HOST_IA32_PAT', 'Host IA32_PAT'],
  [0x2c02, 'HOST_IA32_EFER', 'Host IA32_EFER'],
  [0x4c00, 'HOST_IA32_SYSENTER_CS', 'Host IA32_SYSENTER_CS'],
  [0x6c00, 'HOST_CR0', 'Host CR0'],
  [0x6c02, 'HOST_CR3', 'Host CR3'],
  [0x6c04, 'HOST_CR4', 'Host CR4'],
  [0x6c10, 'HOST_IA32_SYSENTER_ESP', 'Host IA32_SYSENTER_ESP'],
  [0x6c12, 'HOST_IA32_SYSENTER_EIP', 'Host IA32_SYSENTER_EIP'],
  [0x6c14, 'HOST_RSP', 'Host RSP', 'none'],
  [0x6c16, 'HOST_RIP', 'Host RIP'],
] as const satisfies readonly Line[];

type GuestSegment = Uppercase<(typeof SEGMENTS)[number]>;
type GuestTable = Uppercase<(typeof TABLES)[number]>;

/** The kernel's names of all fields. */
export type FieldName =
  | (typeof CONTROLS)[number][1]
  | (typeof EXIT_INFORMATION)[number][1]
  | (typeof GUEST_STATE)[number][1]
  | (typeof HOST_STATE)[number][1]
  | `GUEST_${GuestSegment}_${'SELECTOR' | 'LIMIT' | 'AR_BYTES' | 'BASE'}`
  | `GUEST_${GuestTable}_${'LIMIT' | 'BASE'}`
  | `HOST_${Uppercase<(typeof HOST_SEGMENTS)[number]>}_SELECTOR`
  | `HOST_${Uppercase<(typeof HOST_BASES)[number]>}_BASE`;

/** Guest state that the guest itself cannot make invalid and that hosts write at every exit. */
const CHECKED_EACH_ENTRY: ReadonlySet<string> = new Set([
  'GUEST_RIP',
  'GUEST_RSP',
  'GUEST_RFLAGS',
  'GUEST_INTERRUPTIBILITY_INFO',
  'GUEST_ACTIVITY_STATE',
]);

const WIDTHS = [16, 64, 32, 64] as const;
const GROUPS: ReadonlySet<string> = new Set(['controls', 'host', 'guest', 'injection', 'none']);

function define(
  type: FieldDefinition['type'],
  standard: CheckGroup,
  lines: readonly Line[],
): FieldDefinition[] {
  return lines.map(([encoding, name, title, extra]) => {
    const isGroup = extra !== undefined && GROUPS.has(extra);
    const checks = CHECKED_EACH_ENTRY.has(name) ? 'injection' : standard;
    return {
      encoding,
      name: name as FieldName,
      title,
      width: WIDTHS[(encoding >> 13) & 3],
      type,
      state: extra === undefined || isGroup ? null : extra,
      checks: isGroup ? (extra as CheckGroup) : checks,
    };
  });
}

/** All fields in the order of their encodings. */
export const FIELDS: readonly FieldDefinition[] = [
  ...define('control', 'controls', CONTROLS),
  ...define('exitInformation', 'none', EXIT_INFORMATION),
  ...define('guestState', 'guest', [...GUEST_STATE, ...GUEST_SEGMENT_STATE]),
  ...define('hostState', 'host', [...HOST_STATE, ...HOST_SEGMENT_STATE]),
].sort((a, b) => a.encoding - b.encoding);

const INDEX_BY_NAME: ReadonlyMap<string, number> = new Map(
  FIELDS.map((field, index) => [field.name, index]),
);

const INDEX_BY_ENCODING: ReadonlyMap<number, number> = new Map(
  FIELDS.map((field, index) => [field.encoding, index]),
);

/** The place of a field in {@link FIELDS}; hot code looks it up once. */
export function fieldIndex(name: FieldName): number {
  return INDEX_BY_NAME.get(name) as number;
}

/** The place of the field with an encoding (of its low half), or undefined. */
export function indexOfEncoding(encoding: number): number | undefined {
  return INDEX_BY_ENCODING.get(encoding);
}
