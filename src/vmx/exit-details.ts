// What lies behind each basic exit reason: the condition under which it happens, the control bits
// that ask for it, the VMCS fields that say more, and where the SDM tells of it. SDM 3, "VMX
// Non-Root Operation" and "VM Exits".

import {
  type ControlWord,
  PIN_BASED,
  PRIMARY,
  type Primary,
  SECONDARY,
  type Secondary,
} from './controls.ts';
import type { ExitReasonName } from './exit-reasons.ts';
import type { FieldName } from './fields.ts';

/** A control bit by its word and the kernel's name of its mask. */
export interface ControlBitName {
  readonly word: ControlWord;
  readonly name: string;
}

export interface ExitDetail {
  /** When the exit happens, to be read after "exits". */
  readonly condition: string;
  /** SDM 3 section title. */
  readonly section: string;
  /** The bits that ask for it; none if it cannot be switched off. */
  readonly controls: readonly ControlBitName[];
  /** Fields of the VMCS, other than control words, that decide about it. */
  readonly deciding: readonly FieldName[];
  /** Exit-information fields, beside reason and qualification, that it fills. */
  readonly information: readonly FieldName[];
}

const pin = (name: string): ControlBitName => ({ word: PIN_BASED, name });
const primary = (name: keyof typeof Primary): ControlBitName => ({ word: PRIMARY, name });
const secondary = (name: keyof typeof Secondary): ControlBitName => ({ word: SECONDARY, name });

const UNCONDITIONAL = 'Instructions That Cause VM Exits Unconditionally';
const CONDITIONAL = 'Instructions That Cause VM Exits Conditionally';
const OTHER = 'Other Causes of VM Exits';
const ENTRY_FAILURES = 'VM-Entry Failures During or After Loading Guest State';

const LENGTH = ['VM_EXIT_INSTRUCTION_LEN'] as const satisfies readonly FieldName[];
const OPERAND = [...LENGTH, 'VMX_INSTRUCTION_INFO'] as const satisfies readonly FieldName[];
const INTERRUPTION = ['VM_EXIT_INTR_INFO', 'VM_EXIT_INTR_ERROR_CODE'] as const;
const VECTORING = ['IDT_VECTORING_INFO_FIELD', 'IDT_VECTORING_ERROR_CODE'] as const;

function detail(
  section: string,
  condition: string,
  parts: Partial<Pick<ExitDetail, 'controls' | 'deciding' | 'information'>> = {},
): ExitDetail {
  return { section, condition, controls: [], deciding: [], information: [], ...parts };
}

/** An instruction that always exits. */
const always = (information: readonly FieldName[] = LENGTH) =>
  detail(UNCONDITIONAL, 'always', { information });

/** An instruction that exits if one of some control bits is 1. */
const asked = (
  controls: readonly ControlBitName[],
  deciding: readonly FieldName[] = [],
  information: readonly FieldName[] = LENGTH,
) => detail(CONDITIONAL, 'if asked for', { controls, deciding, information });

/** What this laboratory never produces, because the control is not offered. */
const notOffered = (section: string, condition: string) => detail(section, condition);

