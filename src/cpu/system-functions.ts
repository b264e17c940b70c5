// The system functions that meanings call: one small function each, the same for every engine.

import Long from 'long';
import { SEGMENT_LOOKS, Segment, type SystemFunction } from '../isa/index.ts';
import { crc32, depositBits, extractBits } from './bit-loops.ts';
import {
  clearTaskSwitched,
  invalidateContext,
  readControl,
  writeControl,
  writeMachineStatus,
} from './control-registers.ts';
import { readDebug, writeDebug } from './debug-registers.ts';
import { deliver } from './delivery.ts';
import { enterVirtualHandler } from './delivery-real.ts';
import { visibleDescriptor } from './descriptor-views.ts';
import { type EventType, EventTypes, GuestFault, Vector } from './exceptions.ts';
import { farCall, farJump } from './far-transfers.ts';
import { swapGs, systemCall, systemEnter, systemExit, systemReturn } from './fast-calls.ts';
import {
  clearFpuExceptions,
  emptyFpu,
  initializeFpu,
  loadFpuControl,
  loadFpuImage,
  loadMxcsr,
  readFpuControl,
  readFpuImage,
  readFpuStatus,
  verifyFpu,
} from './fpu.ts';
import { clearInterruptFlag, popFlags, pushFlags, setInterruptFlag } from './interrupt-flag.ts';
import { isCanonical } from './mmu.ts';
import { EAX, EBX, ECX, EDX, executeReadMsr, executeWriteMsr, setPair } from './msrs.ts';
import { portAccess } from './port-access.ts';
import type { Processor } from './processor.ts';
import { nextRandom } from './random.ts';
import { farReturn, interruptReturn } from './returns.ts';
import { loadLocalTable, loadSegment, loadTaskRegister } from './segments.ts';
import { Activity, Blocking, Cr4, Rflags, Rights, SEGMENT_WORDS, Word, wordOf } from './state.ts';

type Implementation = (processor: Processor, args: readonly Long[]) => Long | undefined;

const TSC_AUX = wordOf('tscAux');

const first = (args: readonly Long[]) => args[0];
const second = (args: readonly Long[]) => args[1];

function cpuid(processor: Processor): undefined {
  const { words } = processor.state;
  const leaf = words[EAX] >>> 0;
  const result = processor.platform.cpuid(leaf, words[ECX] >>> 0);
  [EAX, EBX, ECX, EDX].forEach((word, i) => {
    words[word] = result[i];
    words[word + 1] = 0;
  });
}

function halt(processor: Processor): undefined {
  processor.state.words[Word.ACTIVITY] = Activity.HLT;
  processor.requestAttention();
}

/** The instructions that raise an exception of their own rather than a numbered interrupt. */
const INTERRUPT_TYPES: ReadonlyMap<string, EventType> = new Map([
  ['INT1', EventTypes.PRIVILEGED_SOFTWARE_EXCEPTION],
  ['INT3', EventTypes.SOFTWARE_EXCEPTION],
  ['INTO', EventTypes.SOFTWARE_EXCEPTION],
]);

function interrupt(processor: Processor, args: readonly Long[]): undefined {
  const vector = first(args).low;
  const { row, lengthBytes } = processor.evaluator.instruction;
  const event = {
    vector,
    type: INTERRUPT_TYPES.get(row.mnemonic) ?? EventTypes.SOFTWARE_INTERRUPT,
    errorCode: null,
    instructionLengthBytes: lengthBytes,
  };
  const isPlain = event.type === EventTypes.SOFTWARE_INTERRUPT;
  if (!isPlain) processor.virtualization.exception(event, Long.ZERO);
  const isVirtual = processor.mode === 'virtual8086' && isPlain;
  if (!isVirtual || !enterVirtualHandler(processor, event)) deliver(processor, event);
  processor.evaluator.continueAtRip();
  processor.requestAttention();
}

function iret(processor: Processor): undefined {
  interruptReturn(processor, widthBytes(processor));
  processor.evaluator.continueAtRip();
}

function widthBytes(processor: Processor): number {
  return processor.evaluator.instruction.width / 8;
}

function farBranch(work: typeof farCall): Implementation {
  return (processor, [selector, offset]) => {
    work(processor, selector.low & 0xffff, offset, widthBytes(processor));
    processor.evaluator.continueAtRip();
    return undefined;
  };
}

