// SHA-256 after FIPS 180-4, section 6.2; its constants are computed from the primes, in integers.

#include "put.h"

typedef struct {
  uint32_t state[8];
  uint8_t block[64];
  uint64_t length;
} Sha;

static uint32_t initial[8], constants[64];

// A number of 128 bits, lowest word first.
typedef struct {
  uint32_t word[4];
} Quad;

static Quad quad_times(Quad a, uint64_t b) {
  Quad product = {{0}};
  for (int j = 0; j < 2; j++) {
    uint64_t carry = 0;
    for (int i = 0; i + j < 4; i++) {
      uint64_t part = (uint64_t)a.word[i] * (uint32_t)(b >> 32 * j) + product.word[i + j] + carry;
      product.word[i + j] = (uint32_t)part;
      carry = part >> 32;
    }
  }
  return product;
}

static int quad_exceeds(Quad a, Quad b) {
  for (int i = 3; i > 0; i--) {
    if (a.word[i] != b.word[i]) return a.word[i] > b.word[i];
  }
  return a.word[0] > b.word[0];
}

// The first 32 bits of the fraction of a root of n: the largest x with x^degree <= n * 2^(32 degree).
static uint32_t root_fraction(uint32_t n, int degree) {
  uint64_t low = 0, high = (uint64_t)1 << 37;
  Quad limit = {{0}};
  limit.word[degree] = n;
  while (high - low > 1) {
    uint64_t middle = (low + high) / 2;
    Quad power = {{1}};
    for (int i = 0; i < degree; i++) power = quad_times(power, middle);
    if (quad_exceeds(power, limit)) high = middle;
    else low = middle;
  }
  return (uint32_t)low;
}

static void make_constants(void) {
  int found = 0;
  for (uint32_t n = 2; found < 64; n++) {
    int is_prime = 1;
    for (uint32_t i = 2; i * i <= n; i++) is_prime &= n % i != 0;
    if (!is_prime) continue;
    if (found < 8) initial[found] = root_fraction(n, 2);
    constants[found++] = root_fraction(n, 3);
  }
}

static uint32_t rotate(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void compress(Sha *sha) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++) {
    const uint8_t *p = sha->block + 4 * i;
    w[i] = (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t a = rotate(w[i - 15], 7) ^ rotate(w[i - 15], 18) ^ w[i - 15] >> 3;
    uint32_t b = rotate(w[i - 2], 17) ^ rotate(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + a + w[i - 7] + b;
  }
  for (int i = 0; i < 8; i++) s[i] = sha->state[i];
  for (int i = 0; i < 64; i++) {
    uint32_t e = rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25);
    uint32_t choice = (s[4] & s[5]) ^ (~s[4] & s[6]);
    uint32_t first = s[7] + e + choice + constants[i] + w[i];
    uint32_t a = rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22);
    uint32_t majority = (s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]);
    for (int j = 7; j > 0; j--) s[j] = s[j - 1];
    s[4] += first;
    s[0] = first + a + majority;
  }
  for (int i = 0; i < 8; i++) sha->state[i] += s[i];
}

static void feed(Sha *sha, uint8_t byte) {
  sha->block[sha->length++ % 64] = byte;
  if (sha->length % 64 == 0) compress(sha);
}

static void show_digest(const char *text, int times) {
  Sha sha = {.length = 0};
  for (int i = 0; i < 8; i++) sha.state[i] = initial[i];
  for (int i = 0; i < times; i++) {
    for (const char *p = text; *p != 0; p++) feed(&sha, (uint8_t)*p);
  }
  uint64_t bits = 8 * sha.length;
  feed(&sha, 0x80);
  while (sha.length % 64 != 56) feed(&sha, 0);
  for (int i = 56; i >= 0; i -= 8) feed(&sha, (uint8_t)(bits >> i));
  for (int i = 0; i < 8; i++) put_hex(sha.state[i], 8);
  put('\n');
}

int main(void) {
  make_constants();
  show_digest("", 1);
  show_digest("abc", 1);
  show_digest("vmxlab", 100);
  show_digest("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 1);
  return 0;
}