export const EXIT_DETAILS: Readonly<Record<ExitReasonName, ExitDetail>> = {
  EXCEPTION_NMI: detail(
    OTHER,
    'if the bit of the vector in the exception bitmap is 1 (of page faults, if it equals that ' +
      'error code and mask match), or at an NMI with "NMI exiting"',
    {
      controls: [pin('NMI_EXITING')],
      deciding: ['EXCEPTION_BITMAP', 'PAGE_FAULT_ERROR_CODE_MASK', 'PAGE_FAULT_ERROR_CODE_MATCH'],
      information: [...INTERRUPTION, ...VECTORING, ...LENGTH],
    },
  ),
  EXTERNAL_INTERRUPT: detail(OTHER, 'whatever RFLAGS.IF is, if not blocked by STI or MOV SS', {
    controls: [pin('EXT_INTR_MASK')],
    deciding: ['GUEST_INTERRUPTIBILITY_INFO'],
    information: ['VM_EXIT_INTR_INFO'],
  }),
  TRIPLE_FAULT: detail(OTHER, 'always', { information: VECTORING }),
  INIT_SIGNAL: detail(OTHER, 'always, but in the wait-for-SIPI state'),
  SIPI_SIGNAL: detail(OTHER, 'always, in the wait-for-SIPI state'),
  INTERRUPT_WINDOW: detail(OTHER, 'at an instruction boundary with RFLAGS.IF 1 and no blocking', {
    controls: [primary('INTR_WINDOW_EXITING')],
    deciding: ['GUEST_RFLAGS', 'GUEST_INTERRUPTIBILITY_INFO'],
  }),
  NMI_WINDOW: detail(OTHER, 'at an instruction boundary where NMIs are not blocked', {
    controls: [primary('NMI_WINDOW_EXITING')],
    deciding: ['GUEST_INTERRUPTIBILITY_INFO'],
  }),
  TASK_SWITCH: detail(OTHER, 'always, after the first checks of the switch', {
    information: [...LENGTH, ...VECTORING],
  }),
  CPUID: always(),
  HLT: asked([primary('HLT_EXITING')]),
  INVD: always(),
  INVLPG: asked([primary('INVLPG_EXITING')]),
  RDPMC: asked([primary('RDPMC_EXITING')]),
  RDTSC: asked([primary('RDTSC_EXITING')]),
  VMCALL: always(),
  VMCLEAR: always(OPERAND),
  VMLAUNCH: always(),
  VMPTRLD: always(OPERAND),
  VMPTRST: always(OPERAND),
  VMREAD: always(OPERAND),
  VMRESUME: always(),
  VMWRITE: always(OPERAND),
  VMOFF: always(),
  VMON: always(OPERAND),
  CR_ACCESS: detail(
    CONDITIONAL,
    'if a bit of CR0 or CR4 that the host owns would differ from the read shadow, or if asked ' +
      'for (CR3, but for CR3-target values; CR8)',
    {
      controls: [
        primary('CR3_LOAD_EXITING'),
        primary('CR3_STORE_EXITING'),
        primary('CR8_LOAD_EXITING'),
        primary('CR8_STORE_EXITING'),
      ],
      deciding: [
        'CR0_GUEST_HOST_MASK',
        'CR0_READ_SHADOW',
        'CR4_GUEST_HOST_MASK',
        'CR4_READ_SHADOW',
        'CR3_TARGET_COUNT',
      ],
      information: [...LENGTH, 'GUEST_LINEAR_ADDRESS'],
    },
  ),
  DR_ACCESS: asked([primary('MOV_DR_EXITING')]),
  IO_INSTRUCTION: asked(
    [primary('UNCOND_IO_EXITING'), primary('USE_IO_BITMAPS')],
    ['IO_BITMAP_A', 'IO_BITMAP_B'],
    [...OPERAND, 'GUEST_LINEAR_ADDRESS'],
  ),
  MSR_READ: detail(
    CONDITIONAL,
    'without MSR bitmaps, outside the ranges that they cover, and where the bit is 1',
    { controls: [primary('USE_MSR_BITMAPS')], deciding: ['MSR_BITMAP'], information: LENGTH },
  ),
  MSR_WRITE: detail(
    CONDITIONAL,
    'without MSR bitmaps, outside the ranges that they cover, and where the bit is 1',
    { controls: [primary('USE_MSR_BITMAPS')], deciding: ['MSR_BITMAP'], information: LENGTH },
  ),
  INVALID_STATE: detail(ENTRY_FAILURES, 'when a check on the guest-state area fails'),
  MSR_LOAD_FAIL: detail(ENTRY_FAILURES, 'when an MSR of the VM-entry list cannot be loaded', {
    deciding: ['VM_ENTRY_MSR_LOAD_ADDR', 'VM_ENTRY_MSR_LOAD_COUNT'],
  }),
  MWAIT_INSTRUCTION: asked([primary('MWAIT_EXITING')]),
  MONITOR_TRAP_FLAG: detail('Monitor Trap Flag', 'after each instruction or event delivery', {
    controls: [primary('MONITOR_TRAP_FLAG')],
  }),
  MONITOR_INSTRUCTION: asked([primary('MONITOR_EXITING')]),
  PAUSE_INSTRUCTION: asked(
    [primary('PAUSE_EXITING'), secondary('PAUSE_LOOP_EXITING')],
    ['PLE_GAP', 'PLE_WINDOW'],
  ),
  MCE_DURING_VMENTRY: notOffered(ENTRY_FAILURES, 'at a machine check'),
  TPR_BELOW_THRESHOLD: detail(
    'TPR Virtualization',
    'when bits 7:4 of the virtual TPR fall below the threshold',
    {
      controls: [primary('TPR_SHADOW')],
      deciding: ['TPR_THRESHOLD', 'VIRTUAL_APIC_PAGE_ADDR'],
    },
  ),
  APIC_ACCESS: detail(
    'Virtualizing Memory-Mapped APIC Accesses',
    'at accesses to the APIC-access page, but to the task priority under "use TPR shadow"',
    {
      controls: [secondary('VIRTUALIZE_APIC_ACCESSES')],
      deciding: ['APIC_ACCESS_ADDR'],
      information: [...LENGTH, ...VECTORING],
    },
  ),
  EOI_INDUCED: notOffered('EOI Virtualization', 'where the EOI-exit bitmap says so'),
  GDTR_IDTR: asked([secondary('DESC')], [], OPERAND),
  LDTR_TR: asked([secondary('DESC')], [], OPERAND),
  EPT_VIOLATION: detail('EPT Violations', 'when no entry, or none with that right, is present', {
    controls: [secondary('ENABLE_EPT')],
    deciding: ['EPT_POINTER'],
    information: ['GUEST_PHYSICAL_ADDRESS', 'GUEST_LINEAR_ADDRESS', ...VECTORING],
  }),
  EPT_MISCONFIG: detail('EPT Misconfigurations', 'when an entry that is present is not legal', {
    controls: [secondary('ENABLE_EPT')],
    deciding: ['EPT_POINTER'],
    information: ['GUEST_PHYSICAL_ADDRESS', ...VECTORING],
  }),
  INVEPT: always(OPERAND),
  RDTSCP: asked([primary('RDTSC_EXITING')]),
  PREEMPTION_TIMER: detail('VMX-Preemption Timer', 'when the timer has counted down to 0', {
    controls: [pin('VMX_PREEMPTION_TIMER')],
    deciding: ['VMX_PREEMPTION_TIMER_VALUE'],
  }),
  INVVPID: always(OPERAND),
  WBINVD: asked([secondary('WBINVD_EXITING')]),
  XSETBV: always(),
  APIC_WRITE: notOffered('APIC-Write Emulation', 'behind a write to the virtual-APIC page'),
  INVPCID: asked([primary('INVLPG_EXITING')], [], OPERAND),
  PML_FULL: notOffered('Page-Modification Logging', 'when the index leaves the log'),
  UMWAIT: notOffered(CONDITIONAL, 'if asked for'),
  TPAUSE: notOffered(CONDITIONAL, 'if asked for'),
  BUS_LOCK: notOffered('Bus-Lock Assertion', 'behind an instruction that asserts a bus lock'),
  NOTIFY: notOffered('Instruction Timeout', 'when no event window opens in time'),
};
