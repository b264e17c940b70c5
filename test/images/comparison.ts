// What ours has to print for an image: what both emulators print where they agree, and elsewhere
// what decisions.ts says.

import type { Decision } from './decisions.ts';

export interface Expectation {
  /** The lines that ours has to print. */
  readonly lines: readonly string[];
  /** Disagreements that nobody decided, for people. */
  readonly undecided: readonly string[];
  /** The decisions that were needed. */
  readonly used: ReadonlySet<Decision>;
}

/** Join the answers of QEMU and Bochs, line by line, by the decisions for this image. */
export function expectation(
  decisions: readonly Decision[],
  qemu: readonly string[],
  bochs: readonly string[],
): Expectation {
  const lines: string[] = [];
  const undecided: string[] = [];
  const used = new Set<Decision>();
  for (let i = 0; i < Math.max(qemu.length, bochs.length); i++) {
    const [ofQemu, ofBochs] = [qemu[i] ?? null, bochs[i] ?? null];
    const decision = decisions.find((one) => decides(one, ofQemu, ofBochs));
    if (ofQemu === ofBochs && decision === undefined) {
      lines.push(ofBochs ?? '');
      continue;
    }
    if (decision === undefined) {
      const [left, right] = [ofQemu, ofBochs].map((line) => line ?? '(nothing)');
      undecided.push(`line ${i + 1}\n  QEMU:  ${left}\n  Bochs: ${right}`);
      continue;
    }
    used.add(decision);
    lines.push(decidedLine(decision, ofQemu ?? '', ofBochs ?? ''));
  }
  return { lines, undecided, used };
}

/**
 * Where one has stopped, only a decision that says so counts; and where both say the same, one that
 * says that both are wrong.
 */
function decides(decision: Decision, ofQemu: string | null, ofBochs: string | null): boolean {
  if (ofQemu === null || ofBochs === null) {
    return decision.stops !== undefined && (decision.stops === 'qemu') === (ofQemu === null);
  }
  const matches = decision.lines?.test(ofBochs) ?? false;
  return matches && (ofQemu !== ofBochs || decision.right === 'neither');
}

function decidedLine(decision: Decision, ofQemu: string, ofBochs: string): string {
  if (decision.right === 'neither') return decision.ours?.(ofBochs) ?? ofBochs;
  return decision.right === 'qemu' ? ofQemu : ofBochs;
}
