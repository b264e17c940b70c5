// Which instructions exit, and with what qualification. SDM 3, "VMX Non-Root Operation",
// "Instructions That Cause VM Exits", and "Basic VM-Exit Information". The processor asks twice:
// before its privilege check, which settles little, and after it.

import Long from 'long';
import {
  Cr0,
  GuestFault,
  type PauseWatch,
  portAccess,
  SEGMENT_WORDS,
  type TaskSourceNumber,
  Vector,
} from '../cpu/index.ts';
import {
  Gpr,
  type Instruction,
  type Intercept,
  type RegisterOperand,
  Segment,
} from '../isa/index.ts';
import { asDouble } from '../sim/index.ts';
import { msrExits, portExits } from './bitmaps.ts';
import { Primary, Secondary } from './controls.ts';
import { type ExitDetails, recordExit, recordExitWith } from './exit-information.ts';
import { Exit } from './exit-reasons.ts';
import { fieldIndex } from './fields.ts';
import {
  addressSizeInformation,
  instructionInformation,
  tableInformation,
} from './instruction-information.ts';
import { PauseTimes } from './pause-loop.ts';
import type { VirtualProcessor } from './virtual-processor.ts';

/** True if the instruction exits, which is then recorded. */
type Decision = (owner: VirtualProcessor, instruction: Instruction) => boolean;

const PLE_GAP = fieldIndex('PLE_GAP');
const IO_BITMAP_A = fieldIndex('IO_BITMAP_A');
const IO_BITMAP_B = fieldIndex('IO_BITMAP_B');
const MSR_BITMAP = fieldIndex('MSR_BITMAP');
const CR0_MASK = fieldIndex('CR0_GUEST_HOST_MASK');
const CR0_SHADOW = fieldIndex('CR0_READ_SHADOW');
const CR4_MASK = fieldIndex('CR4_GUEST_HOST_MASK');
const CR4_SHADOW = fieldIndex('CR4_READ_SHADOW');
const CR3_TARGET_COUNT = fieldIndex('CR3_TARGET_COUNT');
const CR3_TARGETS = [
  fieldIndex('CR3_TARGET_VALUE0'),
  fieldIndex('CR3_TARGET_VALUE1'),
  fieldIndex('CR3_TARGET_VALUE2'),
  fieldIndex('CR3_TARGET_VALUE3'),
];

/** @param qualification its low half; the high one is 0 */
function exit(
  owner: VirtualProcessor,
  reason: number,
  instruction: Instruction,
  qualification = 0,
): true {
  recordExit(owner, reason, instruction.lengthBytes, qualification);
  return true;
}

/** Exits if a primary control is set. */
function ifPrimary(control: number, reason: number): Decision {
  return (owner, instruction) =>
    (owner.primary & control) !== 0 && exit(owner, reason, instruction);
}

function always(reason: number): Decision {
  return (owner, instruction) => exit(owner, reason, instruction);
}

/** PAUSE exiting beats PAUSE-loop exiting, which looks at CPL 0 only. */
const pause: Decision = (owner, instruction) => {
  if ((owner.primary & Primary.PAUSE_EXITING) !== 0) {
    return exit(owner, Exit.PAUSE_INSTRUCTION, instruction);
  }
  const { processor, vmcs } = owner;
  const isDetected = (owner.secondary & Secondary.PAUSE_LOOP_EXITING) !== 0;
  if (isDetected && processor.state.cpl === 0) {
    const gap = vmcs.get32(PLE_GAP) >>> 0;
    if (owner.pauseLoop.pause(processor.clock, gap, owner.pauseWindow)) {
      return exit(owner, Exit.PAUSE_INSTRUCTION, instruction);
    }
  }
  owner.spin.paused();
  return false;
};

/** How PAUSE is watched while none exits by itself, and nobody wants to see each. */
export function pauseWatch(owner: VirtualProcessor, watch: OwnPauseWatch): PauseWatch | null {
  const { processor, pauseLoop } = owner;
  const { clock } = processor;
  const look = owner.spin.nextLook;
  if ((owner.primary & Primary.PAUSE_EXITING) !== 0 || clock >= look) return null;
  const isDetected = (owner.secondary & Secondary.PAUSE_LOOP_EXITING) !== 0;
  if (!isDetected || processor.state.cpl !== 0) {
    const { unseen } = watch;
    unseen.first = clock;
    unseen.last = clock;
    watch.state = unseen;
    watch.gap = Number.POSITIVE_INFINITY;
    watch.window = look - clock;
  } else {
    const { state } = pauseLoop;
    watch.state = state;
    watch.gap = owner.vmcs.get32(PLE_GAP) >>> 0;
    watch.window = Math.min(owner.pauseWindow, look - state.first);
  }
  return watch;
}

