// What goes wrong through no fault of the program: wrong input, missing files. Always a message and
// an exit code, never a stack trace.

/** Exit code for wrong usage and input. Even, as all of our own (docs/decisions says why). */
export const EXIT_BAD_INPUT = 2;

/** Exit code when something does not go as it should (`vmxlab check`, `vmxlab explore`). */
export const EXIT_UNEXPECTED = 18;

/** Exit code for an error in vmxlab itself (sysexits.h, EX_SOFTWARE). */
export const EXIT_INTERNAL = 70;

/** Exit code after Ctrl-C. */
export const EXIT_INTERRUPTED = 130;

/** Thrown to end a command with a message for its user. */
export class Failure {
  /** Lines for standard error. */
  readonly lines: readonly string[];
  readonly exitCode: number;

  constructor(lines: string | readonly string[], exitCode: number = EXIT_BAD_INPUT) {
    this.lines = typeof lines === 'string' ? [`vmxlab: ${lines}`] : lines;
    this.exitCode = exitCode;
  }
}
