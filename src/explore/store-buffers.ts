// The store buffers of x86-TSO (Owens, Sarkar, Sewell, "A better x86 memory model: x86-TSO", 2009):
// each vCPU's stores wait in order, it sees its own before they reach memory, the others do not.
// While a vCPU executes, its buffer lies over memory; behind the instruction it is taken off again.

import type { PhysicalMemory } from '../memory/index.ts';
import { hashWords, type PageHash } from './pages.ts';

/** One store that has not reached memory: at most 8 bytes. */
export interface BufferedStore {
  readonly hpa: number;
  readonly lengthBytes: number;
  /** The bytes, lowest first. */
  readonly low: number;
  readonly high: number;
}

interface Place {
  readonly hpa: number;
  readonly lengthBytes: number;
}

/** Stores that a buffer holds; processors have some 40 to 70, and small programs never so many. */
const CAPACITY = 32;

export class StoreBuffers {
  private readonly memory: PhysicalMemory;
  private readonly buffers: (readonly BufferedStore[])[];

  constructor(memory: PhysicalMemory, count: number) {
    this.memory = memory;
    this.buffers = Array.from({ length: count }, () => []);
  }

  /** The stores of a vCPU, oldest first. */
  of(vcpu: number): readonly BufferedStore[] {
    return this.buffers[vcpu];
  }

  isFull(vcpu: number): boolean {
    return this.buffers[vcpu].length >= CAPACITY;
  }

  save(): readonly (readonly BufferedStore[])[] {
    return this.buffers.slice();
  }

  restore(saved: readonly (readonly BufferedStore[])[]): void {
    for (const [i, stores] of saved.entries()) this.buffers[i] = stores;
  }

  /** The oldest store of a vCPU reaches memory. */
  drain(vcpu: number): BufferedStore {
    const [store, ...rest] = this.buffers[vcpu];
    this.buffers[vcpu] = rest;
    this.put(store);
    this.memory.noteWrite(store.hpa, store.lengthBytes);
    return store;
  }

  /**
   * Have a vCPU execute an instruction on top of its buffer.
   * @param writes where it stores, of what goes into the buffer
   */
  execute(vcpu: number, writes: readonly Place[], instruction: () => void): void {
    const stores = this.buffers[vcpu];
    if (stores.length === 0 && writes.length === 0) {
      instruction();
      return;
    }
    const below: BufferedStore[] = [];
    for (const store of stores) {
      below.push(this.get(store));
      this.put(store);
    }
    for (const place of writes) below.push(this.get(place));
    instruction();
    if (writes.length > 0) {
      this.buffers[vcpu] = [...stores, ...writes.map((place) => this.get(place))];
    }
    for (let i = below.length - 1; i >= 0; i--) this.put(below[i]);
  }

  private get({ hpa, lengthBytes }: Place): BufferedStore {
    const { bytes } = this.memory;
    let low = 0;
    let high = 0;
    for (let i = 0; i < lengthBytes; i++) {
      if (i < 4) low |= bytes[hpa + i] << (8 * i);
      else high |= bytes[hpa + i] << (8 * i - 32);
    }
    return { hpa, lengthBytes, low, high };
  }

  private put({ hpa, lengthBytes, low, high }: BufferedStore): void {
    const { bytes } = this.memory;
    for (let i = 0; i < lengthBytes; i++) {
      bytes[hpa + i] = i < 4 ? low >>> (8 * i) : high >>> (8 * i - 32);
    }
  }
}

export function hashStores(buffers: readonly (readonly BufferedStore[])[]): PageHash {
  const words: number[] = [];
  for (const [vcpu, stores] of buffers.entries()) {
    for (const { hpa, lengthBytes, low, high } of stores)
      words.push(vcpu, hpa, lengthBytes, low, high);
  }
  return hashWords(words);
}
