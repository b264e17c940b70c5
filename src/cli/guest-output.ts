// What guests print, passed on as it comes: as it is for one virtual machine; for several, line by
// line behind the name of the machine, so that lines do not mix.

import type { Machine } from '../machine/index.ts';

const NEWLINE = 10;

type Write = (data: Uint8Array | string) => void;

export class GuestOutput {
  private readonly machine: Machine;
  /** Bytes of each virtual machine's console that are printed. */
  private readonly passed: number[];
  private endedLine = true;
  private readonly write: Write;

  /** @param write where it goes; standard output if left out */
  constructor(machine: Machine, write: Write = (data) => process.stdout.write(data)) {
    this.machine = machine;
    this.write = write;
    this.passed = machine.vms.map(() => 0);
  }

  /** Print what is new; at the end of the run, lines without an end too. */
  pass(isLast: boolean): void {
    for (const [id, { state }] of this.machine.devices.entries()) {
      const news = state.console.output.slice(this.passed[id]);
      if (news.length === 0) continue;
      if (this.machine.vms.length === 1) this.passed[id] += this.print(news);
      else this.passed[id] += this.printLines(this.machine.vms[id].name, news, isLast);
    }
    if (isLast) this.endLine();
  }

  /** True if {@link pass} would print something now. */
  get hasNews(): boolean {
    return this.machine.devices.some(
      ({ state }, id) => state.console.output.length > this.passed[id],
    );
  }

  private printLines(name: string, news: number[], isLast: boolean): number {
    const end = isLast ? news.length : news.lastIndexOf(NEWLINE) + 1;
    let from = 0;
    while (from < end) {
      const newline = news.indexOf(NEWLINE, from);
      const to = newline < 0 ? end : newline + 1;
      this.write(`${name}: `);
      this.print(news.slice(from, to));
      this.endLine();
      from = to;
    }
    return end;
  }

  private endLine(): void {
    if (!this.endedLine) this.write('\n');
    this.endedLine = true;
  }

  private print(bytes: number[]): number {
    this.write(Uint8Array.from(bytes));
    this.endedLine = bytes.at(-1) === NEWLINE;
    return bytes.length;
  }
}
