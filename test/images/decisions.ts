// Where QEMU's TCG and Bochs disagree about an image: who is right, and which section of the SDM says so.
export interface Decision {
  readonly image: string;
  /** Which disagreements, by the line that Bochs prints. */
  readonly lines?: RegExp;
  /** Whose lines are right; if neither, `ours` makes ours of Bochs's. */
  readonly right?: 'qemu' | 'bochs' | 'neither';
  readonly ours?: (line: string) => string;
  /** Who stops before the end of the image; the other one's lines count from there. */
  readonly stops?: 'qemu' | 'bochs';
  readonly because: string;
  readonly section: string;
}
export const DECISIONS: readonly Decision[] = [];