function loadTable(base: number, limit: number): Implementation {
  return (processor, args) => {
    if (!isCanonical(second(args).high)) throw new GuestFault(Vector.GP, 0);
    processor.state.words[limit] = first(args).low;
    processor.state.set64(base, second(args));
    return undefined;
  };
}

/**
 * A load of SS holds events until the next instruction has loaded the stack pointer, unless an
 * instruction before has done so already. LSS loads it too and needs no such help.
 */
function holdEvents(processor: Processor): void {
  const isHeld = (processor.state.words[Word.INTERRUPTIBILITY] & Blocking.MOV_SS) !== 0;
  const isAlone = processor.evaluator.instruction.row.mnemonic !== 'LSS';
  if (isAlone && !isHeld) processor.block(Blocking.MOV_SS);
}

/** Bits that IN or OUT transfers. */
function portWidth(processor: Processor): number {
  const { evaluator, state } = processor;
  return portAccess(evaluator.instruction, state.words).lengthBytes * 8;
}

function readTscp(processor: Processor): undefined {
  const { words } = processor.state;
  setPair(words, processor.virtualization.timeStamp(processor.clock));
  words[ECX] = words[TSC_AUX];
  words[ECX + 1] = 0;
}

/**
 * Access rights as LAR shows them: the upper half of the descriptor without the parts of the base.
 * The bits of the limit among them are undefined; Intel's processors leave them in.
 */
function accessRights(processor: Processor, selector: number): Long {
  const visible = visibleDescriptor(processor, selector, 'accessRights');
  if (visible === null) return Long.ZERO;
  const { rights, limit } = visible;
  const isGranular = (rights & Rights.G) !== 0;
  const limitBits = (limit >>> (isGranular ? 28 : 16)) & 15;
  return Long.fromInt(((rights & 0xf0ff) << 8) | (limitBits << 16), true);
}

/** The base of FS or GS, which CR4.FSGSBASE opens to programs. */
function baseWord({ state }: Processor, number: Long): number {
  if ((state.words[Word.CR4] & Cr4.FSGSBASE) === 0) throw new GuestFault(Vector.UD);
  return SEGMENT_WORDS[number.low].base;
}

function returnsNothing(
  work: (processor: Processor, args: readonly Long[]) => void,
): Implementation {
  return (processor, args) => {
    work(processor, args);
    return undefined;
  };
}

