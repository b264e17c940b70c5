// What compiled code says of where it came by is what the interpreter says: of the last few
// instructions, whenever a turn ends.

import { expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import { compilableMemory, EMPTY_PLATFORM } from '../../src/cpu/index.ts';
import { decode } from '../../src/isa/index.ts';
import { PAGE_SIZE } from '../../src/memory/index.ts';
import { Prng } from '../../src/sim/index.ts';
import { TestMachine } from '../support/test-processor.ts';

const CODE = 0x10000;
const DATA = 0x20000;
const PAGES = 64;
/** That reports show. */
const SHOWN = 8;
const TURNS = 3000;

/**
 * Ways that part and meet, in a short loop as well, loops in loops, one with two ways back, calls,
 * a repeated one, and a delay, which is left out for the most part if that is asked for.
 */
const SOURCE = `
  bits 64
  org ${CODE}
  mov ebx, 12345
again:
  imul ebx, ebx, 1103515245
  add ebx, 12345
  test ebx, 0x10000
  jz even
  inc eax
  jmp both
even:
  dec eax
both:
  mov ecx, ebx
  shr ecx, 28
outer:
  mov edx, ebx
  and edx, 7
inner:
  dec edx
  jg inner
  call leaf
  dec ecx
  jle done
  test ecx, 2
  jz outer
  call leaf
  jmp outer
done:
  mov ecx, ebx
  mov r8d, ebx
  shr r8d, 24
  inc r8d
delay:
  sub r8d, 1
  jnz delay
  mov edx, 12
parity:
  shr ecx, 1
  jnc clear
  inc eax
  nop
clear:
  dec edx
  jnz parity
  mov edi, ${DATA}
  mov ecx, ebx
  shr ecx, 27
  rep stosb
  jmp again
leaf:
  test ecx, 1
  jz back
  nop
back:
  ret
`;

function machine(code: Uint8Array, storage?: WebAssembly.Memory): TestMachine {
  const made = new TestMachine(PAGES, EMPTY_PLATFORM, storage);
  made.memory.write(made.map(CODE, 1), code);
  made.map(DATA - PAGE_SIZE, 2);
  made.start(CODE, DATA, 0);
  return made;
}

/** Addresses of the last instructions that were completed. */
function recent({ processor }: TestMachine, code: Uint8Array): number[] {
  return processor.recentBlocks
    .flatMap(({ address, completed }) => {
      const addresses: number[] = [];
      for (let at = address.toNumber(); addresses.length < completed; ) {
        const decoded = decode(code, at - CODE, code.length, 64);
        if (decoded.kind !== 'instruction') throw new Error(`at ${at}: ${decoded.kind}`);
        addresses.push(at);
        at += decoded.instruction.lengthBytes;
      }
      return addresses;
    })
    .slice(-SHOWN);
}

test.each([false, true])('where compiled code came by, delays left out: %s', (leavesDelays) => {
  const assembled = assemble({ name: 'path.asm', text: SOURCE }, { readFile: () => '' });
  if (assembled.kind !== 'ok') throw new Error('does not assemble');
  const { bytes } = assembled;
  const interpreted = machine(bytes);
  const compiled = machine(bytes, compilableMemory(PAGES * PAGE_SIZE, 1));
  if (compiled.compiler !== undefined) compiled.compiler.leavesDelays = leavesDelays;
  const prng = new Prng(7);
  for (let turn = 0; turn < TURNS; turn++) {
    const cycles = 1 + prng.below(leavesDelays ? 1500 : 400);
    for (const { processor } of [interpreted, compiled]) processor.run(processor.clock + cycles);
    const seen = `turn ${turn}, RIP ${compiled.processor.state.get('rip')}`;
    expect([seen, ...recent(compiled, bytes)]).toEqual([seen, ...recent(interpreted, bytes)]);
  }
  const { processor } = compiled;
  const done = processor.compiledInstructions + processor.skipped.instructions;
  expect(done).toBeGreaterThan(0.8 * processor.instructions);
  expect(processor.skipped.instructions > 100_000).toBe(leavesDelays);
});
