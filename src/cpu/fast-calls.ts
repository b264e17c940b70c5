// SYSCALL, SYSRET, SYSENTER and SYSEXIT: between privilege levels without looking at descriptors.
// SDM 2, the pages of the instructions; SDM 3, "Performing Fast Calls to System Procedures".

import Long from 'long';
import { Gpr } from '../isa/index.ts';
import { GuestFault, Vector } from './exceptions.ts';
import { isCanonical } from './mmu.ts';
import { isIa32e } from './mode.ts';
import type { Processor } from './processor.ts';
import { loadFlatSegments } from './segments.ts';
import { Efer, Rflags, Word, wordOf } from './state.ts';

const STAR = wordOf('star');
const LSTAR = wordOf('lstar');
const SFMASK = wordOf('sfmask');
const SYSENTER_CS = wordOf('sysenterCs');
const SYSENTER_ESP = wordOf('sysenterEsp');
const SYSENTER_EIP = wordOf('sysenterEip');
const KERNEL_GS_BASE = wordOf('kernelGsBase');

/** Flags that SYSRET takes from R11. */
const RETURNED_FLAGS = 0x003c7fd7;

const register = (number: number) => 2 * number;

function requireSyscall(processor: Processor): void {
  if ((processor.state.words[Word.EFER] & Efer.SCE) === 0) throw new GuestFault(Vector.UD);
}

function requireKernel(processor: Processor): void {
  if (processor.state.cpl !== 0) throw new GuestFault(Vector.GP, 0);
}

/** The instruction before this one goes on at `rip`, with another privilege and other flags. */
function arrive(processor: Processor, rip: Long): void {
  processor.state.set64(Word.RIP, rip);
  processor.evaluator.continueAtRip();
  processor.updateMode();
  processor.requestAttention();
}

export function systemCall(processor: Processor): void {
  requireSyscall(processor);
  const { state, evaluator } = processor;
  const { words } = state;
  state.set64(register(Gpr.RCX), Long.fromBits(evaluator.nextLow, evaluator.nextHigh));
  state.set64(register(Gpr.R11), Long.fromInt(words[Word.RFLAGS], true));
  words[Word.RFLAGS] = (words[Word.RFLAGS] & ~words[SFMASK]) | Rflags.FIXED;
  loadFlatSegments(processor, words[STAR + 1], 8, { cpl: 0, isWide: true });
  arrive(processor, state.get64(LSTAR));
  processor.stepByNewFlags();
}

export function systemReturn(processor: Processor): void {
  requireSyscall(processor);
  requireKernel(processor);
  const { state } = processor;
  const isWide = processor.evaluator.instruction.width === 64;
  const target = operand(processor, Gpr.RCX, isWide);
  const flags = state.words[register(Gpr.R11)];
  state.words[Word.RFLAGS] = (flags & RETURNED_FLAGS) | Rflags.FIXED;
  const base = state.words[STAR + 1] >>> 16;
  if (isWide) loadFlatSegments(processor, base + 16, -8, { cpl: 3, isWide });
  else loadFlatSegments(processor, base, 8, { cpl: 3, isWide });
  arrive(processor, target);
  processor.stepByNewFlags();
}

/** An address in a register: canonical, or of 32 bits for compatibility and protected mode. */
function operand({ state }: Processor, number: number, isWide: boolean): Long {
  const value = state.get64(register(number));
  if (!isWide) return Long.fromBits(value.low, 0);
  if (!isCanonical(value.high)) throw new GuestFault(Vector.GP, 0);
  return value;
}

/** The selector that SYSENTER and SYSEXIT count from; 0 makes them fault. */
function entrySelector(processor: Processor): number {
  const selector = processor.state.words[SYSENTER_CS] & 0xfffc;
  if (selector === 0 || processor.mode === 'real') throw new GuestFault(Vector.GP, 0);
  return selector;
}

export function systemEnter(processor: Processor): void {
  const selector = entrySelector(processor);
  const { state } = processor;
  const isWide = isIa32e(processor.mode);
  const addressIn = (word: number) =>
    isWide ? state.get64(word) : Long.fromBits(state.words[word], 0);
  state.words[Word.RFLAGS] &= ~(Rflags.VM | Rflags.IF);
  loadFlatSegments(processor, selector, 8, { cpl: 0, isWide });
  state.set64(Word.RSP, addressIn(SYSENTER_ESP));
  arrive(processor, addressIn(SYSENTER_EIP));
}

export function systemExit(processor: Processor): void {
  const selector = entrySelector(processor);
  requireKernel(processor);
  const { state } = processor;
  const isWide = processor.evaluator.instruction.width === 64;
  const target = operand(processor, Gpr.RDX, isWide);
  const stack = operand(processor, Gpr.RCX, isWide);
  loadFlatSegments(processor, selector + (isWide ? 32 : 16), 8, { cpl: 3, isWide });
  state.set64(Word.RSP, stack);
  arrive(processor, target);
}

export function swapGs(processor: Processor): void {
  const { state } = processor;
  const base = state.get64(GS_BASE);
  state.set64(GS_BASE, state.get64(KERNEL_GS_BASE));
  state.set64(KERNEL_GS_BASE, base);
}

const GS_BASE = wordOf('gsBase');
