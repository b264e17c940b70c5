// Where QEMU's TCG and Bochs disagree about an image, or agree and are known to be wrong: who is
// right, and which section of the SDM says so. A decision that nothing needs any more fails.
// Sections are those of volume 3 unless they are pages of instructions, which are in volume 2.

/** What is known of QEMU 7.2 and Bochs 2.7 and shows in several images. */
const NO_LIMITS = 'TCG checks neither limits nor types of segments, nor that they are null';
const NO_P_WITH_RSVD = 'TCG clears P in the error code if a reserved bit is set';
const NO_EXT = 'TCG does not set EXT in errors of delivering an exception';
const NO_RESERVED_BITS = 'TCG lets reserved bits of registers be written';
const GATES_OF_16_BYTES = 'TCG multiplies the vector by 16 in 64-bit mode';
const NOT_CANONICAL = 'TCG does not look whether an address is canonical when it is loaded';
const LATE_FAULT = 'TCG has jumped already when it finds the address not canonical';

export interface Decision {
  readonly image: string;
  /** Which disagreements, by the line that Bochs prints. */
  readonly lines?: RegExp;
  /** Who stops before the end of the image: the other one's lines count from there. */
  readonly stops?: 'qemu' | 'bochs';
  readonly right: 'qemu' | 'bochs' | 'neither';
  /** If neither is right: what ours has to print in the place of Bochs's line. */
  readonly ours?: (line: string) => string;
  readonly because: string;
  /** The title in the SDM. */
  readonly section: string;
}

const bochs = (image: string, lines: RegExp, because: string, section: string): Decision => {
  return { image, lines, right: 'bochs', because, section };
};

const qemu = (image: string, lines: RegExp, because: string, section: string): Decision => {
  return { image, lines, right: 'qemu', because, section };
};

const qemuStops = (image: string, because: string, section: string): Decision => {
  return { image, stops: 'qemu', right: 'bochs', because, section };
};

