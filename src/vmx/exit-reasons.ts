// Basic exit reasons: number, the kernel's name, and what they mean. SDM 3, "VMX Basic Exit
// Reasons". `handled` says whether this laboratory can produce the exit.

export interface ExitReason {
  readonly number: number;
  /** As Linux names it, without EXIT_REASON_. */
  readonly name: string;
  readonly meaning: string;
  readonly handled: boolean;
}

type Line = readonly [number: number, name: string, meaning: string, handled?: 'handled'];

const LINES = [
  [0, 'EXCEPTION_NMI', 'an exception selected by the exception bitmap, or an NMI', 'handled'],
  [1, 'EXTERNAL_INTERRUPT', 'a physical interrupt arrived while the guest ran', 'handled'],
  [2, 'TRIPLE_FAULT', 'a fault while delivering a double fault', 'handled'],
  [3, 'INIT_SIGNAL', 'an INIT signal arrived', 'handled'],
  [4, 'SIPI_SIGNAL', 'a start-up IPI arrived in the wait-for-SIPI state', 'handled'],
  [7, 'INTERRUPT_WINDOW', 'the guest became able to take an interrupt', 'handled'],
  [8, 'NMI_WINDOW', 'the guest became able to take an NMI', 'handled'],
  [9, 'TASK_SWITCH', 'the guest attempted a task switch', 'handled'],
  [10, 'CPUID', 'the guest executed CPUID', 'handled'],
  [12, 'HLT', 'the guest executed HLT', 'handled'],
  [13, 'INVD', 'the guest executed INVD', 'handled'],
  [14, 'INVLPG', 'the guest executed INVLPG', 'handled'],
  [15, 'RDPMC', 'the guest executed RDPMC', 'handled'],
  [16, 'RDTSC', 'the guest executed RDTSC', 'handled'],
  [18, 'VMCALL', 'the guest executed VMCALL (a hypercall)', 'handled'],
  [19, 'VMCLEAR', 'the guest executed VMCLEAR', 'handled'],
  [20, 'VMLAUNCH', 'the guest executed VMLAUNCH', 'handled'],
  [21, 'VMPTRLD', 'the guest executed VMPTRLD', 'handled'],
  [22, 'VMPTRST', 'the guest executed VMPTRST', 'handled'],
  [23, 'VMREAD', 'the guest executed VMREAD', 'handled'],
  [24, 'VMRESUME', 'the guest executed VMRESUME', 'handled'],
  [25, 'VMWRITE', 'the guest executed VMWRITE', 'handled'],
  [26, 'VMOFF', 'the guest executed VMXOFF', 'handled'],
  [27, 'VMON', 'the guest executed VMXON', 'handled'],
  [28, 'CR_ACCESS', 'the guest accessed CR0, CR3, CR4 or CR8', 'handled'],
  [29, 'DR_ACCESS', 'the guest accessed a debug register', 'handled'],
  [30, 'IO_INSTRUCTION', 'the guest executed IN or OUT', 'handled'],
  [31, 'MSR_READ', 'the guest executed RDMSR', 'handled'],
  [32, 'MSR_WRITE', 'the guest executed WRMSR', 'handled'],
  [33, 'INVALID_STATE', 'VM entry failed: invalid guest state', 'handled'],
  [34, 'MSR_LOAD_FAIL', 'VM entry failed: MSR loading', 'handled'],
  [36, 'MWAIT_INSTRUCTION', 'the guest executed MWAIT', 'handled'],
  [37, 'MONITOR_TRAP_FLAG', 'one instruction was executed under the monitor trap flag', 'handled'],
  [39, 'MONITOR_INSTRUCTION', 'the guest executed MONITOR', 'handled'],
  [40, 'PAUSE_INSTRUCTION', 'the guest executed PAUSE, or spun in a PAUSE loop', 'handled'],
  [41, 'MCE_DURING_VMENTRY', 'VM entry failed: machine check'],
  [43, 'TPR_BELOW_THRESHOLD', 'the guest lowered its task priority below the threshold', 'handled'],
  [44, 'APIC_ACCESS', 'the guest accessed the APIC-access page', 'handled'],
  [45, 'EOI_INDUCED', 'the guest completed a virtual interrupt that asks for it'],
  [46, 'GDTR_IDTR', 'the guest accessed GDTR or IDTR', 'handled'],
  [47, 'LDTR_TR', 'the guest accessed LDTR or TR', 'handled'],
  [48, 'EPT_VIOLATION', 'the guest accessed memory that EPT does not allow (MMIO)', 'handled'],
  [49, 'EPT_MISCONFIG', 'an EPT paging-structure entry is misconfigured', 'handled'],
  [50, 'INVEPT', 'the guest executed INVEPT', 'handled'],
  [51, 'RDTSCP', 'the guest executed RDTSCP', 'handled'],
  [52, 'PREEMPTION_TIMER', 'the VMX-preemption timer counted down to zero', 'handled'],
  [53, 'INVVPID', 'the guest executed INVVPID', 'handled'],
  [54, 'WBINVD', 'the guest executed WBINVD', 'handled'],
  [55, 'XSETBV', 'the guest executed XSETBV'],
  [56, 'APIC_WRITE', 'the guest wrote to its virtual APIC page'],
  [58, 'INVPCID', 'the guest executed INVPCID', 'handled'],
  [62, 'PML_FULL', 'the page-modification log is full'],
  [67, 'UMWAIT', 'the guest executed UMWAIT'],
  [68, 'TPAUSE', 'the guest executed TPAUSE'],
  [74, 'BUS_LOCK', 'the guest asserted a bus lock'],
  [75, 'NOTIFY', 'no event window opened in the notify window'],
] as const satisfies readonly Line[];

export type ExitReasonName = (typeof LINES)[number][1];

export const EXIT_REASONS: readonly ExitReason[] = LINES.map((line: Line) => ({
  number: line[0],
  name: line[1],
  meaning: line[2],
  handled: line[3] === 'handled',
}));

/** Numbers by name. */
export const Exit = Object.fromEntries(LINES.map(([number, name]) => [name, number])) as {
  readonly [Name in ExitReasonName]: number;
};

/** By number; an array, for every exit asks. */
const NAMES: readonly (string | undefined)[] = Array.from(
  { length: 1 + Math.max(...LINES.map(([number]) => number)) },
  (_, number) => LINES.find((line) => line[0] === number)?.[1],
);

/** The name of a basic exit reason; the bits above 15 are ignored. */
export function exitReasonName(reason: number): string {
  const basic = reason & 0xffff;
  return NAMES[basic] ?? String(basic);
}

/** Bit 31 of the exit reason: the entry failed. */
export const ENTRY_FAILURE = 1 << 31;

/** The reasons that come with it. */
export const ENTRY_FAILURES: readonly ExitReasonName[] = [
  'INVALID_STATE',
  'MSR_LOAD_FAIL',
  'MCE_DURING_VMENTRY',
];
