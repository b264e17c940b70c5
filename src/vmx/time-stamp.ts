// The time stamp that the guest sees: offset, and scaled. SDM 3, "Use TSC Scaling": bits 111:48 of
// the product of the TSC and the multiplier, an unsigned fixed-point number with 48 fraction bits.

import Long from 'long';
import { Primary, Secondary } from './controls.ts';
import { fieldIndex } from './fields.ts';
import type { VirtualProcessor } from './virtual-processor.ts';

const TSC_OFFSET = fieldIndex('TSC_OFFSET');
const MULTIPLIER = fieldIndex('TSC_MULTIPLIER');

/** Multiplier 1.0. */
export const TSC_MULTIPLIER_ONE = Long.fromBits(0, 0x10000);

/** The physical TSC at a time in cycles: the clock, but for what MSR lists have loaded. */
export function physicalTimeStamp(owner: VirtualProcessor, clock: number): Long {
  const { tscAhead } = owner;
  return tscAhead === null ? Long.fromNumber(clock) : Long.fromNumber(clock).add(tscAhead);
}

/** What RDTSC reads in the guest at a time in cycles. */
export function guestTimeStamp(owner: VirtualProcessor, clock: number): Long {
  const { vmcs, primary, secondary } = owner;
  const physical = physicalTimeStamp(owner, clock);
  if ((primary & Primary.USE_TSC_OFFSETTING) === 0) return physical;
  const isScaled = (secondary & Secondary.TSC_SCALING) !== 0;
  const scaled = isScaled ? scaleTimeStamp(physical, vmcs.get64(MULTIPLIER)) : physical;
  return scaled.add(vmcs.get64(TSC_OFFSET));
}

/** The multiplier that makes a TSC of `guestKhz` of one of `hostKhz`; both below 2^32. */
export function tscMultiplier(guestKhz: number, hostKhz: number): Long {
  return fromBigInt((BigInt(guestKhz) << 48n) / BigInt(hostKhz));
}

/** The time stamp times the multiplier, modulo 2^64. */
export function scaleTimeStamp(timeStamp: Long, multiplier: Long): Long {
  if (multiplier.eq(TSC_MULTIPLIER_ONE)) return timeStamp;
  const product = toBigInt(timeStamp) * toBigInt(multiplier);
  return fromBigInt(product >> 48n);
}

/**
 * Cycles of the host in which the guest's time stamp grows by `delta`, rounded down: the inverse of
 * {@link scaleTimeStamp}. Infinity if they do not fit 64 bits.
 */
export function unscaleCycles(delta: Long, multiplier: Long): number {
  if (multiplier.eq(TSC_MULTIPLIER_ONE)) return delta.toUnsigned().toNumber();
  const cycles = (toBigInt(delta) << 48n) / toBigInt(multiplier);
  return cycles < 1n << 64n ? Number(cycles) : Number.POSITIVE_INFINITY;
}

function toBigInt(value: Long): bigint {
  return (BigInt(value.getHighBitsUnsigned()) << 32n) | BigInt(value.getLowBitsUnsigned());
}

function fromBigInt(value: bigint): Long {
  return Long.fromBits(Number(value & 0xffffffffn) | 0, Number((value >> 32n) & 0xffffffffn) | 0);
}
