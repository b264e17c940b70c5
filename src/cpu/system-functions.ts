// The system functions that meanings call: one small function each, the same for every engine.

import Long from 'long';
import { Segment, type SystemFunction } from '../isa/index.ts';
import { readControl, readDebug, writeControl, writeDebug } from './control-registers.ts';
import { deliver, interruptReturn, writeFlags } from './delivery.ts';
import { EventTypes, GuestFault, Vector } from './exceptions.ts';
import { isCanonical } from './mmu.ts';
import { EAX, EBX, ECX, EDX, executeReadMsr, executeWriteMsr, setPair } from './msrs.ts';
import { portAccess } from './port-access.ts';
import type { Processor } from './processor.ts';
import { loadSegment, loadTaskRegister } from './segments.ts';
import { Activity, Blocking, Rflags, SEGMENT_WORDS, Word, wordOf } from './state.ts';

type Implementation = (processor: Processor, args: readonly Long[]) => Long | undefined;

const TSC_AUX = wordOf('tscAux');

const first = (args: readonly Long[]) => args[0];
const second = (args: readonly Long[]) => args[1];

function setIf(processor: Processor): undefined {
  const { words } = processor.state;
  if ((words[Word.RFLAGS] & Rflags.IF) === 0) {
    words[Word.RFLAGS] |= Rflags.IF;
    processor.block(Blocking.STI);
  }
}

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

function interrupt(processor: Processor, args: readonly Long[]): undefined {
  const vector = first(args).low;
  const isBreakpoint = processor.evaluator.instruction.row.mnemonic === 'INT3';
  const event = {
    vector,
    type: isBreakpoint ? EventTypes.SOFTWARE_EXCEPTION : EventTypes.SOFTWARE_INTERRUPT,
    errorCode: null,
    instructionLengthBytes: processor.evaluator.instruction.lengthBytes,
  };
  if (isBreakpoint) processor.virtualization.exception(event, Long.ZERO);
  deliver(processor, event);
  processor.evaluator.continueAtRip();
  processor.requestAttention();
}

function iret(processor: Processor): undefined {
  interruptReturn(processor, processor.evaluator.instruction.width / 8);
  processor.evaluator.continueAtRip();
}

function loadTable(base: number, limit: number): Implementation {
  return (processor, args) => {
    if (!isCanonical(second(args).high)) throw new GuestFault(Vector.GP, 0);
    processor.state.words[limit] = first(args).low;
    processor.state.set64(base, second(args));
    return undefined;
  };
}

function popFlags(processor: Processor, args: readonly Long[]): undefined {
  const mask = processor.evaluator.instruction.width === 16 ? 0xffff : ~0;
  writeFlags(processor, first(args).low & ~Rflags.RF, mask, processor.state.cpl);
}

/** RF and VM read as 0. */
function pushFlags(processor: Processor): Long {
  return Long.fromInt(processor.state.words[Word.RFLAGS] & ~(Rflags.RF | Rflags.VM));
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

const IMPLEMENTATIONS: Readonly<Record<SystemFunction, Implementation>> = {
  clearInterruptFlag: (processor) => {
    processor.state.words[Word.RFLAGS] &= ~Rflags.IF;
    return undefined;
  },
  cpuid,
  halt,
  in: (processor, args) =>
    Long.fromInt(processor.platform.portIn(first(args).low & 0xffff, portWidth(processor)), true),
  interrupt,
  invalidatePage: (processor) => {
    processor.mmu.flush();
    return undefined;
  },
  iret,
  loadGdtr: loadTable(Word.GDTR_BASE, Word.GDTR_LIMIT),
  loadIdtr: loadTable(Word.IDTR_BASE, Word.IDTR_LIMIT),
  loadSegment: (processor, args) => {
    const number = first(args).low;
    loadSegment(processor, number, second(args).low);
    if (number === Segment.SS) processor.block(Blocking.MOV_SS);
    return undefined;
  },
  loadTaskRegister: (processor, args) => {
    loadTaskRegister(processor, first(args).low);
    return undefined;
  },
  out: (processor, args) => {
    const value = second(args).low >>> 0;
    processor.platform.portOut(first(args).low & 0xffff, portWidth(processor), value);
    return undefined;
  },
  popFlags,
  pushFlags,
  readControl: (processor, args) => readControl(processor, first(args).low),
  readDebug: (processor, args) => readDebug(processor, first(args).low),
  readMsr: (processor) => {
    executeReadMsr(processor);
    return undefined;
  },
  readSegment: (processor, args) => {
    const register = SEGMENT_WORDS[first(args).low];
    return Long.fromInt(processor.state.words[register.selector] & 0xffff);
  },
  readTsc: (processor) => {
    setPair(processor.state.words, processor.virtualization.timeStamp(processor.clock));
    return undefined;
  },
  readTscp: (processor) => readTscp(processor),
  setInterruptFlag: (processor) => setIf(processor),
  writeControl: (processor, args) => {
    writeControl(processor, first(args).low, second(args));
    return undefined;
  },
  writeDebug: (processor, args) => {
    writeDebug(processor, first(args).low, second(args));
    return undefined;
  },
  writeMsr: (processor) => {
    executeWriteMsr(processor);
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