/** Used again at each entry of compiled code. */
export class OwnPauseWatch implements PauseWatch {
  /** In place of the detector's, where that does not look. */
  readonly unseen = new PauseTimes();
  state: PauseTimes = this.unseen;
  gap = asDouble(0);
  window = asDouble(0);
}

/** #UD unless a secondary control enables the instruction. */
function unlessEnabled(control: number): Decision {
  return (owner) => {
    if ((owner.secondary & control) === 0) throw new GuestFault(Vector.UD);
    return false;
  };
}

function msrAccess(write: boolean): Decision {
  const reason = write ? Exit.MSR_WRITE : Exit.MSR_READ;
  return (owner, instruction) => {
    const index = owner.processor.state.words[2 * Gpr.RCX] >>> 0;
    const useBitmap = (owner.primary & Primary.USE_MSR_BITMAPS) !== 0;
    const bitmap = owner.vmcs.address(MSR_BITMAP);
    if (useBitmap && !msrExits(owner.memory, bitmap, index, write)) return false;
    return exit(owner, reason, instruction);
  };
}

const io: Decision = (owner, instruction) => {
  const access = portAccess(instruction, owner.processor.state.words);
  const lengthBytes = access.lengthBytes;
  const { vmcs } = owner;
  const exits =
    (owner.primary & Primary.USE_IO_BITMAPS) !== 0
      ? portExits(
          owner.memory,
          vmcs.address(IO_BITMAP_A),
          vmcs.address(IO_BITMAP_B),
          access.port,
          lengthBytes,
        )
      : (owner.primary & Primary.UNCOND_IO_EXITING) !== 0;
  if (!exits) return false;
  const isRepeated = instruction.repeat !== 'none';
  const qualification =
    (lengthBytes - 1) |
    (access.isIn ? 1 << 3 : 0) |
    (access.isString ? 1 << 4 : 0) |
    (isRepeated ? 1 << 5 : 0) |
    (access.isImmediate ? 1 << 6 : 0) |
    (access.port << 16);
  if (!access.isString) return exit(owner, Exit.IO_INSTRUCTION, instruction, qualification);
  recordExitWith(owner, Exit.IO_INSTRUCTION, {
    qualification: Long.fromInt(qualification, true),
    instructionLengthBytes: instruction.lengthBytes,
    ...stringOperand(owner, instruction, access.isIn),
  });
  return true;
};

/** Where INS or OUTS find their data: ES:rDI, or DS:rSI with overrides. */
function stringOperand(
  owner: VirtualProcessor,
  { addressWidth, segmentOverride }: Instruction,
  isIn: boolean,
): Pick<ExitDetails, 'guestLinearAddress' | 'instructionInformation'> {
  const { state, mode } = owner.processor;
  const segment = isIn ? Segment.ES : segmentOverride < 0 ? Segment.DS : segmentOverride;
  const register = state.get64(2 * (isIn ? Gpr.RDI : Gpr.RSI));
  const low = addressWidth === 16 ? register.low & 0xffff : register.low;
  const offset = addressWidth === 64 ? register : Long.fromBits(low, 0);
  const is64Bit = mode === '64-bit';
  const hasBase = !is64Bit || segment >= Segment.FS;
  const base = hasBase ? state.get64(SEGMENT_WORDS[segment].base) : Long.ZERO;
  const linear = base.add(offset);
  return {
    guestLinearAddress: is64Bit ? linear : Long.fromBits(linear.low, 0),
    instructionInformation: addressSizeInformation(addressWidth) | (isIn ? 0 : segment << 15),
  };
}

/** The control or debug register and the general register of a MOV. */
function moveParts(instruction: Instruction): {
  readonly special: RegisterOperand;
  readonly general: RegisterOperand;
  readonly isWrite: boolean;
} {
  const [first, second] = instruction.operands as readonly RegisterOperand[];
  const isWrite = first?.class !== 'general';
  return {
    special: (isWrite ? first : second) as RegisterOperand,
    general: (isWrite ? second : first) as RegisterOperand,
    isWrite,
  };
}

const crAccess: Decision = (owner, instruction) => {
  const { special, general, isWrite } = moveParts(instruction);
  const value = owner.processor.evaluator.operandValue(general);
  if (!crExits(owner, special.number, isWrite, value)) return false;
  const type = isWrite ? 0 : 1;
  const qualification = special.number | (type << 4) | (general.number << 8);
  return exit(owner, Exit.CR_ACCESS, instruction, qualification);
};

