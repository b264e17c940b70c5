// What the benchmarks' programs compute, computed by JavaScript: crc32 by zlib, the others plainly.

import { crc32 } from 'node:zlib';
import type { Size, Workload } from '../../bench/workloads.ts';

type Compute = (rounds: number, size: Size, processors: number) => number;

/** The multiplier that fills memory with words that look random. */
const GOLDEN = 0x9e3779b1;

const words = (count: number): number[] =>
  Array.from({ length: count }, (_, i) => Math.imul(i, GOLDEN) >>> 0);

function xorshift(rounds: number, size: Size): number {
  const shifts = size === 64 ? ([13n, 7n, 17n] as const) : ([13n, 17n, 5n] as const);
  let x = size === 64 ? 0x9e3779b97f4a7c15n : 0x9e3779b9n;
  let sum = 0n;
  for (let i = 0; i < rounds; i++) {
    x ^= BigInt.asUintN(size, x << shifts[0]);
    x ^= x >> shifts[1];
    x ^= BigInt.asUintN(size, x << shifts[2]);
    sum += x;
  }
  return Number(BigInt.asUintN(32, sum));
}

/** The low halves of 64-bit words are every other word of memory. */
function sumOfMemory(rounds: number, size: Size): number {
  const memory = words(1024);
  const step = size / 32;
  let sum = 0;
  for (let i = 0; i < rounds; i++) sum += memory[(i * step) % memory.length];
  return sum;
}

function fibonacci(n: number): number {
  let [a, b] = [0, 1];
  for (let i = 0; i < n; i++) [a, b] = [b, a + b];
  return a;
}

function traceOfProduct(): number {
  const n = 64;
  const a = words(n * n);
  let sum = 0;
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < n; k++) sum += Math.imul(a[i * n + k], ~a[k * n + i]);
  }
  return sum;
}

/** By trial division. */
function primesBelow(limit: number): number {
  let count = 0;
  for (let n = 2; n < limit; n++) {
    let divisor = 2;
    while (divisor * divisor <= n && n % divisor !== 0) divisor++;
    if (divisor * divisor > n) count++;
  }
  return count;
}

function hashOfSorted(): number {
  const values = new Uint32Array(256);
  let x = 12345;
  for (let i = 0; i < values.length; i++) {
    x = (Math.imul(x, 1103515245) + 12345) >>> 0;
    values[i] = x;
  }
  return values.sort().reduce((hash, value) => (Math.imul(hash, 31) + value) | 0, 0);
}

function hashOfWords(rounds: number): number {
  const memory = words(1024);
  let hash = 0x811c9dc5;
  for (let i = 0; i < rounds; i++) {
    for (const word of memory) hash = Math.imul(hash ^ word, 0x01000193);
  }
  return hash;
}

const COMPUTE: Readonly<Record<string, Compute>> = {
  alu: xorshift,
  memory: sumOfMemory,
  crc: () => crc32(Uint8Array.from(words(4096), (word) => word >>> 24)),
  fib: () => fibonacci(20),
  matmul: traceOfProduct,
  sieve: () => primesBelow(0x10000),
  sort: hashOfSorted,
  hash: hashOfWords,
  // The last round fills with 1.
  'rep-copy': () => 0x01010101,
  'lock-ticket': (rounds, _size, processors) => rounds * processors,
  contention: (rounds, _size, processors) => rounds * processors,
  'alu-processors': (_rounds, _size, processors) => processors,
  ipi: () => 0,
  timer: () => 0,
  'exits-cpuid': () => 0,
  'exits-out': () => 0,
  'exits-vmcall': () => 0,
};

/** The 32 bits that a workload prints after so many rounds. */
export function benchResult(workload: Workload, size: Size, rounds: number): number {
  const name = workload.program ?? workload.name;
  const compute = COMPUTE[name];
  if (compute === undefined) throw new RangeError(`nobody knows what ${name} computes`);
  return compute(rounds, size, workload.processors) >>> 0;
}
