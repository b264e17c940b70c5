// What a test program may use: one function that prints a character, and numbers made of it. As a
// guest it is runtime/guest.c, natively runtime/native.c.

#ifndef PUT_H
#define PUT_H

#include <stddef.h>
#include <stdint.h>

void put(char c);

static inline void put_text(const char *text) {
  while (*text != 0) put(*text++);
}

static inline void put_hex(uint64_t value, int digits) {
  while (digits-- > 0) put("0123456789abcdef"[value >> (4 * digits) & 15]);
}

static inline void put_decimal(uint64_t value) {
  char digits[20];
  int count = 0;
  do {
    digits[count++] = (char)('0' + value % 10);
    value /= 10;
  } while (value != 0);
  while (count > 0) put(digits[--count]);
}

static inline void put_line(const char *name, uint64_t value) {
  put_text(name);
  put_text(": ");
  put_decimal(value);
  put('\n');
}

// Knuth's MMIX constants; the same numbers everywhere.
static inline uint64_t next_random(uint64_t *state) {
  *state = *state * 6364136223846793005u + 1442695040888963407u;
  return *state >> 33;
}

#endif
