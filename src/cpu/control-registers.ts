// MOV to and from CR0, CR2, CR3, CR4 and CR8, LMSW and CLTS, and the changes of mode that they
// make. SDM 3, "Control Registers", "Mode Switching" and "Initializing IA-32e Mode"; SDM 2, "MOV -
// Move to/from Control Registers".

import Long from 'long';
import { GuestFault, Vector } from './exceptions.ts';
import { isCanonical } from './mmu.ts';
import { PHYSICAL_ADDRESS_BITS } from './page-tables.ts';
import type { Processor } from './processor.ts';
import { Cr0, Cr4, Efer, type ProcessorState, Rights, Word } from './state.ts';

/** Bits of CR4 that may be set: those whose features exist here. */
export const CR4_ALLOWED =
  Cr4.VME |
  Cr4.PVI |
  Cr4.TSD |
  Cr4.DE |
  Cr4.PSE |
  Cr4.PAE |
  Cr4.MCE |
  Cr4.PGE |
  Cr4.PCE |
  Cr4.OSFXSR |
  Cr4.OSXMMEXCPT |
  Cr4.UMIP |
  Cr4.VMXE |
  Cr4.FSGSBASE |
  Cr4.PCIDE |
  Cr4.SMEP |
  Cr4.SMAP;

const CR0_DEFINED =
  Cr0.PE | Cr0.MP | Cr0.EM | Cr0.TS | Cr0.ET | Cr0.NE | Cr0.WP | Cr0.AM | Cr0.NW | Cr0.CD | Cr0.PG;

const WORDS: Readonly<Record<number, number>> = {
  0: Word.CR0,
  2: Word.CR2,
  3: Word.CR3,
  4: Word.CR4,
  8: Word.CR8,
};

function wordFor(number: number): number {
  const word = WORDS[number];
  if (word === undefined) throw new GuestFault(Vector.UD);
  return word;
}

export function readControl(processor: Processor, number: number): Long {
  const real = processor.state.get64(wordFor(number));
  if (number !== 0 && number !== 4 && number !== 8) return real;
  return processor.virtualization.readControl(number, real);
}

/** PE, MP, EM, TS, of which LMSW cannot clear PE. */
const MACHINE_STATUS = 15;

/** LMSW. */
export function writeMachineStatus(processor: Processor, status: number): void {
  const old = readControl(processor, 0);
  const kept = old.low & (~MACHINE_STATUS | Cr0.PE);
  writeControl(processor, 0, Long.fromBits(kept | (status & MACHINE_STATUS), old.high));
}

/** CLTS. */
export function clearTaskSwitched(processor: Processor): void {
  writeControl(processor, 0, readControl(processor, 0).and(Long.fromInt(~Cr0.TS)));
}

/** What decides which values are legal: the registers as whoever writes them sees them. */
export interface ControlContext {
  readonly cr0: number;
  readonly cr3: Long;
  readonly cr4: number;
  readonly efer: number;
  /** Access rights of CS, in the layout of the VMCS. */
  readonly csRights: number;
}

export function controlContext({ words }: ProcessorState): ControlContext {
  return {
    cr0: words[Word.CR0],
    cr3: Long.fromBits(words[Word.CR3], words[Word.CR3 + 1]),
    cr4: words[Word.CR4],
    efer: words[Word.EFER],
    csRights: words[Word.CS_RIGHTS],
  };
}

/** False for values that #GP when they are moved to CR0, CR3, CR4 or CR8. */
export function isControlValueLegal(number: number, value: Long, now: ControlContext): boolean {
  switch (number) {
    case 0:
      return value.high === 0 && isCr0Legal(value.low, now);
    case 3: {
      // Bit 63 says that PCIDs keep their translations, and is not stored.
      const address = (now.cr4 & Cr4.PCIDE) === 0 ? value : value.and(Long.MAX_VALUE);
      return address.shru(PHYSICAL_ADDRESS_BITS).isZero();
    }
    case 4:
      return value.high === 0 && (value.low & ~CR4_ALLOWED) === 0 && isCr4Legal(value.low, now);
    case 8:
      return value.high === 0 && (value.low & ~15) === 0;
    default:
      return true;
  }
}

function isCr0Legal(value: number, now: ControlContext): boolean {
  const isPaging = (value & Cr0.PG) !== 0;
  const wasPaging = (now.cr0 & Cr0.PG) !== 0;
  if (isPaging && (value & Cr0.PE) === 0) return false;
  if ((value & Cr0.NW) !== 0 && (value & Cr0.CD) === 0) return false;
  const isLongCode = (now.csRights & Rights.L) !== 0;
  if (!isPaging) {
    // Out of IA-32e mode only by way of compatibility mode, and without PCIDs.
    const is64Bit = (now.efer & Efer.LMA) !== 0 && isLongCode;
    return !is64Bit && (now.cr4 & Cr4.PCIDE) === 0;
  }
  const activates = !wasPaging && (now.efer & Efer.LME) !== 0;
  return !activates || ((now.cr4 & Cr4.PAE) !== 0 && !isLongCode);
}

function isCr4Legal(value: number, now: ControlContext): boolean {
  const isLongMode = (now.efer & Efer.LMA) !== 0;
  if (isLongMode && (value & Cr4.PAE) === 0) return false;
  const setsPcids = (value & ~now.cr4 & Cr4.PCIDE) !== 0;
  return !setsPcids || (isLongMode && (now.cr3.low & 0xfff) === 0);
}

