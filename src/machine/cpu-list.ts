// Lists of pCPUs in the form that taskset and the kernel use: 0-3,6.

/** The list of a vCPU: there is one for each, or one for all, or none. */
export function pinOf({ pin }: { readonly pin: readonly string[] }, vcpu: number) {
  return pin[pin.length > 1 ? vcpu : 0];
}

/** The numbers in a list, ascending; undefined if it is not one. */
export function parseCpuList(text: string): readonly number[] | undefined {
  const numbers = new Set<number>();
  for (const part of text.split(',')) {
    const match = /^(\d{1,4})(?:-(\d{1,4}))?$/.exec(part.trim());
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first) return undefined;
    for (let number = first; number <= last; number++) numbers.add(number);
  }
  return [...numbers].sort((a, b) => a - b);
}
