// Two parties that compile again and again on the same pCPUs, as a fluid: each compile is a serial
// part and then a parallel one, and how fast a party gets on depends on what the other one is at.
// What the parallel parts get of each other is simulated; this puts the phases together.

/** One party: a guest, or the host itself. */
export interface Party {
  /** Seconds of the serial part on a pCPU of its own. */
  readonly serial: number;
  /** pCPU-seconds of the parallel part. */
  readonly parallel: number;
  /** pCPUs' worth of useful computing in the parallel part, alone on the host. */
  readonly aloneRate: number;
  /** The same beside the parallel part of the other one. */
  readonly sharedRate: number;
}

export interface SharedHost {
  readonly pcpus: number;
  /** Compiles of each that count. */
  readonly rounds: number;
  /** Seconds by which the second party begins later. */
  readonly offset: number;
  /** Whether a party goes on until the other one is done too (both-loop), or stops. */
  readonly goesOn: boolean;
}

interface Progress {
  readonly party: Party;
  /** What is left of the part it is in: seconds, or pCPU-seconds. */
  left: number;
  isSerial: boolean;
  rounds: number;
  /** When its last compile that counts was done. */
  end: number;
}

/** A party that has not begun or has stopped. */
function isIdle({ rounds }: Progress, begin: number, now: number, host: SharedHost): boolean {
  return now < begin || (rounds >= host.rounds && !host.goesOn);
}

/**
 * Mean seconds of a compile of each of two parties. A serial part is one thread, which shares its
 * pCPU with one of the other party's while that one is parallel, and has it for itself otherwise.
 */
export function compilesOfTwo(
  parties: readonly [Party, Party],
  host: SharedHost,
): readonly [number, number] {
  const begins = [0, host.offset];
  const both = parties.map((party): Progress => {
    return { party, left: party.serial, isSerial: true, rounds: 0, end: 0 };
  });
  let now = 0;
  while (both.some(({ rounds }) => rounds < host.rounds)) {
    const idle = both.map((one, i) => isIdle(one, begins[i], now, host));
    const rates = both.map((one, i) => (idle[i] ? 0 : rateOf(one, both[1 - i], idle[1 - i], host)));
    const toBegin = begins.filter((begin) => begin > now).map((begin) => begin - now);
    const steps = both.map(({ left }, i) => (rates[i] > 0 ? left / rates[i] : Infinity));
    const step = Math.min(...steps, ...toBegin);
    now += step;
    for (const [i, one] of both.entries()) {
      if (steps[i] > step) one.left -= rates[i] * step;
      else if (!idle[i]) nextPart(one, now, host);
    }
  }
  const [a, b] = both.map(({ end }, i) => (end - begins[i]) / host.rounds);
  return [a, b];
}

function rateOf(one: Progress, other: Progress, isAlone: boolean, { pcpus }: SharedHost): number {
  if (one.isSerial) return isAlone || other.isSerial ? 1 : 0.5;
  if (isAlone) return one.party.aloneRate;
  // The serial thread of the other one has half a pCPU.
  if (other.isSerial) return one.party.aloneRate * (1 - 0.5 / pcpus);
  return one.party.sharedRate;
}

function nextPart(one: Progress, now: number, host: SharedHost): void {
  one.isSerial = !one.isSerial;
  one.left = one.isSerial ? one.party.serial : one.party.parallel;
  if (!one.isSerial) return;
  one.rounds++;
  if (one.rounds === host.rounds) one.end = now;
}
