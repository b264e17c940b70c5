// What a run has come by, as numbers: edges between blocks of guest code, sequences of VM exits on
// each vCPU, and what their handlers did. How often counts in powers of two, as in AFL.

import { type Block, tellBlocks } from '../cpu/index.ts';
import type { Machine } from '../machine/index.ts';
import type { TraceRecord, TraceSink } from '../trace/index.ts';

/** Kinds of features; each has a part of the map. */
export const FEATURE_KINDS = ['edges', 'exit sequences', 'handler branches', 'orders'] as const;

const EDGES = 0;
const SEQUENCES = 1;
const HANDLERS = 2;
const ORDERS = 3;

/** Places of each kind; two features that fall on one are taken for one. */
const PLACES = 1 << 16;
/** Classes of how often. */
const CLASSES = 8;

const BRANCHES_OF_RECORDS = 8;

/** The kind that a feature is of. */
export function kindOfFeature(feature: number): (typeof FEATURE_KINDS)[number] {
  return FEATURE_KINDS[Math.floor(feature / (PLACES * CLASSES))];
}

/** What of a record beside its name tells one branch of a handler from another. */
function detailOf(record: TraceRecord): number | string {
  switch (record.name) {
    case 'kvm_hypercall':
      return record.fields.nr.low;
    case 'kvm_msr':
      return record.fields.index * 2 + (record.fields.fault ? 1 : 0);
    case 'kvm_pio':
      return record.fields.port * 2 + (record.fields.write ? 1 : 0);
    case 'kvm_inj_virq':
      return record.fields.vector;
    case 'kvm_inj_exception':
      return record.fields.name;
    case 'kvm_userspace_exit':
      return record.fields.reason;
    case 'sched_switch':
      return record.fields.prevState;
    default:
      return 0;
  }
}

interface ThreadTrail {
  /** The last two exit reasons, the later one second; 0 for none. */
  exits: readonly [number, number];
  /** What has happened since the last exit, mixed; -1 if the guest runs. */
  branch: number;
  records: number;
}

interface VcpuTrail {
  last: number;
}

export class Coverage implements TraceSink {
  private readonly counts = new Uint16Array(FEATURE_KINDS.length * PLACES);
  private readonly touched: number[] = [];
  private readonly threads = new Map<number, ThreadTrail>();
  private trails: VcpuTrail[] = [];
  /** Numbers that code compares with, and how many bytes each has. */
  readonly tokens = new Map<string, Uint8Array>();
  private readonly seenBlocks = new WeakSet<Block>();

  /**
   * Look at a machine's blocks from here on, for good.
   * @param entered is told of each, too
   */
  watch(machine: Machine, entered: ((block: Block) => void) | null = null): void {
    for (const [number, vcpu] of machine.vcpus.entries()) {
      const salt = mix(vcpu.vm.id, 0x51ed);
      tellBlocks(vcpu.virtual.processor, (block, hpa) => {
        const trail = this.trailOf(number);
        const here = mix(hpa, salt);
        this.count(EDGES, here ^ trail.last);
        trail.last = here >>> 1;
        if (!this.seenBlocks.has(block)) this.look(block);
        entered?.(block);
      });
    }
  }

  private trailOf(number: number): VcpuTrail {
    this.trails[number] ??= { last: 0 };
    return this.trails[number];
  }

  /** A run begins. */
  reset(): void {
    for (const place of this.touched) this.counts[place] = 0;
    this.touched.length = 0;
    this.threads.clear();
    this.trails = [];
  }

  private count(kind: number, hash: number): void {
    const place = kind * PLACES + (hash & (PLACES - 1));
    const count = this.counts[place];
    if (count === 0) this.touched.push(place);
    if (count < 0xffff) this.counts[place] = count + 1;
  }

  /** A vCPU does something at an address after another one did something elsewhere. */
  passed(before: number, after: number): void {
    this.count(ORDERS, mix(before, after));
  }

  record(record: TraceRecord): void {
    const { pid, name } = record;
    const known = this.threads.get(pid);
    if (name === 'kvm_exit') {
      const trail = known ?? { exits: [0, 0], branch: -1, records: 0 };
      this.threads.set(pid, trail);
      this.endBranch(trail);
      const reason = hashText(record.fields.reason);
      const [first, second] = trail.exits;
      this.count(SEQUENCES, mix(mix(first, second), reason));
      trail.exits = [second, reason];
      trail.branch = reason;
      trail.records = 0;
    } else if (known !== undefined && known.branch !== -1) {
      if (name === 'kvm_entry') this.endBranch(known);
      else if (known.records++ < BRANCHES_OF_RECORDS) {
        known.branch = mix(known.branch, hashText(`${name} ${detailOf(record)}`));
      }
    }
  }

  private endBranch(trail: ThreadTrail): void {
    if (trail.branch !== -1) this.count(HANDLERS, trail.branch);
    trail.branch = -1;
  }

  /** Everything the run has come by, in order: places and how often. */
  features(): number[] {
    for (const trail of this.threads.values()) this.endBranch(trail);
    const features = this.touched.map((place) => place * CLASSES + classOf(this.counts[place]));
    return features.sort((a, b) => a - b);
  }

  /** Comparisons with numbers in code that is new. */
  private look(block: Block): void {
    this.seenBlocks.add(block);
    for (const { instruction } of block.instructions) {
      if (instruction.row.mnemonic !== 'CMP') continue;
      const [first, second] = instruction.operands;
      if (second?.kind !== 'immediate' || !('width' in first)) continue;
      const token = tokenOf(second.value, Number(first.width) >> 3);
      this.tokens.set(String(token), token);
    }
  }
}

function tokenOf(value: { readonly low: number; readonly high: number }, sizeBytes: number) {
  return Uint8Array.from({ length: Math.min(sizeBytes, 8) }, (_, i) => {
    return (i < 4 ? value.low >>> (8 * i) : value.high >>> (8 * i - 32)) & 0xff;
  });
}

/** 1, 2, 3, 4-7, 8-15, 16-31, 32-127, more. */
function classOf(count: number): number {
  if (count < 4) return count - 1;
  if (count < 8) return 3;
  if (count < 16) return 4;
  if (count < 32) return 5;
  return count < 128 ? 6 : 7;
}

function mix(a: number, b: number): number {
  let mixed = Math.imul(a ^ Math.imul(b + 1, 0x9e3779b1), 0xc2b2ae35);
  mixed ^= mixed >>> 15;
  mixed = Math.imul(mixed, 0x27d4eb2f);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}

const texts = new Map<string, number>();

function hashText(text: string): number {
  const known = texts.get(text);
  if (known !== undefined) return known;
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  texts.set(text, hash >>> 0);
  return hash >>> 0;
}
