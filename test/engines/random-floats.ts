// Data for random programs: integers, and floating-point numbers of which some are special.

import type { Prng } from '../../src/sim/index.ts';

const cell = new DataView(new ArrayBuffer(8));

/** Where something turns over: zeros, denormals, limits, infinities and NaNs. */
const DOUBLES = [
  0n,
  1n << 63n,
  1n,
  0x000fffffffffffffn,
  0x0010000000000000n,
  0x7fefffffffffffffn,
  0x7ff0000000000000n,
  0xfff0000000000000n,
  0x7ff8000000000000n,
  0x7ff0000000000001n,
  0x3ff0000000000000n,
];

const SINGLES = [0, 0x80000000, 1, 0x007fffff, 0x00800000, 0x7f7fffff, 0x7f800000, 0x7fc00000];

/** 64 bits: anything, a double or two singles, most of them ordinary. */
export function floatCell(prng: Prng): bigint {
  const word = () => BigInt(prng.next());
  const part = () => (prng.below(200_000) - 100_000) / (1 + prng.below(64));
  switch (prng.below(8)) {
    case 0:
      return (word() << 32n) | word();
    case 1:
      return DOUBLES[prng.below(DOUBLES.length)] as bigint;
    case 2:
      return (BigInt(SINGLES[prng.below(SINGLES.length)] as number) << 32n) | word();
    case 3:
      cell.setFloat32(0, part());
      cell.setFloat32(4, part());
      break;
    case 4:
      return BigInt(prng.below(1000));
    default:
      cell.setFloat64(0, prng.below(2) === 0 ? part() : prng.below(1000));
  }
  return cell.getBigUint64(0);
}
