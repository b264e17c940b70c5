// What gcc makes of C, assembled here and by GNU as: the bytes must be the same. That is how most
// text in GAS syntax comes about.

import { execFileSync } from 'node:child_process';
import { beforeEach, describe, expect, test } from 'vitest';
import { assemble, formatDiagnostic } from '../../src/asm/index.ts';
import { missing } from '../support/outside-tools.ts';
import { runGnu } from './gnu-as.ts';
import { hex } from './snippets.ts';

const reason = missing('gcc') ?? missing('as');

const PROGRAMS: Readonly<Record<string, string>> = {
  'a sort': `
    static void swap(int *a, int *b) { int t = *a; *a = *b; *b = t; }
    void sort(int *v, long n) {
      for (long i = 0; i < n; i++)
        for (long j = i; j > 0 && v[j - 1] > v[j]; j--) swap(v + j, v + j - 1);
    }`,
  'a table of cases': `
    extern void report(const char *);
    static const char *const names[] = { "zero", "one", "two\\n\\ttabbed", "\\"quoted\\"" };
    int pick(int n, unsigned char c) {
      switch (n) {
        case 0: return c * 3; case 1: return c / 7; case 2: return -c; case 3: return c << 9;
        case 4: return ~c; case 5: report(names[c & 3]); return 9; case 7: return c % 10;
      }
      return n;
    }
    void report(const char *text) {
      __asm__ volatile("out{b %0, $0xe9| 0xe9, %0}" : : "a"(*text));
    }`,
  'data of all kinds': `
    char a = 'x'; short b[3] = { 1, -2, 3 }; long c = (long)0x123456789abcdef; int zero[100];
    static long hidden = 5; int uninitialized; const char text[] = "hello\\001\\377 world";
    struct { char c; long *p; int i; } s = { 1, &c, 7 };
    long sum(void) { return a + b[1] + c + zero[5] + hidden++ + uninitialized + s.i + text[2]; }`,
  'locks and system registers': `
    typedef unsigned long u64;
    u64 ticket(volatile unsigned *next, volatile unsigned *now) {
      unsigned mine = __atomic_fetch_add(next, 1, __ATOMIC_SEQ_CST);
      u64 spins = 0;
      while (*now != mine) { __builtin_ia32_pause(); spins++; }
      return spins;
    }
    u64 root(void) { u64 v; __asm__ volatile("mov {%%cr3, %0|%0, cr3}" : "=r"(v)); return v; }
    int swap(int *p, int old, int new) { return __sync_bool_compare_and_swap(p, old, new); }
    void halt(void) { for (;;) __asm__ volatile("cli; hlt"); }`,
  arithmetic: `
    unsigned long mix(unsigned long x, int s, short h, signed char b) {
      x ^= x >> 13; x *= (unsigned long)0xff51afd7ed558ccdULL; x = (x << 13) | (x >> 19);
      #ifdef __x86_64__
      __int128 wide = (__int128)x * s; x += (unsigned long)(wide >> 64);
      #else
      long long wide = (long long)x * s; x += (unsigned long)(wide >> 32);
      #endif
      return x / 10 + x % 3 + h * 5 + b + (x > 5 ? s : h) + (s / h);
    }
    int compare(const char *a, const char *b, int n) {
      for (; n > 0; n--, a++, b++) if (*a != *b) return *a < *b ? -1 : 1;
      return 0;
    }
    void clear(char *p, long n) { while (n-- > 0) *p++ = 0; }`,
};

