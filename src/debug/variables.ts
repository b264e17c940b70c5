// What people keep while they debug, as gdb does: values that were printed, by number, and those
// with names of their own. Not of the machine: going back changes none of them.

export class Variables {
  /** Those that were printed, oldest first: `$1` is the first. */
  readonly printed: bigint[] = [];
  readonly named = new Map<string, bigint>();

  /** Keep a value that was printed; its number. */
  add(value: bigint): number {
    return this.printed.push(value);
  }

  /**
   * @param name without the first `$`: a number as of {@link add}; nothing for the last value, `$`
   *   for the one before, `$N` for N before the last; or a variable's
   */
  valueOf(name: string): bigint | undefined {
    const [, back, number] = /^(\$?)(\d*)$/.exec(name) ?? [];
    if (number === undefined) return this.named.get(name);
    if (back === '' && number !== '') return this.printed[Number(number) - 1];
    const before = number === '' ? back.length : Number(number);
    return this.printed[this.printed.length - 1 - before];
  }
}
