// A place of compiled code that has not accessed memory yet keeps no translation: none for any
// address, aligned or not, of any width.

import { expect, test } from 'vitest';
import { assemble } from '../../src/asm/index.ts';
import { compilableMemory, EMPTY_PLATFORM } from '../../src/cpu/index.ts';
import { PAGE_SIZE } from '../../src/memory/index.ts';
import { TestMachine } from '../support/test-processor.ts';

const CODE = 0x10000;
const STACK = 0x20000;
const PAGES = 64;

/** The access is compiled with the loop in front of it, and made once. */
const source = (access: string, address: bigint) => `
  bits 64
  org ${CODE}
  mov rsi, ${address}
  mov ecx, 5000
round:
  dec ecx
  jz last
  jmp round
last:
  ${access}
  hlt
`;

function run(text: string, storage?: WebAssembly.Memory) {
  const assembled = assemble({ name: 'kept.asm', text }, { readFile: () => '' });
  if (assembled.kind !== 'ok') throw new Error('does not assemble');
  const made = new TestMachine(PAGES, EMPTY_PLATFORM, storage);
  made.memory.write(made.map(CODE, 1), assembled.bytes);
  made.map(STACK, 1);
  made.start(CODE, STACK, 0);
  const { processor } = made;
  const stop = processor.run(1e6);
  const rip = processor.state.get('rip').toNumber();
  return { stop, rip, isAtEnd: rip === CODE + assembled.bytes.length, processor };
}

const ACCESSES = ['mov eax, [rsi]', 'mov rax, [rsi]', 'mov [rsi], rax', 'movups xmm0, [rsi]'];
// With the low halves of what stands for no page in all of the words, or in the first alone.
const ADDRESSES = [0x1n, 0x1_0000_0001n, 0x800n, 0x800_0000_0800n, 0x800_0000_0801n];

test.each(ACCESSES)('%s where nothing is mapped', (access) => {
  for (const address of ADDRESSES) {
    const wanted = run(source(access, address));
    const got = run(source(access, address), compilableMemory(PAGES * PAGE_SIZE, 1));
    expect(wanted.isAtEnd).toBe(false);
    expect([got.stop, got.rip]).toEqual([wanted.stop, wanted.rip]);
    expect(got.processor.compiledInstructions).toBeGreaterThan(5000);
  }
});