/** Arithmetic and loops that gcc makes SSE2 of. */
const FLOATING_POINT = `
  typedef long i64; typedef unsigned long u64; typedef unsigned char u8;
  typedef struct { double a[4]; float b[4]; int c[8]; } S;
  double dot(const double *a, const double *b, int n) {
    double s = 0; for (int i = 0; i < n; i++) s += a[i] * b[i]; return s;
  }
  void copy(S *d, const S *s) { *d = *s; }
  int total(const int *a, int n) { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
  void mix(u8 *a, const u8 *b, int n) { for (int i = 0; i < n; i++) a[i] += b[i] * 3; }
  double from(i64 x, u64 y, int z, unsigned w, float f) { return (double)x + y + z + w + f; }
  i64 to(double d, float f) { return (i64)d + (u64)d + (int)f + (unsigned)d; }
  int compare(double a, double b) {
    return (a < b) + (a <= b) * 2 + (a == b) * 4 + (a != b) * 8 + __builtin_isnan(a) * 16;
  }
  double larger(double a, double b) { return a > b ? a : b; }
  double root(double a, double b) { return __builtin_copysign(__builtin_sqrt(a), b); }
  void scale(float *a, int n, float k) {
    for (int i = 0; i < n; i++) a[i] = a[i] * k + 1.0f / a[i];
  }
  void widen(double *d, const int *a, int n) { for (int i = 0; i < n; i++) d[i] = a[i] * 0.5; }
  void narrow(int *d, const float *a, int n) { for (int i = 0; i < n; i++) d[i] = a[i]; }
  int above(const unsigned short *a, int n) {
    int c = 0; for (int i = 0; i < n; i++) c += a[i] > 100; return c;
  }
  int distance(const u8 *a, const u8 *b, int n) {
    int s = 0; for (int i = 0; i < n; i++) s += __builtin_abs(a[i] - b[i]); return s;
  }
  void most(short *a, const short *b, int n) {
    for (int i = 0; i < n; i++) a[i] = a[i] > b[i] ? a[i] : b[i];
  }
  u64 products(const unsigned *a, const unsigned *b, int n) {
    u64 s = 0; for (int i = 0; i < n; i++) s += (u64)a[i] * b[i]; return s;
  }`;

const OPTIONS = [
  '-O2',
  '-O0',
  '-Os',
  '-O2 -masm=intel',
  '-O2 -fno-pic',
  '-O2 -g',
  '-O3 -fcf-protection',
];

/** The same for 32-bit code. */
const OPTIONS_32 = [
  '-O2',
  '-O0',
  '-Os',
  '-O2 -masm=intel',
  '-Os -masm=intel',
  '-O3 -march=haswell',
  '-O2 -g',
].map((options) => `-m32 -fno-pic ${options}`);

describe('gcc -S', () => {
  beforeEach((context) => {
    if (reason !== null) context.skip(reason);
  });

  test.each([...OPTIONS, ...OPTIONS_32])('with %s', (options) => {
    compare(PROGRAMS, ['-mgeneral-regs-only', ...options.split(' ')]);
  });

  test.each(['-O0', '-O2', '-O3', '-Os', '-O0 -masm=intel', '-O3 -masm=intel'])(
    'of floating point with %s',
    (options) => {
      const flags = ['-fno-math-errno', '-ffp-contract=off'];
      compare({ 'floating point': FLOATING_POINT }, [...flags, ...options.split(' ')]);
    },
  );
});

function compare(programs: Readonly<Record<string, string>>, options: readonly string[]): void {
  const flags = ['-ffreestanding', '-fno-stack-protector'];
  // Nothing in what gcc writes says that it is for 32-bit code.
  const head = options.includes('-m32') ? '.code32\n' : '';
  const sources = Object.values(programs).map(
    (input) =>
      head +
      execFileSync('gcc', ['-S', '-xc', ...options, ...flags, '-o', '-', '-'], {
        input,
        encoding: 'utf8',
      }),
  );
  const results = runGnu(sources.map((source) => [source]));
  for (const [i, name] of Object.keys(programs).entries()) {
    const assembled = assemble({ name: `${name}.s`, text: sources[i] as string });
    const errors = assembled.kind === 'errors' ? assembled.errors.map(formatDiagnostic) : [];
    expect(errors.join('\n')).toBe('');
    const bytes = assembled.kind === 'ok' ? hex(assembled.bytes) : '';
    expect(`${name}: ${bytes}`).toBe(
      `${name}: ${hex(results[i]?.bytes ?? new Uint8Array(0))}${results[i]?.messages}`,
    );
  }
}
