// The exit codes in words, for help texts.

import { EXIT_CODES } from '../machine/index.ts';
import { EXIT_BAD_INPUT, EXIT_INTERNAL, EXIT_INTERRUPTED, EXIT_UNEXPECTED } from './failure.ts';

const OWN_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [EXIT_BAD_INPUT, 'wrong usage or input'],
  [EXIT_CODES.limit, 'limit reached'],
  [EXIT_CODES.tripleFault, 'triple fault'],
  [EXIT_CODES.deadlock, 'deadlock'],
  [EXIT_CODES.notImplemented, 'not implemented'],
  [EXIT_CODES.entryFailed, 'VM entry failed'],
  [EXIT_CODES.kvmError, 'KVM internal error'],
  [EXIT_CODES.reset, 'machine reset'],
  [EXIT_CODES.policyFailed, 'a policy failed'],
  [EXIT_INTERNAL, 'error in vmxlab'],
  [EXIT_INTERRUPTED, 'interrupted'],
];

export const EXIT_CODE_TEXT = [
  `Exit codes: ${EXIT_CODES.halted} all vCPUs halted`,
  'odd: (value << 1) | 1, with the value that the guest wrote to port 0xF4',
  ...OWN_CODES.map(([code, meaning]) => `${code} ${meaning}`),
].join('; ');

/** Those of `vmxlab run`. */
export const RUN_EXIT_CODE_TEXT = [
  EXIT_CODE_TEXT,
  `with --check: 0 everything is as expected, ${EXIT_UNEXPECTED} something is not`,
].join('; ');

/** Those of `vmxlab check`, where the guest's codes are what is looked at. */
export const CHECK_EXIT_CODE_TEXT = [
  'Exit codes: 0 everything is as expected',
  `${EXIT_UNEXPECTED} something is not`,
  `${EXIT_BAD_INPUT} wrong usage, malformed expectations, or a program that cannot be run`,
  `${EXIT_INTERNAL} error in vmxlab`,
].join('; ');

/** Those of `vmxlab explore`. */
export const EXPLORE_EXIT_CODE_TEXT = [
  'Exit codes: 0 nothing goes wrong',
  `${EXIT_UNEXPECTED} a schedule was found on which something does`,
  `${EXIT_CODES.limit} not everything was seen`,
  `${EXIT_BAD_INPUT} wrong usage or input`,
  `${EXIT_INTERNAL} error in vmxlab`,
].join('; ');

/** Those of `vmxlab fuzz`. */
export const FUZZ_EXIT_CODE_TEXT = [
  'Exit codes: 0 nothing went wrong that was tried',
  `${EXIT_UNEXPECTED} something did`,
  `${EXIT_CODES.limit} nothing did, but runs were cut off that may have gone on to an end`,
  `${EXIT_BAD_INPUT} wrong usage or input`,
  `${EXIT_INTERNAL} error in vmxlab`,
].join('; ');

/** Those of `vmxlab experiment`. */
export const EXPERIMENT_EXIT_CODE_TEXT = [
  'Exit codes: 0 every run went well, and every required claim that was judged holds',
  `${EXIT_UNEXPECTED} a run failed or is missing, or a claim does not hold`,
  `${EXIT_BAD_INPUT} wrong usage or input`,
  `${EXIT_INTERNAL} error in vmxlab`,
  `${EXIT_INTERRUPTED} interrupted; what is finished is kept`,
].join('; ');

/** Those of `vmxlab replay`. */
export const REPLAY_EXIT_CODE_TEXT = [
  'Exit codes: 0 the run is the recorded one',
  `${EXIT_UNEXPECTED} it is not`,
  `${EXIT_BAD_INPUT} wrong usage, or no intact recording`,
  `${EXIT_INTERNAL} error in vmxlab`,
].join('; ');
