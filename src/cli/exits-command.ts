// `vmxlab exits`: the VM-exit reasons with numbers and meanings.

import { nearest } from '../sim/index.ts';
import { EXIT_REASONS, type ExitReason } from '../vmx/index.ts';
import { Failure } from './failure.ts';

export interface ExitsOptions {
  /** Name or number of one reason, or undefined for all. */
  readonly reason: string | undefined;
  readonly json: boolean;
}

export function exitsCommand(options: ExitsOptions): number {
  const chosen = options.reason === undefined ? EXIT_REASONS : [find(options.reason)];
  if (options.json) {
    process.stdout.write(`${JSON.stringify({ schemaVersion: 1, exits: chosen }, null, 2)}\n`);
    return 0;
  }
  process.stdout.write('No.  EXIT_REASON_           Here  Meaning\n');
  for (const { number, name, meaning, handled } of chosen) {
    const here = handled ? 'yes' : '-';
    process.stdout.write(
      `${String(number).padStart(3)}  ${name.padEnd(22)} ${here.padEnd(5)} ${meaning}\n`,
    );
  }
  return 0;
}

function find(reason: string): ExitReason {
  const wanted = reason.toUpperCase().replace(/^EXIT_REASON_/, '');
  const found = EXIT_REASONS.find(
    ({ number, name }) => name === wanted || String(number) === reason,
  );
  if (found !== undefined) return found;
  // PAUSE is meant to be PAUSE_INSTRUCTION rather than TPAUSE.
  const names = EXIT_REASONS.map(({ name }) => name);
  const near = names.find((name) => name.startsWith(`${wanted}_`)) ?? nearest(wanted, names);
  const hint = near === null ? `'vmxlab exits' lists them` : `did you mean ${near}?`;
  throw new Failure(`there is no exit reason '${reason}'; ${hint}`);
}