function crExits(owner: VirtualProcessor, number: number, isWrite: boolean, value: Long): boolean {
  const { vmcs, primary } = owner;
  switch (number) {
    case 0:
      return isWrite && differs(value, vmcs.get64(CR0_MASK), vmcs.get64(CR0_SHADOW));
    case 4:
      return isWrite && differs(value, vmcs.get64(CR4_MASK), vmcs.get64(CR4_SHADOW));
    case 3:
      if (!isWrite) return (primary & Primary.CR3_STORE_EXITING) !== 0;
      return (primary & Primary.CR3_LOAD_EXITING) !== 0 && !isCr3Target(owner, value);
    case 8:
      return (primary & (isWrite ? Primary.CR8_LOAD_EXITING : Primary.CR8_STORE_EXITING)) !== 0;
    default:
      return false;
  }
}

/** True if a bit that the host owns is written with another value than the guest reads. */
function differs(value: Long, mask: Long, shadow: Long): boolean {
  return !value.xor(shadow).and(mask).isZero();
}

function isCr3Target(owner: VirtualProcessor, value: Long): boolean {
  const count = owner.vmcs.get32(CR3_TARGET_COUNT);
  return CR3_TARGETS.slice(0, count).some((field) => owner.vmcs.get64(field).eq(value));
}

const drAccess: Decision = (owner, instruction) => {
  if ((owner.primary & Primary.MOV_DR_EXITING) === 0) return false;
  const { special, general, isWrite } = moveParts(instruction);
  const qualification = special.number | (isWrite ? 0 : 1 << 4) | (general.number << 8);
  return exit(owner, Exit.DR_ACCESS, instruction, qualification);
};

const CLTS = 2 << 4;
const LMSW = 3 << 4;
const LMSW_MEMORY = 1 << 6;
/** The bits of CR0 that LMSW writes; it cannot clear PE. */
const STATUS_BITS = Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS;

/** CLTS and LMSW, which write a part of CR0. */
const machineStatus: Decision = (owner, instruction) => {
  const mask = owner.vmcs.get64(CR0_MASK).low;
  const shadow = owner.vmcs.get64(CR0_SHADOW).low;
  const operand = instruction.operands[0];
  if (operand === undefined) {
    if ((mask & shadow & Cr0.TS) === 0) return false;
    return exit(owner, Exit.CR_ACCESS, instruction, CLTS);
  }
  const { evaluator } = owner.processor;
  const value = evaluator.operandValue(operand).low & 0xffff;
  const kept = value | (shadow & Cr0.PE);
  if (((kept ^ shadow) & mask & STATUS_BITS) === 0) return false;
  const isMemory = operand.kind === 'memory';
  recordExitWith(owner, Exit.CR_ACCESS, {
    qualification: Long.fromInt(LMSW | (isMemory ? LMSW_MEMORY : 0) | (value << 16), true),
    instructionLengthBytes: instruction.lengthBytes,
    ...(isMemory ? { guestLinearAddress: evaluator.linearAddress(operand) } : {}),
  });
  return true;
};

const invlpg: Decision = (owner, instruction) => {
  if ((owner.primary & Primary.INVLPG_EXITING) === 0) return false;
  const { evaluator } = owner.processor;
  const operand = instruction.operands[0];
  recordExitWith(owner, Exit.INVLPG, {
    qualification: operand === undefined ? Long.ZERO : evaluator.linearAddress(operand),
    instructionLengthBytes: instruction.lengthBytes,
  });
  return true;
};

const OPERAND_EXITS: Readonly<Record<string, number>> = {
  INVEPT: Exit.INVEPT,
  INVPCID: Exit.INVPCID,
  INVVPID: Exit.INVVPID,
  VMCLEAR: Exit.VMCLEAR,
  VMLAUNCH: Exit.VMLAUNCH,
  VMPTRLD: Exit.VMPTRLD,
  VMPTRST: Exit.VMPTRST,
  VMREAD: Exit.VMREAD,
  VMRESUME: Exit.VMRESUME,
  VMWRITE: Exit.VMWRITE,
  VMXOFF: Exit.VMOFF,
  VMXON: Exit.VMON,
};

/** Compatibility mode does not know them, nor do real and virtual-8086 mode. */
const vmxInstruction: Decision = (owner, instruction) => {
  if (instruction.row.protectedOnly === true && owner.processor.mode === 'compatibility') {
    throw new GuestFault(Vector.UD);
  }
  return exitWithOperand(owner, instruction);
};

/** Of the memory operand, from 0 or from the next instruction; 0 if there is none. */
function displacementOf(owner: VirtualProcessor, { operands }: Instruction): Long {
  const memory = operands.find((operand) => operand.kind === 'memory');
  const { nextLow, nextHigh } = owner.processor.evaluator;
  const from = memory?.ripRelative ? Long.fromBits(nextLow, nextHigh) : Long.ZERO;
  return from.add(memory?.displacement ?? Long.ZERO);
}

