// A turn that ends in the middle of a block ends in compiled code, once its place is hot, at the
// boundary at which the interpreter ends it.

import { expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import { compilableMemory, EMPTY_PLATFORM } from '../../src/cpu/index.ts';
import { PAGE_SIZE } from '../../src/memory/index.ts';

import { TestMachine } from '../support/test-processor.ts';

const CODE = 0x10000;
const DATA = 0x20000;
const PAGES = 64;

const SOURCE = `
  bits 64
  org ${CODE}
  mov rbx, 0x9e3779b97f4a7c15
  mov esi, ${DATA}
round:
  mov rax, rbx
  shl rax, 13
  xor rbx, rax
  add [rsi], rbx
  mov rax, rbx
  shr rax, 7
  adc rdx, rax
  inc ecx
  jmp round
`;

function machine(storage?: WebAssembly.Memory): TestMachine {
  const assembled = assemble({ name: 'turns.asm', text: SOURCE }, { readFile: () => '' });
  if (assembled.kind !== 'ok') throw new Error('does not assemble');
  const made = new TestMachine(PAGES, EMPTY_PLATFORM, storage);
  made.memory.write(made.map(CODE, 1), assembled.bytes);
  made.map(DATA, 1);
  made.start(CODE, DATA, 0);
  return made;
}

test.each([1, 5, 7, 50, 200])('turns of %s cycles', (cycles) => {
  const interpreted = machine();
  const compiled = machine(compilableMemory(PAGES * PAGE_SIZE, 1));
  const turn = () => {
    for (const { processor } of [interpreted, compiled]) processor.run(processor.clock + cycles);
    const [wanted, got] = [interpreted, compiled].map(({ processor, memory }) => ({
      clock: processor.clock,
      instructions: processor.instructions,
      state: ['rip', 'rflags', 'rax', 'rbx', 'rcx', 'rdx'].map((name) => processor.state.get(name)),
      touched: memory.touchedPages(),
    }));
    expect(got).toEqual(wanted);
  };
  for (let i = 0; i < 1000; i++) turn();
  const before = compiled.processor.instructions - compiled.processor.compiledInstructions;
  for (let i = 0; i < 50; i++) turn();
  const after = compiled.processor.instructions - compiled.processor.compiledInstructions;
  expect(after).toBe(before);
});
