// testing: guests in vitest. Importing it gives vitest's expect the matchers. docs/testing.md has a
// complete example. Knows no files: sources and images are the test's to read.
//
//   import { lab } from 'vmxlab/testing';
//   const guest = lab('bits 64\nmov al, 5\nout 0xf4, al');
//   guest.run().ending.exitCode; // 11

import type Long from 'long';
import { expect } from 'vitest';
import type { EndingStatus } from '../machine/index.ts';
import type { TracepointName } from '../trace/index.ts';
import { type HowOften, MATCHERS } from './matchers.ts';

export { type Lab, type LabOptions, type LabRun, type LabSettings, lab } from './lab.ts';
export { type HowOften, MATCHERS, type Matched } from './matchers.ts';

expect.extend({ ...MATCHERS });

/** The matchers, as vitest declares its own. */
interface LabMatchers<R> {
  toHaveExited(reason: string, often?: HowOften): R;
  toHaveEnded(how: EndingStatus | number): R;
  toHavePrinted(text: string | RegExp): R;
  toHaveRegister(
    name: string,
    value: number | bigint | Long | string,
    where?: Pick<HowOften, 'vcpu'>,
  ): R;
  toHaveTraced(
    name: TracepointName,
    fields?: Readonly<Record<string, unknown>>,
    often?: Pick<HowOften, 'times'>,
  ): R;
  toSatisfyProperty(property: string): R;
  toMatchDirectives(directives: readonly string[]): R;
  toMeetItsExpectations(): R;
}

declare module 'vitest' {
  interface Matchers<T> extends LabMatchers<T> {}
}
