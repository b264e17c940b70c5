// Memory in the compiling domain: effective and linear addresses, and accesses. Whatever an
// instruction reaches is looked up before it stores anything, so that it can still be left to the
// interpreter as a whole.

import type Long from 'long';
import {
  type MemoryOperand,
  type Operand,
  Segment,
  type Wide,
  type Width,
} from '../../isa/index.ts';
import { segmentOn } from '../footing.ts';
import { SEGMENT_WORDS } from '../state.ts';
import { Access, type AccessKind } from '../virtualization.ts';
import { Declined } from './block-state.ts';
import { BlockValues } from './block-values.ts';
import type { Effect } from './effects.ts';
import { Type } from './module.ts';
import {
  add32,
  add64,
  and64,
  cut,
  extend,
  int,
  isZero,
  lessUnsigned,
  long,
  type Node,
  not,
  result,
  shl32,
  shl64,
  wrap,
  ZERO,
} from './nodes.ts';

export class BlockMemory extends BlockValues {
  /** Stores of the instruction, which are made at its end. */
  protected stores: Extract<Effect, { kind: 'store' }>[] = [];

  address(operand: Operand): Node {
    if (operand.kind !== 'memory') throw new TypeError(`a ${operand.kind} operand has no address`);
    const base = operand.base < 0 ? ZERO : this.registers[operand.base];
    const index = operand.index < 0 ? ZERO : this.registers[operand.index];
    const known = this.known.addresses.find(
      (other) => other.operand === operand && other.base === base && other.index === index,
    );
    if (known !== undefined) return known.address;
    const address = this.effective(operand, operand.ripRelative ? this.following : base, index);
    this.known.addresses.push({ operand, base, index, address });
    return address;
  }

  private effective(operand: MemoryOperand, base: Node, index: Node): Node {
    const { scale, addressWidth } = operand;
    const displacement = toBigInt(operand.displacement);
    if (addressWidth === 64) {
      return add64(add64(base, shl64(index, long(BigInt(scale)))), long(displacement));
    }
    const sum = add32(wrap(base), shl32(wrap(index), int(scale)));
    return cut(addressWidth, extend(add32(sum, wrap(long(displacement)))));
  }

  load(width: Width, segment: number, offset: Node): Node {
    return this.loadAs(Access.READ, width, segment, offset);
  }

  loadForWrite(width: Width, segment: number, offset: Node): Node {
    return this.loadAs(Access.WRITE, width, segment, offset);
  }

  private loadAs(access: AccessKind, width: Width, segment: number, offset: Node): Node {
    const hpa = this.locate(access, width / 8, segment, offset);
    return this.loadAt(hpa, width);
  }

  private loadAt(hpa: Node, width: Width): Node {
    if (this.stores.length > 0) throw new Declined('loads behind a store');
    const loaded = result(Type.I64, width);
    this.effects.push({ kind: 'load', hpa, width, result: loaded });
    return loaded;
  }

  store(width: Width, segment: number, offset: Node, value: Node): void {
    const hpa = this.locate(Access.WRITE, width / 8, segment, offset);
    this.stores.push({ kind: 'store', hpa, width, value });
  }

  loadWide(segment: number, offset: Node): Wide<Node> {
    const hpa = this.locate(Access.READ, WIDE_BYTES, segment, offset);
    return { low: this.loadAt(hpa, 64), high: this.loadAt(add32(hpa, int(8)), 64) };
  }

  storeWide(segment: number, offset: Node, low: Node, high: Node): void {
    const hpa = this.locate(Access.WRITE, WIDE_BYTES, segment, offset);
    this.stores.push({ kind: 'store', hpa, width: 64, value: low });
    this.stores.push({ kind: 'store', hpa: add32(hpa, int(8)), width: 64, value: high });
  }

  /** Make the stores that are waiting; nothing may fault from here on. */
  protected settleStores(): void {
    if (this.stores.length === 0) return;
    this.effects.push(...this.stores);
    this.stores = [];
    this.hasStored = true;
  }

  private locate(access: AccessKind, bytes: number, segment: number, offset: Node): Node {
    const linear = this.accessed(access, bytes, segment, offset);
    const found = this.known.located.find(
      (other) => other.linear === linear && other.access === access && other.bytes === bytes,
    );
    if (found !== undefined) return found.hpa;
    if (this.hasStored) throw new Declined('may fault after a store');
    const hpa = result(Type.I32, 32);
    this.effects.push({ kind: 'locate', linear, bytes, access, result: hpa, exit: this.wayOut });
    this.known.located.push({ linear, access, bytes, hpa });
    return hpa;
  }

  /** The linear address of an access, once the segment has been looked at. */
  private accessed(access: AccessKind, bytes: number, segment: number, offset: Node): Node {
    if (this.isWide) return this.linear(segment, offset);
    const { isReadable, isWritable, isFlat } = segmentOn(this.footing, segment);
    if (!(access === Access.WRITE ? isWritable : isReadable)) throw new Declined('segment');
    if (!isFlat) {
      const last = add64(cut(32, offset), long(BigInt(bytes - 1)));
      this.giveUpIf(lessUnsigned(extend(this.stateWord(SEGMENT_WORDS[segment].limit)), last));
    }
    return this.linear(segment, offset);
  }

  /** In 64-bit mode only FS and GS have a base. */
  private linear(segment: number, offset: Node): Node {
    if (this.isWide && segment < Segment.FS) return offset;
    if (!this.isWide && segmentOn(this.footing, segment).isFlat) return cut(32, offset);
    const { linears } = this.known;
    const known = linears.find((one) => one.segment === segment && one.offset === offset);
    if (known !== undefined) return known.linear;
    const { base } = SEGMENT_WORDS[segment];
    const linear = this.isWide
      ? add64(this.stateLong(base), offset)
      : extend(add32(this.stateWord(base), wrap(offset)));
    linears.push({ segment, offset, linear });
    return linear;
  }

  align(operand: Operand, bytes: number): void {
    if (operand.kind !== 'memory') throw new TypeError('only memory can be aligned');
    const linear = this.linear(operand.segment, this.address(operand));
    this.giveUpIf(not(isZero(and64(linear, long(BigInt(bytes - 1))))));
  }
}

/** Bytes of an XMM register. */
const WIDE_BYTES = 16;

export function toBigInt(value: Long): bigint {
  return (BigInt(value.high) << 32n) | BigInt(value.low >>> 0);
}
