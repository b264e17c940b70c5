// How the exit qualification and the other packed exit-information fields are laid out. SDM 3,
// "Basic VM-Exit Information" (exit qualification) and "Information for VM Exits Due to Vectored
// Events".

/** Some bits of a field, both ends included. */
export interface BitRange {
  readonly high: number;
  readonly low: number;
  readonly name: string;
  /** What the values mean, if they are few. */
  readonly values?: Readonly<Record<number, string>>;
}

/** One bit. */
const bit = (number: number, name: string, values?: BitRange['values']): BitRange =>
  bits(number, number, name, values);

const bits = (
  high: number,
  low: number,
  name: string,
  values?: Readonly<Record<number, string>>,
): BitRange => ({ high, low, name, ...(values === undefined ? {} : { values }) });

const GENERAL_REGISTERS: Readonly<Record<number, string>> = Object.fromEntries(
  ['RAX', 'RCX', 'RDX', 'RBX', 'RSP', 'RBP', 'RSI', 'RDI']
    .concat(['R8', 'R9', 'R10', 'R11', 'R12', 'R13', 'R14', 'R15'])
    .map((name, number) => [number, name]),
);

/** All 64 bits are one address. */
const address = (name: string): readonly BitRange[] => [bits(63, 0, name)];

/** The qualification of #DB; polarity positive for all, unlike DR6. */
export const DEBUG_LAYOUT: readonly BitRange[] = [
  bits(3, 0, 'breakpoints met (B0 to B3)'),
  bit(13, 'access to a debug register (BD)'),
  bit(14, 'single step (BS)'),
];

export const PAGE_FAULT_LAYOUT = address('linear address that faulted');

const CR_ACCESS: readonly BitRange[] = [
  bits(3, 0, 'control register'),
  bits(5, 4, 'access', { 0: 'MOV to CR', 1: 'MOV from CR', 2: 'CLTS', 3: 'LMSW' }),
  bit(6, 'LMSW operand', { 0: 'register', 1: 'memory' }),
  bits(11, 8, 'general register', GENERAL_REGISTERS),
  bits(31, 16, 'LMSW source data'),
];

const DR_ACCESS: readonly BitRange[] = [
  bits(2, 0, 'debug register'),
  bit(4, 'direction', { 0: 'MOV to DR', 1: 'MOV from DR' }),
  bits(11, 8, 'general register', GENERAL_REGISTERS),
];

const IO_INSTRUCTION: readonly BitRange[] = [
  bits(2, 0, 'size', { 0: '1 byte', 1: '2 bytes', 3: '4 bytes' }),
  bit(3, 'direction', { 0: 'OUT', 1: 'IN' }),
  bit(4, 'string instruction'),
  bit(5, 'REP prefix'),
  bit(6, 'port given by', { 0: 'DX', 1: 'immediate' }),
  bits(31, 16, 'port'),
];

const TASK_SWITCH: readonly BitRange[] = [
  bits(15, 0, 'selector of the new TSS'),
  bits(31, 30, 'source', { 0: 'CALL', 1: 'IRET', 2: 'JMP', 3: 'task gate in the IDT' }),
];

const APIC_ACCESS: readonly BitRange[] = [
  bits(11, 0, 'offset in the page'),
  bits(15, 12, 'access', {
    0: 'data read',
    1: 'data write',
    2: 'instruction fetch',
    3: 'linear access in event delivery',
    10: 'guest-physical access in event delivery',
    15: 'guest-physical access',
  }),
];

const EPT_VIOLATION: readonly BitRange[] = [
  bit(0, 'data read'),
  bit(1, 'data write'),
  bit(2, 'instruction fetch'),
  bit(3, 'entries allow reads'),
  bit(4, 'entries allow writes'),
  bit(5, 'entries allow fetches'),
  bit(7, 'guest-linear address is valid'),
  bit(8, 'access was', { 0: 'of a guest paging structure', 1: 'to the translated address' }),
  bit(12, 'NMIs unblocked by IRET'),
];

const INVALID_STATE: readonly BitRange[] = [
  bits(63, 0, 'cause', {
    0: 'general',
    2: 'loading PDPTEs',
    3: 'NMI injected under blocking by STI',
    4: 'VMCS link pointer',
  }),
];

const OPERAND = address('displacement of the memory operand (behind RIP if relative to it)');

/** Layouts by the kernel's name of the exit; reasons that are not here have the qualification 0. */
export const QUALIFICATIONS: Readonly<Partial<Record<string, readonly BitRange[]>>> = {
  SIPI_SIGNAL: [bits(7, 0, 'vector of the start-up IPI')],
  TASK_SWITCH,
  INVLPG: address('linear address of the operand'),
  CR_ACCESS,
  DR_ACCESS,
  IO_INSTRUCTION,
  INVALID_STATE,
  MSR_LOAD_FAIL: [bits(63, 0, 'index of the failing entry of the list, first is 1')],
  MWAIT_INSTRUCTION: [bit(0, 'monitoring hardware is armed')],
  APIC_ACCESS,
  APIC_WRITE: [bits(11, 0, 'offset in the page')],
  EOI_INDUCED: [bits(7, 0, 'vector')],
  EPT_VIOLATION,
  PML_FULL: [bit(12, 'NMIs unblocked by IRET')],
  GDTR_IDTR: OPERAND,
  LDTR_TR: OPERAND,
  INVEPT: OPERAND,
  INVVPID: OPERAND,
  INVPCID: OPERAND,
  VMCLEAR: OPERAND,
  VMPTRLD: OPERAND,
  VMPTRST: OPERAND,
  VMREAD: OPERAND,
  VMWRITE: OPERAND,
  VMON: OPERAND,
};

const EVENT_TYPES: Readonly<Record<number, string>> = {
  0: 'external interrupt',
  2: 'NMI',
  3: 'hardware exception',
  4: 'software interrupt',
  5: 'privileged software exception',
  6: 'software exception',
  7: 'other event',
};

/** Of VM-exit interruption information; that of IDT-vectoring differs in bit 12 only. */
export const INTERRUPTION_LAYOUT: readonly BitRange[] = [
  bits(7, 0, 'vector'),
  bits(10, 8, 'type', EVENT_TYPES),
  bit(11, 'error code valid'),
  bit(12, 'NMIs unblocked by IRET'),
  bit(31, 'valid'),
];
