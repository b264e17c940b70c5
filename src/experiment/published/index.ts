// The experiments that come with vmxlab, by name: `vmxlab experiment --list`.

import type { Experiment } from '../experiment.ts';

export const PUBLISHED: readonly Experiment[] = [];
