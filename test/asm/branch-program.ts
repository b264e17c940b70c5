// Random programs in which sizes depend on distances and distances on sizes.

import type { Prng } from '../../src/sim/index.ts';

/** A program of branches, differences of labels, fillers and alignments. */
export function branchProgram(prng: Prng): string {
  const labels = 3 + prng.below(25);
  const label = () => `l${prng.below(labels)}`;
  const makers: readonly (() => string)[] = [
    () => `jmp ${label()}`,
    () => `jmp ${label()}`,
    () => `jz ${label()}`,
    () => `jz ${label()}`,
    () => `times ${prng.below(60)} nop`,
    () => `times ${prng.below(130)} db 0`,
    () => `mov rax, ${label()}`,
    () => `mov rax, ${label()} - ${label()}`,
    () => `add rbx, ${label()} - ${label()}`,
    () => `align ${1 << prng.below(6)}`,
    () => `push ${label()} - ${label()} + ${prng.below(200)}`,
    () => `mov eax, [rbx + ${label()} - ${label()}]`,
    () => `times ${prng.below(5)} jmp ${label()}`,
    () => `mov ecx, [${label()}]`,
  ];
  const lines = ['bits 64'];
  if (prng.below(3) === 0) lines.push('default rel');
  for (let i = 0; i < labels; i++) {
    lines.push(`l${i}:`);
    for (let count = prng.below(3); count >= 0; count--) {
      const maker = makers[prng.below(makers.length)] as () => string;
      lines.push(maker());
    }
  }
  return `${lines.join('\n')}\n`;
}
