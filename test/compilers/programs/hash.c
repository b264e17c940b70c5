// Hashes and checksums: rotations, multiplications, byte swaps, bit counts, tables, and a switch.

#include "put.h"

#define LENGTH 1000
#define BUCKETS 61

static uint8_t data[LENGTH];
static uint32_t crc_table[256];

static uint32_t rotate32(uint32_t x, int n) { return x << n | x >> (32 - n); }
static uint64_t rotate64(uint64_t x, int n) { return x << n | x >> (64 - n); }

static uint32_t fnv32(const uint8_t *p, size_t n) {
  uint32_t hash = 2166136261u;
  while (n-- > 0) hash = (hash ^ *p++) * 16777619u;
  return hash;
}

static uint64_t fnv64(const uint8_t *p, size_t n) {
  uint64_t hash = 14695981039346656037u;
  while (n-- > 0) hash = (hash ^ *p++) * 1099511628211u;
  return hash;
}

static uint32_t crc32(const uint8_t *p, size_t n) {
  if (crc_table[1] == 0) {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; bit++) value = value >> 1 ^ (value & 1 ? 0xedb88320u : 0);
      crc_table[i] = value;
    }
  }
  uint32_t crc = ~0u;
  while (n-- > 0) crc = crc >> 8 ^ crc_table[(crc ^ *p++) & 255];
  return ~crc;
}

static uint32_t adler32(const uint8_t *p, size_t n) {
  uint32_t a = 1, b = 0;
  while (n-- > 0) {
    a = (a + *p++) % 65521;
    b = (b + a) % 65521;
  }
  return b << 16 | a;
}

// SipHash-1-3's rounds over whole words.
static uint64_t sip(const uint8_t *p, size_t n) {
  uint64_t v0 = 0x736f6d6570736575u, v1 = 0x646f72616e646f6du;
  uint64_t v2 = 0x6c7967656e657261u, v3 = 0x7465646279746573u;
  for (size_t i = 0; i + 8 <= n; i += 8) {
    uint64_t word = 0;
    for (int j = 0; j < 8; j++) word |= (uint64_t)p[i + j] << 8 * j;
    v3 ^= word;
    v0 += v1, v2 += v3, v1 = rotate64(v1, 13) ^ v0, v3 = rotate64(v3, 16) ^ v2;
    v0 = rotate64(v0, 32);
    v2 += v1, v0 += v3, v1 = rotate64(v1, 17) ^ v2, v3 = rotate64(v3, 21) ^ v0;
    v2 = rotate64(v2, 32);
    v0 ^= word;
  }
  return v0 ^ v1 ^ v2 ^ v3;
}

static uint32_t mixed(uint32_t x, int how) {
  switch (how & 7) {
    case 0: return rotate32(x, 7) * 5;
    case 1: return __builtin_bswap32(x) - 3;
    case 2: return x ^ x >> 15;
    case 3: return x / 7 + x % 7 * 1000003;
    case 4: return (uint32_t)((int32_t)x >> 5);
    case 5: return (uint32_t)((uint64_t)x * 0x9e3779b97f4a7c15u >> 32);
    case 6: return x == 0 ? 32 : x << __builtin_clz(x) | (uint32_t)__builtin_ctz(x);
    default: return x + (uint32_t)__builtin_popcount(x);
  }
}

static void show(const char *name, uint64_t hash, int digits) {
  put_text(name);
  put(' ');
  put_hex(hash, digits);
  put('\n');
}

int main(void) {
  uint64_t seed = 99;
  for (int i = 0; i < LENGTH; i++) data[i] = (uint8_t)next_random(&seed);
  static const uint8_t check[] = "123456789";
  show("crc32 check", crc32(check, 9), 8);
  show("adler32 check", adler32(check, 9), 8);
  show("fnv32", fnv32(data, LENGTH), 8);
  show("fnv64", fnv64(data, LENGTH), 16);
  show("crc32", crc32(data, LENGTH), 8);
  show("adler32", adler32(data, LENGTH), 8);
  show("sip", sip(data, LENGTH), 16);

  uint32_t mix = 12345;
  for (int i = 0; i < 1000; i++) mix = mixed(mix, i * 5) + (uint32_t)i;
  show("mixed", mix, 8);

  uint16_t counts[BUCKETS] = {0};
  for (int i = 0; i < LENGTH; i++) counts[fnv32(data + i, (size_t)(LENGTH - i < 5 ? 1 : 5)) % BUCKETS]++;
  for (int i = 0; i < BUCKETS; i++) {
    put_decimal(counts[i]);
    put(i == BUCKETS - 1 ? '\n' : ' ');
  }
  return 0;
}
