// What is wrong with a trace that cannot be read, and where.

export class TraceError extends Error {
  /** `offset 0x1000` or `line 12`. */
  readonly place: string;
  readonly problem: string;

  private constructor(place: string, problem: string) {
    super(`${place}: ${problem}`);
    this.place = place;
    this.problem = problem;
  }

  /** @param offset of the byte in the file at which it shows */
  static atOffset(offset: number, problem: string): TraceError {
    return new TraceError(`offset 0x${offset.toString(16)}`, problem);
  }

  /** @param line counted from 1 */
  static atLine(line: number, problem: string): TraceError {
    return new TraceError(`line ${line}`, problem);
  }
}
