// Where the processor gets its code from: the block at RIP, from the cache if its bytes have not
// changed, decoded if they have. SDM 3, "Limit Checking" and "Canonical Addressing".

import Long from 'long';
import {
  type CodeSize,
  type Decoded,
  decode,
  MAX_INSTRUCTION_BYTES,
  Segment,
} from '../isa/index.ts';
import { PAGE_SIZE, type PhysicalMemory } from '../memory/index.ts';
import { type Block, type CodeCache, newBlock } from './code-cache.ts';
import { GuestFault, NotImplemented, Vector } from './exceptions.ts';
import { type Mmu, SPLIT } from './mmu.ts';
import type { Segmentation } from './segmentation.ts';
import { type ProcessorState, Word } from './state.ts';
import { Access, DEVICE } from './virtualization.ts';

/** More bytes of code than any instruction has. */
const UNLIMITED = 2 ** 32;

export class CodeFetch {
  /** Where the code that was fetched last lies. */
  hpa = 0;
  private readonly memory: PhysicalMemory;
  private readonly words: Int32Array;
  private readonly mmu: Mmu;
  private readonly codeCache: CodeCache;
  private readonly segmentation: Segmentation;
  private readonly straddling = new Uint8Array(2 * MAX_INSTRUCTION_BYTES);

  constructor(
    memory: PhysicalMemory,
    state: ProcessorState,
    mmu: Mmu,
    codeCache: CodeCache,
    segmentation: Segmentation,
  ) {
    this.memory = memory;
    this.words = state.words;
    this.mmu = mmu;
    this.codeCache = codeCache;
    this.segmentation = segmentation;
  }

  /** The block at RIP, of at least one instruction; throws what fetching it faults with. */
  block(codeSize: CodeSize): Block {
    if (codeSize !== 64) return this.segmented(codeSize);
    const low = this.words[Word.RIP];
    const high = this.words[Word.RIP + 1];
    const hpa = this.mmu.locate(low, high, 1, Access.EXECUTE, false);
    this.hpa = hpa;
    if (hpa >= 0) {
      const cached = this.codeCache.at(hpa, 64);
      if (cached !== undefined) return cached;
    }
    return this.slowly(64, low, high, hpa, UNLIMITED);
  }

  /** The same outside 64-bit mode, where no byte of an instruction lies beyond the limit of CS. */
  private segmented(codeSize: CodeSize): Block {
    const { segmentation } = this;
    const rip = this.words[Word.RIP];
    const available = segmentation.codeBytes(rip);
    if (available === 0) throw new GuestFault(Vector.GP, 0);
    const low = segmentation.unchecked(Segment.CS, rip);
    const hpa = this.mmu.locate(low, 0, 1, Access.EXECUTE, false);
    this.hpa = hpa;
    if (hpa >= 0) {
      const cached = this.codeCache.at(hpa, codeSize);
      if (cached !== undefined && cached.lengthBytes <= available) return cached;
    }
    return this.slowly(codeSize, low, 0, hpa, available);
  }

  /** @param available bytes of code up to the limit of CS */
  private slowly(
    codeSize: CodeSize,
    low: number,
    high: number,
    hpa: number,
    available: number,
  ): Block {
    if (hpa === DEVICE) throw new NotImplemented('instruction fetch from device memory');
    const inPage = PAGE_SIZE - (hpa & (PAGE_SIZE - 1));
    // Of a block that goes on beyond the limit of CS, one instruction, which is not cached.
    const built =
      available < inPage
        ? decode(this.memory.bytes, hpa, hpa + available, codeSize)
        : this.codeCache.build(hpa, codeSize);
    if ('instructions' in built) return built;
    // An instruction across a page boundary depends on two translations, so it is not cached.
    const decoded =
      built.kind === 'truncated' && inPage < Math.min(MAX_INSTRUCTION_BYTES, available)
        ? this.decodeAcross(codeSize, low, high, hpa, available)
        : built;
    switch (decoded.kind) {
      case 'instruction': {
        const prepared = this.codeCache.prepare(decoded.instruction);
        return newBlock([prepared], prepared.lengthBytes);
      }
      case 'undefined':
        throw new GuestFault(Vector.UD);
      case 'tooLong':
      case 'truncated':
        throw new GuestFault(Vector.GP, 0);
      case 'unimplemented':
        throw new NotImplemented('instruction');
    }
  }

  private decodeAcross(
    codeSize: CodeSize,
    low: number,
    high: number,
    hpa: number,
    available: number,
  ): Decoded {
    const inPage = PAGE_SIZE - (hpa & (PAGE_SIZE - 1));
    const next = Long.fromBits(low, high).add(inPage);
    const nextHigh = codeSize === 64 ? next.high : 0;
    const nextHpa = this.mmu.locate(next.low, nextHigh, 1, Access.EXECUTE, false);
    if (nextHpa === DEVICE || nextHpa === SPLIT) {
      throw new NotImplemented('instruction fetch from device memory');
    }
    this.straddling.set(this.memory.bytes.subarray(hpa, hpa + inPage));
    const rest = this.memory.bytes.subarray(nextHpa, nextHpa + MAX_INSTRUCTION_BYTES - inPage);
    this.straddling.set(rest, inPage);
    const end = Math.min(MAX_INSTRUCTION_BYTES, available);
    return decode(this.straddling, 0, end, codeSize);
  }
}