/** At any CPL, and before memory is looked at; the qualification is the displacement. */
const exitWithOperand: Decision = (owner, instruction) => {
  recordExitWith(owner, OPERAND_EXITS[instruction.row.mnemonic], {
    qualification: displacementOf(owner, instruction),
    instructionLengthBytes: instruction.lengthBytes,
    instructionInformation: instructionInformation(instruction),
  });
  return true;
};

/** Identities in the instruction information, and which of the two exits it is. */
const TABLE_INSTRUCTIONS: Readonly<Record<string, readonly [reason: number, identity: number]>> = {
  SGDT: [Exit.GDTR_IDTR, 0],
  SIDT: [Exit.GDTR_IDTR, 1],
  LGDT: [Exit.GDTR_IDTR, 2],
  LIDT: [Exit.GDTR_IDTR, 3],
  SLDT: [Exit.LDTR_TR, 0],
  STR: [Exit.LDTR_TR, 1],
  LLDT: [Exit.LDTR_TR, 2],
  LTR: [Exit.LDTR_TR, 3],
};

const descriptorTable: Decision = (owner, instruction) => {
  const known = TABLE_INSTRUCTIONS[instruction.row.mnemonic];
  if ((owner.secondary & Secondary.DESC) === 0 || known === undefined) return false;
  const [reason, identity] = known;
  recordExitWith(owner, reason, {
    qualification: displacementOf(owner, instruction),
    instructionLengthBytes: instruction.lengthBytes,
    instructionInformation: tableInformation(instruction, reason === Exit.GDTR_IDTR, identity),
  });
  return true;
};

const DECISIONS: Readonly<Record<Intercept, Decision>> = {
  CPUID: always(Exit.CPUID),
  CR_ACCESS: crAccess,
  DESCRIPTOR_TABLE: descriptorTable,
  DR_ACCESS: () => false,
  HLT: ifPrimary(Primary.HLT_EXITING, Exit.HLT),
  INVD: always(Exit.INVD),
  INVLPG: invlpg,
  INVPCID: (owner, instruction) =>
    (owner.primary & Primary.INVLPG_EXITING) !== 0 && exitWithOperand(owner, instruction),
  IO: io,
  MACHINE_STATUS: machineStatus,
  MONITOR: ifPrimary(Primary.MONITOR_EXITING, Exit.MONITOR_INSTRUCTION),
  MWAIT: ifPrimary(Primary.MWAIT_EXITING, Exit.MWAIT_INSTRUCTION),
  PAUSE: pause,
  RDMSR: msrAccess(false),
  RDPID: unlessEnabled(Secondary.ENABLE_RDTSCP),
  RDPMC: ifPrimary(Primary.RDPMC_EXITING, Exit.RDPMC),
  RDTSC: ifPrimary(Primary.RDTSC_EXITING, Exit.RDTSC),
  RDTSCP: ifPrimary(Primary.RDTSC_EXITING, Exit.RDTSCP),
  VMCALL: always(Exit.VMCALL),
  VMX: vmxInstruction,
  WBINVD: (owner, instruction) =>
    (owner.secondary & Secondary.WBINVD_EXITING) !== 0 && exit(owner, Exit.WBINVD, instruction),
  WRMSR: msrAccess(true),
};

/** What comes before the privilege check: #UD, and the exit of MOV DR, alone among exits. */
const EARLY_DECISIONS: Readonly<Partial<Record<Intercept, Decision>>> = {
  DR_ACCESS: drAccess,
  INVPCID: unlessEnabled(Secondary.ENABLE_INVPCID),
  RDTSCP: unlessEnabled(Secondary.ENABLE_RDTSCP),
};

/** As {@link decide}, before the processor has made its privilege check. */
export function decideEarly(
  owner: VirtualProcessor,
  intercept: Intercept,
  instruction: Instruction,
): boolean {
  return EARLY_DECISIONS[intercept]?.(owner, instruction) ?? false;
}

/** Whether an instruction leaves to the host, which is then recorded, or may execute. */
export function decide(
  owner: VirtualProcessor,
  intercept: Intercept,
  instruction: Instruction,
): boolean {
  return DECISIONS[intercept](owner, instruction);
}

/** A task switch, by an instruction or by the delivery of an event through a task gate. */
export function exitForTask(
  owner: VirtualProcessor,
  selector: number,
  source: TaskSourceNumber,
): never {
  const { delivering, evaluator } = owner.processor;
  owner.exit(Exit.TASK_SWITCH, {
    qualification: Long.fromBits(selector | (source << 30), 0),
    instructionLengthBytes: delivering === null ? evaluator.instruction.lengthBytes : 0,
  });
}
