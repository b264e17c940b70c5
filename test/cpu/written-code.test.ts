// Compiled stores into a page in which code comes to lie later: they are told from then on. The
// place of the store has kept its way to the page by then.

import { expect, test } from 'vitest';
import { compilableMemory } from '../../src/cpu/index.ts';
import { BARE_MACHINE_BYTES, BareMachine } from '../support/bare-machine.ts';
import { At, assembleAt } from '../support/vmx-bench.ts';

const PASSES = 3;

const SOURCE = `
  mov edi, ${At.DATA}
  mov byte [rdi], 0xb8         ; mov eax, the number stored behind it
  mov byte [rdi + 5], 0xc3     ; ret
  xor esi, esi
  mov ebx, ${PASSES}
pass:
  mov ecx, 200
  jmp store                    ; the store is made by one place alone
store:
  mov [rdi + 1], ebx
  dec ecx
  jnz store
  call rdi
  add esi, eax
  dec ebx
  jnz pass
  hlt
`;

test('code in a page that compiled code has written to before is seen to change', () => {
  const machine = new BareMachine(0, { storage: compilableMemory(BARE_MACHINE_BYTES, 1) });
  machine.machine.memory.write(machine.hpa(At.CODE), assembleAt(At.CODE, SOURCE).bytes);
  const { processor } = machine.machine;
  expect(processor.run(1e6)).toEqual({ kind: 'inactive' });
  expect(processor.compiledInstructions).toBeGreaterThan(0.5 * processor.instructions);
  expect(machine.get('rsi')).toBe((PASSES * (PASSES + 1)) / 2);
});
