// What the system functions read and write by themselves of general registers, RFLAGS and memory,
// beyond their arguments and result; for the effects domain. Control, segment and model-specific
// registers, ports and time are not listed: the function's name says that it is about them.

import type { SystemFunction } from './domain.ts';
import type { RegisterBytes } from './effects.ts';
import { Gpr } from './registers.ts';

export interface SystemEffects {
  readonly registersRead?: readonly RegisterBytes[];
  /** Always written in full. */
  readonly registersWritten?: readonly RegisterBytes[];
  readonly flagsRead?: number;
  readonly flagsWritten?: number;
  readonly flagsMaybeWritten?: number;
  /** Bits of MXCSR. */
  readonly mxcsrRead?: number;
  readonly mxcsrWritten?: number;
  /** Accesses to descriptor tables, task state and stacks. */
  readonly memory?: 'read' | 'write' | 'modify';
  readonly jumps?: true;
}

const CF_TO_OF = 0xcd5;
const TF = 1 << 8;
const IF = 1 << 9;
const IOPL = 3 << 12;
const NT = 1 << 14;
const RF = 1 << 16;
const VM = 1 << 17;
const AC = 1 << 18;
const VIF = 1 << 19;
const VIP = 1 << 20;
const ID = 1 << 21;
/** All that exists. */
const MXCSR = 0xffff;

const low = (...numbers: number[]): RegisterBytes[] =>
  numbers.map((number) => ({ number, bytes: 0x0f }));
const full = (...numbers: number[]): RegisterBytes[] =>
  numbers.map((number) => ({ number, bytes: 0xff }));

const ALL = CF_TO_OF | TF | IF | IOPL | NT | RF | VM | AC | VIF | VIP | ID;

const { RAX, RCX, RDX, RBX, RSP, R11 } = Gpr;

/** POPF and IRET: what may change depends on CPL, IOPL and the operand size. */
const flagsFromStack = {
  flagsRead: IOPL,
  flagsWritten: CF_TO_OF | TF | NT,
  flagsMaybeWritten: IF | IOPL | RF | AC | ID,
};

export const SYSTEM_EFFECTS: Readonly<Record<SystemFunction, SystemEffects>> = {
  accessRights: { memory: 'read' },
  clearFpuExceptions: {},
  clearInterruptFlag: { flagsWritten: IF },
  clearTaskSwitched: {},
  cpuid: { registersRead: low(RAX, RCX), registersWritten: full(RAX, RCX, RDX, RBX) },
  crc32: {},
  depositBits: {},
  emptyFpu: {},
  extractBits: {},
  farCall: { registersRead: full(RSP), registersWritten: full(RSP), memory: 'modify', jumps: true },
  farJump: { memory: 'read', jumps: true },
  farReturn: {
    registersRead: full(RSP),
    registersWritten: full(RSP),
    memory: 'modify',
    jumps: true,
  },
  halt: {},
  in: {},
  initializeFpu: {},
  interrupt: {
    registersRead: full(RSP),
    registersWritten: full(RSP),
    flagsRead: ALL,
    flagsWritten: TF | NT | RF | VM,
    flagsMaybeWritten: IF,
    memory: 'modify',
    jumps: true,
  },
  invalidateContext: {},
  invalidatePage: {},
  iret: {
    ...flagsFromStack,
    registersRead: full(RSP),
    registersWritten: full(RSP),
    flagsRead: IOPL | NT,
    memory: 'modify',
    jumps: true,
  },
  loadFpuControl: {},
  loadFpuImage: { mxcsrWritten: MXCSR },
  loadGdtr: {},
  loadIdtr: {},
  loadLocalTable: { memory: 'read' },
  loadMxcsr: { mxcsrWritten: MXCSR },
  loadSegment: { memory: 'modify' },
  loadTaskRegister: { memory: 'modify' },
  out: {},
  popFlags: flagsFromStack,
  pushFlags: { flagsRead: CF_TO_OF | TF | IF | IOPL | NT | AC | VIF | VIP | ID },
  random: {},
  readControl: {},
  readCounter: { registersRead: low(RCX), registersWritten: full(RAX, RDX) },
  readDebug: {},
  readFpuControl: {},
  readFpuImage: { mxcsrRead: MXCSR },
  readFpuStatus: {},
  readGdtrBase: {},
  readGdtrLimit: {},
  readIdtrBase: {},
  readIdtrLimit: {},
  readMsr: { registersRead: low(RCX), registersWritten: full(RAX, RDX) },
  readMxcsr: { mxcsrRead: MXCSR },
  readProcessorId: {},
  readSegment: {},
  readSegmentBase: {},
  readTsc: { registersWritten: full(RAX, RDX) },
  readTscp: { registersWritten: full(RAX, RCX, RDX) },
  segmentLimit: { memory: 'read' },
  setAccessControl: { flagsWritten: AC },
  setInterruptFlag: { flagsRead: IF, flagsWritten: IF },
  swapGs: {},
  systemCall: {
    registersWritten: full(RCX, R11),
    flagsRead: ALL,
    flagsMaybeWritten: ALL,
    jumps: true,
  },
  systemEnter: { registersWritten: full(RSP), flagsWritten: IF | VM, jumps: true },
  systemExit: {
    registersRead: full(RCX, RDX),
    registersWritten: full(RSP),
    jumps: true,
  },
  systemReturn: {
    registersRead: [...full(RCX), ...low(R11)],
    flagsWritten: ALL,
    jumps: true,
  },
  verifyFpu: {},
  verifySegment: { memory: 'read' },
  writeControl: {},
  writeDebug: {},
  writeMachineStatus: {},
  writeMsr: { registersRead: low(RAX, RCX, RDX) },
  writeSegmentBase: {},
};
