// Who accesses what: a word of memory, or what KVM holds for a vCPU, is shared once two vCPUs have
// accessed it and one of them has changed it. What is not shared may be accessed at any time with
// nobody noticing. That is only found out on the way: when something turns out to be shared, what
// was explored before took too much for granted, and the exploration begins again, knowing more.

/** Numbers of memory words are not negative; what KVM holds for vCPU n is -1 - n. */
const kernelOf = (vcpu: number) => -1 - vcpu;

const WORD_BYTES = 8;

interface Use {
  /** Bits of the vCPUs that accessed it. */
  users: number;
  isWritten: boolean;
}

export class Sharing {
  /** How often something has turned out to be shared. */
  generation = 0;
  private readonly shared = new Set<number>();
  private readonly uses = new Map<number, Use>();
  private readonly isAlone: boolean;

  constructor(vcpuCount: number) {
    this.isAlone = vcpuCount === 1;
  }

  /** What is known to be shared, to begin with; see {@link known}. */
  adopt(known: readonly number[]): void {
    for (const item of known) this.shared.add(item);
  }

  /** Everything that is known to be shared. */
  get known(): readonly number[] {
    return [...this.shared].sort((a, b) => a - b);
  }

  /** A vCPU accesses bytes of memory. */
  note(vcpu: number, hpa: number, lengthBytes: number, isWrite: boolean): void {
    const last = Math.floor((hpa + lengthBytes - 1) / WORD_BYTES);
    for (let word = Math.floor(hpa / WORD_BYTES); word <= last; word++) {
      this.noteItem(vcpu, word, isWrite);
    }
  }

  /** KVM, on behalf of a vCPU, works on what it holds for another one. */
  noteKernel(vcpu: number, target: number): void {
    this.noteItem(vcpu, kernelOf(target), true);
  }

  private noteItem(vcpu: number, item: number, isWrite: boolean): void {
    if (this.isAlone || this.shared.has(item)) return;
    const use = this.uses.get(item);
    if (use === undefined) {
      this.uses.set(item, { users: 1 << vcpu, isWritten: isWrite });
      return;
    }
    use.users |= 1 << vcpu;
    use.isWritten ||= isWrite;
    if (!use.isWritten || (use.users & (use.users - 1)) === 0) return;
    this.shared.add(item);
    this.uses.delete(item);
    this.generation++;
  }

  isShared(hpa: number, lengthBytes: number): boolean {
    const last = Math.floor((hpa + lengthBytes - 1) / WORD_BYTES);
    for (let word = Math.floor(hpa / WORD_BYTES); word <= last; word++) {
      if (this.shared.has(word)) return true;
    }
    return false;
  }

  isKernelShared(vcpu: number): boolean {
    return this.shared.has(kernelOf(vcpu));
  }
}