/** Changes of these make PAE paging load its PDPTEs. SDM 3, "PDPTE Registers". */
const PDPTE_LOADERS: Readonly<Record<0 | 4, number>> = {
  0: Cr0.CD | Cr0.NW | Cr0.PG,
  4: Cr4.PAE | Cr4.PGE | Cr4.PSE | Cr4.SMEP,
};

/**
 * Whether a legal value, moved to CR0, CR3 or CR4, has the PDPTEs of PAE paging loaded, which may
 * fault in turn.
 */
export function loadsPdptes(number: number, value: Long, now: ControlContext): boolean {
  const cr0 = number === 0 ? value.low : now.cr0;
  const cr4 = number === 4 ? value.low : now.cr4;
  const isPae = (cr0 & Cr0.PG) !== 0 && (cr4 & Cr4.PAE) !== 0 && (now.efer & Efer.LME) === 0;
  if (!isPae) return false;
  if (number === 0) return ((cr0 ^ now.cr0) & PDPTE_LOADERS[0]) !== 0;
  if (number === 4) return ((cr4 ^ now.cr4) & PDPTE_LOADERS[4]) !== 0;
  return number === 3;
}

export function writeControl(processor: Processor, number: number, value: Long): void {
  const { state } = processor;
  const { words } = state;
  const word = wordFor(number);
  let written = value;
  if (number === 0 || number === 4) {
    written = processor.virtualization.writeControl(number, state.get64(word), value);
  }
  const now = controlContext(state);
  if (!isControlValueLegal(number, written, now)) throw new GuestFault(Vector.GP, 0);
  if (number === 0) {
    if (isIllegalTask(words, written.low)) throw new GuestFault(Vector.GP, 0);
    written = written.and(Long.fromBits(CR0_DEFINED, 0)).or(Cr0.ET);
  }
  if (number === 8) written = processor.virtualization.writeControl(8, state.get64(word), written);
  if (number === 3) written = written.and(Long.MAX_VALUE);
  if (loadsPdptes(number, written, now)) {
    const cr3 = number === 3 ? written.low : words[Word.CR3];
    if (!loadPdptes(processor, cr3)) throw new GuestFault(Vector.GP, 0);
  }
  state.set64(word, written);
  if (number === 0) followPaging(words);
  if (number === 8) processor.requestAttention();
  else if (number !== 2) translationChanged(processor, number, now);
}

/** Bits 3:0 of TR's rights: a busy TSS of 16 bits, which IA-32e mode does not know. */
const BUSY_TSS_16 = 3;

/** True if the value of CR0 activates IA-32e mode with a task state of 16 bits. */
function isIllegalTask(words: Int32Array, cr0: number): boolean {
  const activates = (cr0 & ~words[Word.CR0] & Cr0.PG) !== 0 && (words[Word.EFER] & Efer.LME) !== 0;
  return activates && (words[Word.TR_RIGHTS] & Rights.TYPE) === BUSY_TSS_16;
}

/** Load the PDPTE registers of PAE paging; false, and nothing done, if one is illegal. */
export function loadPdptes({ mmu, state }: Processor, cr3: number): boolean {
  const halves = mmu.readPdptes(cr3);
  if (halves === null) return false;
  state.words.set(halves, Word.PDPTE0);
  mmu.flush();
  return true;
}

/** EFER.LMA follows CR0.PG as long as EFER.LME is set. */
export function followPaging(words: Int32Array): void {
  const isActive = (words[Word.CR0] & Cr0.PG) !== 0 && (words[Word.EFER] & Efer.LME) !== 0;
  if (isActive) words[Word.EFER] |= Efer.LMA;
  else words[Word.EFER] &= ~Efer.LMA;
}

/** Bits that translations depend on. SMAP, which makes for views of its own, is not among them. */
const TRANSLATION_CR0 = Cr0.PG | Cr0.WP;
const TRANSLATION_CR4 = Cr4.PAE | Cr4.PSE | Cr4.SMEP;

/**
 * Forget translations, and what depends on the mode, as far as a write to CR0, CR3 or CR4 asks for
 * it. Those that other writes would invalidate on hardware are the same as before.
 */
function translationChanged(processor: Processor, number: number, old: ControlContext): void {
  const { mmu, state } = processor;
  const { words } = state;
  const changed =
    ((words[Word.CR0] ^ old.cr0) & TRANSLATION_CR0) |
    ((words[Word.CR4] ^ old.cr4) & TRANSLATION_CR4);
  if (changed !== 0) mmu.flush();
  if (number === 3) {
    mmu.updatePrivilege();
    return;
  }
  if (((words[Word.CR4] ^ old.cr4) & Cr4.DE) !== 0) processor.updateBreakpoints();
  processor.updateMode();
  processor.requestAttention();
}

/** Types of INVPCID: an address, a context, everything, everything but global translations. */
const INVPCID_TYPES = 4;

/**
 * INVPCID: its checks. Translations here are never older than the entries that they come from, so
 * none has to be invalidated.
 */
export function invalidateContext({ state }: Processor, operands: readonly Long[]): void {
  const [type, context, address] = operands;
  const hasPcids = (state.words[Word.CR4] & Cr4.PCIDE) !== 0;
  const ofContext = type.lt(2);
  const isLegal =
    type.high === 0 &&
    type.low >>> 0 < INVPCID_TYPES &&
    context.shru(12).isZero() &&
    (!ofContext || hasPcids || context.isZero()) &&
    (!type.isZero() || isCanonical(address.high));
  if (!isLegal) throw new GuestFault(Vector.GP, 0);
}