const IMPLEMENTATIONS: Readonly<Record<SystemFunction, Implementation>> = {
  accessRights: (processor, [selector]) => accessRights(processor, selector.low),
  clearTaskSwitched: returnsNothing(clearTaskSwitched),
  clearFpuExceptions: returnsNothing(({ state }) => clearFpuExceptions(state)),
  clearInterruptFlag: returnsNothing(clearInterruptFlag),
  cpuid,
  crc32: (_, [sum, data, bits]) => Long.fromInt(crc32(sum.low, data, bits.low), true),
  depositBits: (_, [value, mask]) => depositBits(value, mask),
  emptyFpu: returnsNothing(({ state }) => emptyFpu(state)),
  extractBits: (_, [value, mask]) => extractBits(value, mask),
  farCall: farBranch(farCall),
  farJump: farBranch(farJump),
  farReturn: (processor, [released]) => {
    farReturn(processor, widthBytes(processor), released.low);
    processor.evaluator.continueAtRip();
    return undefined;
  },
  halt,
  in: (processor, args) =>
    Long.fromInt(processor.platform.portIn(first(args).low & 0xffff, portWidth(processor)), true),
  initializeFpu: returnsNothing(({ state }) => initializeFpu(state)),
  interrupt,
  invalidateContext: returnsNothing(invalidateContext),
  // Translations here are never older than the entries that they come from.
  invalidatePage: () => undefined,
  iret,
  loadFpuControl: returnsNothing(({ state }, [value]) => loadFpuControl(state, value.low)),
  loadFpuImage: returnsNothing((processor, image) =>
    loadFpuImage(processor.state, image, widthBytes(processor) === 8),
  ),
  loadMxcsr: returnsNothing(({ state }, [value]) => loadMxcsr(state, value.low)),
  loadGdtr: loadTable(Word.GDTR_BASE, Word.GDTR_LIMIT),
  loadIdtr: loadTable(Word.IDTR_BASE, Word.IDTR_LIMIT),
  loadLocalTable: returnsNothing((processor, [selector]) =>
    loadLocalTable(processor, selector.low),
  ),
  loadSegment: (processor, args) => {
    const number = first(args).low;
    loadSegment(processor, number, second(args).low);
    if (number === Segment.SS) holdEvents(processor);
    return undefined;
  },
  loadTaskRegister: returnsNothing((processor, args) =>
    loadTaskRegister(processor, first(args).low),
  ),
  out: (processor, args) => {
    const value = second(args).low >>> 0;
    processor.platform.portOut(first(args).low & 0xffff, portWidth(processor), value);
    return undefined;
  },
  popFlags: returnsNothing((processor, [image]) => popFlags(processor, image.low)),
  pushFlags,
  random: ({ state }) => nextRandom(state),
  readControl: (processor, args) => readControl(processor, first(args).low),
  // There are no counters, so none of their numbers exists.
  readCounter: () => {
    throw new GuestFault(Vector.GP, 0);
  },
  readDebug: (processor, args) => readDebug(processor, first(args).low),
  readFpuControl: ({ state }) => readFpuControl(state),
  readFpuImage: (processor, [index]) =>
    readFpuImage(processor.state, index.low, widthBytes(processor) === 8),
  readFpuStatus: ({ state }) => readFpuStatus(state),
  readMxcsr: ({ state }) => Long.fromInt(state.words[Word.MXCSR]),
  readGdtrBase: ({ state }) => state.get64(Word.GDTR_BASE),
  readGdtrLimit: ({ state }) => Long.fromInt(state.words[Word.GDTR_LIMIT]),
  readIdtrBase: ({ state }) => state.get64(Word.IDTR_BASE),
  readIdtrLimit: ({ state }) => Long.fromInt(state.words[Word.IDTR_LIMIT]),
  readMsr: returnsNothing(executeReadMsr),
  readProcessorId: ({ state }) => state.get64(TSC_AUX),
  readSegment: (processor, args) => {
    const register = SEGMENT_WORDS[first(args).low];
    return Long.fromInt(processor.state.words[register.selector] & 0xffff);
  },
  readSegmentBase: (processor, [number]) => processor.state.get64(baseWord(processor, number)),
  readTsc: returnsNothing((processor) =>
    setPair(processor.state.words, processor.virtualization.timeStamp(processor.clock)),
  ),
  readTscp: (processor) => readTscp(processor),
  segmentLimit: (processor, [selector]) => {
    const limit = visibleDescriptor(processor, selector.low, 'segmentLimit')?.limit ?? 0;
    return Long.fromInt(limit, true);
  },
  setAccessControl: (processor, [value]) => {
    const { state } = processor;
    state.words[Word.RFLAGS] &= ~Rflags.AC;
    if (!value.isZero()) state.words[Word.RFLAGS] |= Rflags.AC;
    processor.mmu.updatePrivilege();
    return undefined;
  },
  setInterruptFlag: returnsNothing(setInterruptFlag),
  swapGs: returnsNothing(swapGs),
  systemCall: returnsNothing(systemCall),
  systemEnter: returnsNothing(systemEnter),
  systemExit: returnsNothing(systemExit),
  systemReturn: returnsNothing(systemReturn),
  verifyFpu: returnsNothing(verifyFpu),
  verifySegment: (processor, [selector, which]) => {
    const found = visibleDescriptor(processor, selector.low, SEGMENT_LOOKS[which.low]);
    return Long.fromInt(found === null ? 0 : 1);
  },
  writeControl: returnsNothing((processor, args) =>
    writeControl(processor, first(args).low, second(args)),
  ),
  writeDebug: returnsNothing((processor, args) =>
    writeDebug(processor, first(args).low, second(args)),
  ),
  writeMachineStatus: returnsNothing((processor, [status]) =>
    writeMachineStatus(processor, status.low),
  ),
  writeMsr: returnsNothing(executeWriteMsr),
  writeSegmentBase: (processor, [number, base]) => {
    const word = baseWord(processor, number);
    if (!isCanonical(base.high)) throw new GuestFault(Vector.GP, 0);
    processor.state.set64(word, base);
    return undefined;
  },
};

/** Call a system function; functions without a result give 0. */
export function callSystem(
  processor: Processor,
  name: SystemFunction,
  args: readonly Long[],
): Long {
  return IMPLEMENTATIONS[name](processor, args) ?? Long.ZERO;
}
