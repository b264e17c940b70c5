// Who wants to hear of each block that a processor enters. The processor itself asks nobody: its
// method is replaced in this one object, so that no other one pays for the question.

import type { Block } from './code-cache.ts';
import type { Processor } from './processor.ts';

/**
 * Tell somebody of each block that is entered, and where it lies (hpa); for good. Compiled code
 * enters blocks without telling, so this is for a processor that interprets.
 */
export function tellBlocks(
  processor: Processor,
  entered: (block: Block, hpa: number) => void,
): void {
  const enter = processor.enterBlock.bind(processor);
  processor.enterBlock = () => {
    const block = enter();
    entered(block, processor.codeHpa);
    return block;
  };
}
