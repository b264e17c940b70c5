// The experiments that come with vmxlab, by name: `vmxlab experiment --list`.

import type { Experiment } from '../experiment.ts';
import { YIELD_LOCK } from './x0-yield-lock.ts';
import { DIRECTED_YIELD } from './x1-directed-yield.ts';
import { PARAVIRTUAL_LOCK } from './x2-paravirtual-lock.ts';
import { HYPERCALL_PAYLOAD } from './x3-hypercall-payload.ts';
import { TIMER_PATH } from './x4-timer-path.ts';

export const PUBLISHED: readonly Experiment[] = [
  YIELD_LOCK,
  DIRECTED_YIELD,
  PARAVIRTUAL_LOCK,
  HYPERCALL_PAYLOAD,
  TIMER_PATH,
];
