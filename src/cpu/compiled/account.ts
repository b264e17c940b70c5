// What blocks have done that the locals of a region do not say yet. On a way that nothing else
// joins it is known when compiling, so that it is taken into account once, where ways meet.

import type { RegionBlock } from './discovery.ts';
import { PATH_BITS } from './left-behind.ts';

export interface Account {
  readonly cycles: number;
  readonly instructions: number;
  /** Numbers of the blocks, the last in the lowest bits. */
  readonly path: bigint;
  readonly pathBits: number;
  /** It ends with a block that repeats. */
  readonly isRepeat: boolean;
}

export const NOTHING_OWED: Account = {
  cycles: 0,
  instructions: 0,
  path: 0n,
  pathBits: 0,
  isRepeat: false,
};

/** And what a block has done, or a part of it. */
export function withBlock(
  owed: Account,
  done: Pick<RegionBlock, 'cycles' | 'instructions'> & { readonly repeats?: boolean },
  number: number,
): Account {
  const isRepeat = done.repeats === true;
  return {
    cycles: owed.cycles + done.cycles,
    instructions: owed.instructions + (isRepeat ? 0 : done.instructions),
    path: BigInt.asUintN(64, (owed.path << BigInt(PATH_BITS)) | BigInt(number + 1)),
    pathBits: owed.pathBits + PATH_BITS,
    isRepeat,
  };
}