const PAGING: readonly Decision[] = [
  bochs('paging-2level-large', /#PF/, NO_P_WITH_RSVD, 'Page-Fault Exceptions'),
  bochs('paging-pae-reserved', /#PF/, NO_P_WITH_RSVD, 'Page-Fault Exceptions'),
  bochs('paging-4level-reserved', /#PF/, NO_P_WITH_RSVD, 'Page-Fault Exceptions'),
  bochs('paging-4level-large', /#PF/, NO_P_WITH_RSVD, 'Page-Fault Exceptions'),
  bochs(
    'paging-2level-rights',
    /read and write: #PF/,
    'what is going to be written is a write from the start',
    'Page-Fault Exceptions',
  ),
  bochs(
    'paging-crossing',
    /add: #PF/,
    'what is going to be written is a write from the start',
    'Page-Fault Exceptions',
  ),
  qemu(
    'paging-2level-accessed',
    /^after that fault/,
    'the PDE was used for the translation, whatever came of it',
    'Accessed and Dirty Flags',
  ),
  {
    image: 'paging-2level-smap',
    lines: /, AC: ok$/,
    right: 'neither',
    ours: (line) => line.replace('ok', '#PF(0001) cr2=40000010'),
    because:
      'both take the access to a descriptor for an explicit one; EFLAGS.AC does not count for it',
    section: 'Access Rights',
  },
  bochs(
    'paging-pae-accessed',
    /^PDPTE/,
    'bits 8:5 of a PDPTE are reserved with PAE paging: there is no accessed flag',
    'PAE Paging',
  ),
  bochs(
    'paging-pae-pdptes',
    /./,
    'TCG looks at the PDPTEs in memory, each time, and never at their reserved bits',
    'PDPTE Registers',
  ),
  bochs(
    'paging-system-access',
    /not accessed: #PF/,
    'the access is that to the byte with the flag',
    'Page-Fault Exceptions',
  ),
  qemuStops(
    'paging-pcid',
    'TCG has no PCIDs, and hangs at a reserved bit of CR3',
    'Process-Context Identifiers (PCIDs)',
  ),
  qemu(
    'self-modifying',
    /second page exchanged/,
    'Bochs keeps the second half of an instruction that crosses into a page that was exchanged',
    'Operations that Invalidate TLBs and Paging-Structure Caches',
  ),
];

const REGISTERS: readonly Decision[] = [
  bochs(
    'control-register-0',
    /^NW without CD|^cr0=/,
    'NW without CD is not allowed, and reserved bits stay 0',
    'Control Registers',
  ),
  bochs(
    'control-register-0',
    /CR1/,
    'the register does not exist',
    'MOV—Move to/from Control Registers',
  ),
  bochs(
    'control-register-0',
    /^lock mov/,
    'LOCK is not for it',
    'MOV—Move to/from Control Registers',
  ),
  qemuStops('control-register-0', 'TCG sets PG without PE, and resets', 'Control Registers'),
  bochs(
    'control-register-4-reserved',
    /^PCIDE|^cr4=/,
    'PCIDE needs IA-32e mode',
    'MOV—Move to/from Control Registers',
  ),
  qemuStops(
    'control-register-4-reserved',
    'TCG hangs at a reserved bit of CR4',
    'Control Registers',
  ),
  bochs('control-registers-64', /./, NO_RESERVED_BITS, 'MOV—Move to/from Control Registers'),
  bochs(
    'control-registers-64-reserved',
    /./,
    NO_RESERVED_BITS,
    'MOV—Move to/from Control Registers',
  ),
  qemuStops(
    'control-registers-64-reserved',
    'TCG hangs at a reserved bit of CR4',
    'MOV—Move to/from Control Registers',
  ),
  bochs('efer', /bit/, NO_RESERVED_BITS, 'Extended Feature Enable Register'),
  bochs(
    'efer',
    /^LME|^efer|PAE/,
    'LME does not change while paging is on, and needs PAE',
    'Initializing IA-32e Mode',
  ),
  bochs(
    'model-specific-registers-faults',
    /msr 4000/,
    'TCG ignores registers that do not exist',
    'RDMSR—Read From Model Specific Register',
  ),
  {
    image: 'model-specific-registers-faults',
    lines: /upper half: ok/,
    right: 'neither',
    ours: (line) => line.replace('ok', '#GP(0000)'),
    because: 'both ignore what is written to the upper half, which is reserved',
    section: 'WRMSR—Write to Model Specific Register',
  },
  bochs(
    'model-specific-registers-faults',
    /not canonical/,
    NOT_CANONICAL,
    'WRMSR—Write to Model Specific Register',
  ),
  bochs('model-specific-registers-faults', /PAT/, NO_RESERVED_BITS, 'IA32_PAT MSR'),
  bochs('model-specific-registers-faults', /EFER/, NO_RESERVED_BITS, 'Initializing IA-32e Mode'),
  bochs(
    'canonical',
    /#SS|ends beyond/,
    'a reference by the stack segment is a stack fault, and all bytes count',
    'Canonical Addressing',
  ),
  bochs('canonical', /^(jmp|call|ret)/, LATE_FAULT, 'JMP—Jump'),
  bochs('canonical', /./, NOT_CANONICAL, 'Canonical Addressing'),
  bochs('debug-registers', /^dr6/, 'bit 12 of DR6 is 0', 'Debug Status Register (DR6)'),
  bochs(
    'debug-registers',
    /^GD|^dr7/,
    'TCG has no general detect',
    'General-Detect Exception Condition',
  ),
  bochs(
    'debug-breakpoints',
    /^times/,
    'a string instruction goes on with RF after its first iteration',
    'Instruction-Breakpoint Exception Condition',
  ),
  bochs(
    'debug-breakpoints',
    /mov ss/,
    'a breakpoint on the instruction behind MOV SS is not seen',
    'Masking Exceptions and Interrupts When Switching Stacks',
  ),
  bochs(
    'debug-single-step',
    /^mov ss, mov ss/,
    'of several loads of SS only the first is sure to have a shadow',
    'Masking Exceptions and Interrupts When Switching Stacks',
  ),
  qemu(
    'debug-64',
    /sysret|syscall/,
    'SYSCALL and SYSRET trap by TF as they leave it',
    'Single-Step Exception Condition',
  ),
  qemuStops(
    'debug-real',
    'QEMU crashes at a breakpoint on an instruction of real mode',
    'Instruction-Breakpoint Exception Condition',
  ),
  bochs(
    'debug-single-step',
    /^sti/,
    'STI does not hold back the single-step trap',
    'STI—Set Interrupt Flag',
  ),
  bochs(
    'interrupt-shadow',
    /mov ss/,
    'the shadows of STI and MOV SS are two',
    'Masking Exceptions and Interrupts When Switching Stacks',
  ),
  {
    image: 'debug-data',
    lines: /^I\/O.*#DB/,
    right: 'neither',
    ours: (line) => line.replace(/#DB.*/, 'ok'),
    because:
      'the instruction exits before it is executed, and a host as KVM does the access without a look at breakpoints',
    section: 'Instructions That Cause VM Exits Conditionally',
  },
  bochs('alignment-check', /#AC/, 'TCG has no alignment checks', 'Alignment Check Exception (#AC)'),
  bochs('sse-state', /^EM/, 'EM comes before TS', 'Device-Not-Available Exception (#NM)'),
  bochs('sse-state', /mxcsr/, NO_RESERVED_BITS, 'LDMXCSR—Load MXCSR Register'),
];

const SEGMENTS: readonly Decision[] = [
  ...['segment-limits', 'segment-expand-down', 'segment-stack-limits'].map((image) =>
    bochs(image, /./, NO_LIMITS, 'Limit Checking'),
  ),
  qemuStops('segment-code-limits', NO_LIMITS, 'Limit Checking'),
  bochs('segment-types', /#GP/, NO_LIMITS, 'Type Checking'),
  bochs(
    'segment-null',
    /./,
    'TCG takes a local table that is null for one of 64 KiB at 0, and lets null segments be used',
    'Null Segment Selector Checking',
  ),
  ...['segment-privilege', 'segment-inspection', 'far-jumps'].map((image) =>
    bochs(
      image,
      /local table/,
      'TCG takes a local table that is null for one of 64 KiB at 0',
      'Segment Selectors',
    ),
  ),
  bochs(
    'segment-accessed',
    /./,
    'TCG does not set the accessed flag of code segments',
    'Code- and Data-Segment Descriptor Types',
  ),
  bochs('far-pointers', /beyond the limit/, NO_LIMITS, 'Limit Checking'),
  bochs(
    'far-returns',
    /SS not present/,
    'a stack that is not there is #SS',
    'RET—Return From Procedure',
  ),
  bochs('call-gates-32', /^landed/, 'the RPL of CS is the CPL', 'CALL—Call Procedure'),
  bochs('real-interrupts', /offset/, NO_LIMITS, 'Limit Checking'),
  bochs('unreal-mode', /#GP/, NO_LIMITS, 'Limit Checking'),
  bochs(
    'virtual-8086-extensions',
    /./,
    'TCG has neither of the extensions',
    'Interrupt and Exception Handling in Virtual-8086 Mode',
  ),
  bochs('virtual-8086', /#GP/, NO_LIMITS, 'Limit Checking'),
  bochs('compatibility-mode', /limits|null/, NO_LIMITS, 'Limit Checking'),
  bochs(
    'segment-bases-64',
    /^no base/,
    'TCG adds the base that a DS prefix names',
    'Segment Override Prefixes',
  ),
  bochs(
    'segment-bases-64',
    /^null in SS/,
    'a null selector in SS has to have the CPL as its RPL',
    'MOV—Move',
  ),
  bochs(
    'task-register-64',
    /16-bit|^access/,
    'there is no 16-bit task state in IA-32e mode',
    'TSS Descriptor in 64-bit mode',
  ),
];

const EVENTS: readonly Decision[] = [
  ...['real-interrupts', 'exceptions-32', 'exceptions-64'].map((image) =>
    bochs(
      image,
      /int1/,
      'INT1 is a debug exception',
      'INT n/INTO/INT3/INT1—Call to Interrupt Procedure',
    ),
  ),
  ...['exceptions-32', 'exceptions-64', 'compatibility-mode'].map((image) =>
    bochs(image, /lock/, 'LOCK is not for it', 'LOCK—Assert LOCK# Signal Prefix'),
  ),
  bochs(
    'exceptions-32',
    /pop of form 1/,
    'the opcode has form 0 only',
    'POP—Pop a Value From the Stack',
  ),
  ...['exceptions-64', 'compatibility-mode', 'interrupt-frames-64'].map((image) =>
    bochs(image, /#(GP|NP)/, GATES_OF_16_BYTES, 'Error Code'),
  ),
  bochs('interrupt-gates-32', /^ud2/, NO_EXT, 'Error Code'),
  bochs('double-fault-32', /#NP/, NO_EXT, 'Error Code'),
  bochs('double-fault-64', /#NP/, NO_EXT, 'Error Code'),
  bochs(
    'interrupt-frames-64',
    /^flags=/,
    'RF is set in what a fault saves',
    'Instruction-Breakpoint Exception Condition',
  ),
  bochs(
    'interrupt-stack-32',
    /^flags saved/,
    'RF is set in what a fault saves',
    'Instruction-Breakpoint Exception Condition',
  ),
  bochs(
    'interrupt-stack-table',
    /^handler's ss/,
    'SS becomes null with a change of the level only',
    'Stack Switching in IA-32e Mode',
  ),
  {
    image: 'interrupt-stack-table',
    lines: /^IST1 not canonical/,
    right: 'neither',
    ours: (line) => line.replace(/\(.*\)/, '(0001)'),
    because: 'no selector is to blame, and the event is an exception: the error code is EXT',
    section: 'INT n/INTO/INT3/INT1—Call to Interrupt Procedure',
  },
  bochs(
    'iret-64',
    /SS null|L and D/,
    'null in SS is for 64-bit code only; L with D is reserved',
    'IRET/IRETD/IRETQ—Interrupt Return',
  ),
  qemu(
    'iret-64',
    /^rsp=/,
    'an IRET of 64-bit mode always pops SS and RSP, whatever its operand size',
    'IRET/IRETD/IRETQ—Interrupt Return',
  ),
  bochs('far-transfers-64', /not canonical/, LATE_FAULT, 'JMP—Jump'),
  bochs('far-transfers-64', /^L and D/, 'L with D is reserved', 'JMP—Jump'),
  bochs(
    'far-transfers-64',
    /^lfs|^rbx/,
    'with REX.W the offset in memory has 64 bits',
    'LDS/LES/LFS/LGS/LSS—Load Far Pointer',
  ),
  bochs(
    'far-transfers-64',
    /^lss, null/,
    'a null selector in SS has to have the CPL as its RPL',
    'LDS/LES/LFS/LGS/LSS—Load Far Pointer',
  ),
  bochs('iret-64-canonical', /./, LATE_FAULT, 'IRET/IRETD/IRETQ—Interrupt Return'),
  bochs(
    'flags',
    /VM/,
    'only level 0 changes VM by IRET; for others it is left alone',
    'IRET/IRETD/IRETQ—Interrupt Return',
  ),
  bochs(
    'syscall',
    /^compatibility mode/,
    'SYSCALL is for 64-bit mode only',
    'SYSCALL—Fast System Call',
  ),
  bochs('syscall', /^flags/, 'TCG loses the status flags', 'SYSCALL—Fast System Call'),
  bochs(
    'syscall-faults',
    /^cs=/,
    'RCX is checked before the level changes',
    'SYSRET—Return From Fast System Call',
  ),
  qemuStops(
    'syscall-faults',
    'TCG does not look at the RPL of SYSENTER_CS',
    'SYSENTER—Fast System Call',
  ),
  bochs(
    'apic-disable',
    /timer entry=00010032|stays masked/,
    'software disabling masks the local vector table, and it stays so',
    'Local APIC State After It Has Been Software Disabled',
  ),
  {
    image: 'apic-disable',
    lines: /after it=|^an interrupt|^globally enabled again/,
    right: 'neither',
    ours: (line) => {
      if (line.startsWith('globally')) return line.replace(/=.*/, '=00000011');
      if (line.startsWith('spurious')) return line.replace(/=.*/, '=000000ff');
      if (line.startsWith('timer')) return line.replace(/=.*/, '=00010000');
      return line.replace(/: .*/, ': interrupt 35');
    },
    because:
      'enabled again it is as after a reset, and works: QEMU keeps its state, and in Bochs nobody answers',
    section: 'Enabling or Disabling the Local APIC',
  },
  qemu(
    'processors-interrupts',
    /^interrupts there/,
    'INIT leaves the APIC disabled by software, so that the interrupt is not accepted',
    'Local APIC State After an INIT Reset (“Wait-for-SIPI” State)',
  ),
];

export const DECISIONS: readonly Decision[] = [...PAGING, ...REGISTERS, ...SEGMENTS, ...EVENTS];
