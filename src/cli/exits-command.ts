// `vmxlab exits`: the VM-exit reasons with numbers and meanings, and of one of them all that is
// known: what asks for it, what it records, who handles it.

import { handlerName } from '../kvm/index.ts';
import { nearest } from '../sim/index.ts';
import {
  type BitRange,
  ENTRY_FAILURES,
  EXIT_REASONS,
  type ExitReason,
  type ExitReasonName,
  exitReasonDetail,
} from '../vmx/index.ts';
import { Failure } from './failure.ts';

export interface ExitsOptions {
  /** Name or number of one reason, or undefined for all. */
  readonly reason: string | undefined;
  readonly json: boolean;
}

export function exitsCommand(options: ExitsOptions): number {
  const chosen = options.reason === undefined ? EXIT_REASONS : [find(options.reason)];
  if (options.json) {
    const exits = options.reason === undefined ? chosen : chosen.map(jsonOf);
    process.stdout.write(`${JSON.stringify({ schemaVersion: 1, exits }, null, 2)}\n`);
    return 0;
  }
  process.stdout.write('No.  EXIT_REASON_           Here  Meaning\n');
  for (const { number, name, meaning, handled } of chosen) {
    const here = handled ? 'yes' : '-';
    process.stdout.write(
      `${String(number).padStart(3)}  ${name.padEnd(22)} ${here.padEnd(5)} ${meaning}\n`,
    );
  }
  if (options.reason !== undefined) process.stdout.write(`\n${detailText(chosen[0])}\n`);
  return 0;
}

function jsonOf(reason: ExitReason): unknown {
  const { qualification, ...detail } = exitReasonDetail(reason);
  return { ...detail, qualification, handler: handlerName(reason.name as ExitReasonName) };
}

const NO_HANDLER = 'none: the exit is KVM_EXIT_INTERNAL_ERROR, suberror 4';
/** Of entries that fail, there is no exit to handle. */
const FAILED_ENTRY = 'none: the entry has failed, which is KVM_EXIT_FAIL_ENTRY';

function detailText(reason: ExitReason): string {
  const detail = exitReasonDetail(reason);
  const failsEntry = ENTRY_FAILURES.some((name) => name === reason.name);
  const { controls, deciding, information, qualification } = detail;
  const handler = handlerName(reason.name as ExitReasonName);
  const lines: (readonly [label: string, lines: readonly string[]])[] = [
    ['exits', [detail.condition]],
    ['controls', controls.map((c) => `${c.field} bit ${c.bit}, "${c.title}" (${c.name})`)],
    ['decided by', deciding],
    ['qualification', qualification.length === 0 ? ['0'] : qualification.map(rangeText)],
    ['also filled', information],
    ['handler', [handler ?? (failsEntry ? FAILED_ENTRY : NO_HANDLER)]],
    ['SDM 3', [`"${detail.section}"`]],
  ];
  return lines
    .filter(([, values]) => values.length > 0)
    .flatMap(([label, values]) =>
      values.map((value, i) => `${(i === 0 ? label : '').padEnd(14)} ${value}`),
    )
    .join('\n');
}

/** Such as `bits 5:4   access: 0 MOV to CR, 1 MOV from CR`. */
function rangeText({ high, low, name, values }: BitRange): string {
  const place = high === low ? `bit ${low}` : `bits ${high}:${low}`;
  const meanings = Object.entries(values ?? {}).map(([value, meaning]) => `${value} ${meaning}`);
  const suffix = meanings.length === 0 ? '' : `: ${meanings.join(', ')}`;
  return `${place.padEnd(11)} ${name}${suffix}`;
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
