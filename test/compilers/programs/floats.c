// Floating point in double and single precision: a matrix product, roots by Newton's method, orbits,
// the Mandelbrot set, a Fourier transform, conversions, comparisons with NaN, and numbers in
// decimal. Results are printed to the last bit.

#include "put.h"

static uint64_t bits_of(double x) {
  uint64_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  return bits;
}

static void put_double(const char *name, double x) {
  put_text(name);
  put_text(": ");
  put_hex(bits_of(x), 16);
  put('\n');
}

static void put_float(const char *name, float x) {
  uint32_t bits;
  __builtin_memcpy(&bits, &x, sizeof bits);
  put_text(name);
  put_text(": ");
  put_hex(bits, 8);
  put('\n');
}

static uint64_t seed = 2026;

// Between -1 and 1.
static double chance(void) { return (double)next_random(&seed) / (1u << 30) - 1.0; }

#define SIZE 12

static void matrices(void) {
  static double a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];
  for (int i = 0; i < SIZE; i++) {
    for (int j = 0; j < SIZE; j++) {
      a[i][j] = chance();
      b[i][j] = chance() * 100;
    }
  }
  for (int i = 0; i < SIZE; i++) {
    for (int j = 0; j < SIZE; j++) {
      double sum = 0;
      for (int k = 0; k < SIZE; k++) sum += a[i][k] * b[k][j];
      c[i][j] = sum;
    }
  }
  double trace = 0;
  for (int i = 0; i < SIZE; i++) trace += c[i][i];
  put_double("trace", trace);
  put_double("corner", c[SIZE - 1][0]);
}

static double newton_root(double x) {
  double guess = x > 1 ? x : 1;
  for (int i = 0; i < 100; i++) {
    double next = 0.5 * (guess + x / guess);
    if (next == guess) break;
    guess = next;
  }
  return guess;
}

static void roots(void) {
  static const double numbers[] = {2, 3, 1e10, 1e-10, 0.3, 12345.678, 1e300, 4};
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    put_double("newton", newton_root(numbers[i]));
    put_double("sqrt", __builtin_sqrt(numbers[i]));
    put_float("sqrtf", __builtin_sqrtf((float)numbers[i]));
  }
}

typedef struct {
  double x, y, z, vx, vy, vz, mass;
} Body;

static void orbits(void) {
  Body bodies[4];
  for (int i = 0; i < 4; i++) {
    bodies[i] = (Body){chance() * 10, chance() * 10, chance(), chance(), chance(), 0, i + 1.5};
  }
  for (int step = 0; step < 200; step++) {
    Body before[4];
    __builtin_memcpy(before, bodies, sizeof before);
    for (int i = 0; i < 4; i++) {
      for (int j = 0; j < 4; j++) {
        if (i == j) continue;
        double dx = before[j].x - before[i].x, dy = before[j].y - before[i].y;
        double dz = before[j].z - before[i].z;
        double square = dx * dx + dy * dy + dz * dz + 0.01;
        double pull = before[j].mass / (square * __builtin_sqrt(square));
        bodies[i].vx += 0.01 * pull * dx;
        bodies[i].vy += 0.01 * pull * dy;
        bodies[i].vz += 0.01 * pull * dz;
      }
      bodies[i].x += 0.01 * bodies[i].vx;
      bodies[i].y += 0.01 * bodies[i].vy;
      bodies[i].z += 0.01 * bodies[i].vz;
    }
  }
  for (int i = 0; i < 4; i++) put_double("body", bodies[i].x + bodies[i].y - bodies[i].z);
}

static void mandelbrot(void) {
  unsigned total = 0;
  for (int row = 0; row < 24; row++) {
    for (int column = 0; column < 64; column++) {
      float cr = (float)column * 0.046875f - 2.25f, ci = (float)row * 0.1f - 1.2f;
      float zr = 0, zi = 0;
      int n = 0;
      while (n < 50 && zr * zr + zi * zi < 4.0f) {
        float next = zr * zr - zi * zi + cr;
        zi = 2 * zr * zi + ci;
        zr = next;
        n++;
      }
      total = total * 31 + (unsigned)n;
      put(" .:-=+*#%@"[n / 6]);
    }
    put('\n');
  }
  put_line("mandelbrot", total);
}

static double series_sine(double x) {
  double term = x, sum = x;
  for (int n = 1; n < 20; n++) {
    term *= -x * x / ((2 * n) * (2 * n + 1));
    sum += term;
  }
  return sum;
}

static void transform(void) {
  double re[32], im[32], power = 0;
  for (int k = 0; k < 32; k++) {
    re[k] = im[k] = 0;
    for (int n = 0; n < 32; n++) {
      double angle = 6.283185307179586 * ((k * n) % 32) / 32;
      double sample = (n * 7) % 11 - 5.0;
      re[k] += sample * series_sine(angle + 1.5707963267948966);
      im[k] -= sample * series_sine(angle);
    }
    power += re[k] * re[k] + im[k] * im[k];
  }
  put_double("re", re[3]);
  put_double("im", im[5]);
  put_double("power", power);
}

static void conversions(void) {
  static volatile const double numbers[] = {0.5, -0.5, 1.5, 2.5, -3.75, 1e9, 4e9, -2e9, 1e18, 1e-300};
  for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    double x = numbers[i];
    put_hex((uint64_t)(int64_t)x, 16);
    put(' ');
    put_hex((uint32_t)(int32_t)(x / 4), 8);
    put(' ');
    put_hex((uint64_t)(x < 0 ? -x : x), 16);
    put(' ');
    put_float("float", (float)x);
  }
  for (int i = 0; i < 20; i++) {
    uint64_t whole = next_random(&seed) * next_random(&seed);
    put_double("unsigned", (double)whole);
    put_double("signed", (double)-(int64_t)(whole >> (i + 1)));
    put_float("single", (float)whole);
  }
}

static void specials(void) {
  volatile double zero = 0, one = 1, tiny = 4.9e-324;
  double infinity = one / zero, nan = zero / zero;
  put_double("infinity", infinity);
  put_double("nan", nan);
  put_double("difference", infinity - infinity);
  put_double("negative zero", -zero * one);
  put_double("half of tiny", tiny / 2);
  put_double("three quarters", tiny * 3 / 4);
  double all[] = {nan, infinity, -infinity, zero, -zero, tiny, one};
  for (int i = 0; i < 7; i++) {
    for (int j = 0; j < 7; j++) {
      double a = all[i], b = all[j];
      int relations = (a < b) | (a <= b) << 1 | (a == b) << 2 | (a != b) << 3 | (a > b) << 4;
      put_hex((uint64_t)(relations | (a >= b) << 5), 2);
      put_hex(bits_of(a < b ? a : b) >> 48, 4);
      put(j == 6 ? '\n' : ' ');
    }
  }
}

// Digits of a number between 1e-5 and 1e15, cut off.
static void put_number(double x, int decimals) {
  if (x < 0) {
    put('-');
    x = -x;
  }
  uint64_t whole = (uint64_t)x;
  double rest = x - (double)whole;
  put_decimal(whole);
  put('.');
  for (int i = 0; i < decimals; i++) {
    rest *= 10;
    int digit = (int)rest;
    put((char)('0' + digit));
    rest -= digit;
  }
  put('\n');
}

int main(void) {
  matrices();
  roots();
  orbits();
  mandelbrot();
  transform();
  conversions();
  specials();
  for (int i = 0; i < 20; i++) put_number(chance() * 1000000 / (i + 1), 12);
  return 0;
}
