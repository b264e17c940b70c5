// Arithmetic on numbers of many words: carries, borrows, and products of 128 bits.

#include "put.h"

#define WORDS 10

__extension__ typedef unsigned __int128 Wide;

typedef struct {
  uint64_t word[WORDS];
} Big;

static Big big_of(uint64_t value) {
  Big result = {{0}};
  result.word[0] = value;
  return result;
}

static Big add(const Big *a, const Big *b) {
  Big sum;
  unsigned carry = 0;
  for (int i = 0; i < WORDS; i++) {
    Wide wide = (Wide)a->word[i] + b->word[i] + carry;
    sum.word[i] = (uint64_t)wide;
    carry = (unsigned)(wide >> 64);
  }
  return sum;
}

static Big subtract(const Big *a, const Big *b) {
  Big difference;
  uint64_t borrow = 0;
  for (int i = 0; i < WORDS; i++) {
    uint64_t first = a->word[i] - b->word[i];
    uint64_t second = first - borrow;
    borrow = (a->word[i] < b->word[i]) | (first < borrow);
    difference.word[i] = second;
  }
  return difference;
}

static Big multiply(const Big *a, const Big *b) {
  Big product = {{0}};
  for (int i = 0; i < WORDS; i++) {
    uint64_t carry = 0;
    for (int j = 0; i + j < WORDS; j++) {
      Wide wide = (Wide)a->word[i] * b->word[j] + product.word[i + j] + carry;
      product.word[i + j] = (uint64_t)wide;
      carry = (uint64_t)(wide >> 64);
    }
  }
  return product;
}

// By halves of words, so that no division is wider than what it divides by.
static uint32_t divide(Big *a, uint32_t by) {
  uint64_t rest = 0;
  for (int i = WORDS; i-- > 0;) {
    uint64_t high = rest << 32 | a->word[i] >> 32;
    uint64_t low = high % by << 32 | (uint32_t)a->word[i];
    a->word[i] = high / by << 32 | low / by;
    rest = low % by;
  }
  return (uint32_t)rest;
}

static int is_zero(const Big *a) {
  for (int i = 0; i < WORDS; i++) {
    if (a->word[i] != 0) return 0;
  }
  return 1;
}

static void show(const char *name, Big a) {
  static char digits[WORDS * 20];
  int count = 0;
  do digits[count++] = (char)('0' + divide(&a, 10));
  while (!is_zero(&a));
  put_text(name);
  put_text(" = ");
  while (count > 0) put(digits[--count]);
  put('\n');
}

// Signed arithmetic at the edges, where a compiler reaches for CQO, SBB and conditional moves.
static void show_signed(int64_t a, int64_t b) {
  __extension__ __int128 product = (__int128)a * b;
  put_hex((uint64_t)(product >> 64), 16);
  put_hex((uint64_t)product, 16);
  put(' ');
  put_hex((uint64_t)(a / b), 16);
  put(' ');
  put_hex((uint64_t)(a % b), 16);
  put(' ');
  put_hex((uint64_t)(a < b ? a : b) >> 60, 1);
  put('\n');
}

int main(void) {
  Big factorial = big_of(1);
  for (uint64_t i = 2; i <= 100; i++) {
    Big factor = big_of(i);
    factorial = multiply(&factorial, &factor);
  }
  show("100!", factorial);

  Big a = big_of(0), b = big_of(1);
  for (int i = 0; i < 500; i++) {
    Big next = add(&a, &b);
    a = b;
    b = next;
  }
  show("fibonacci(500)", a);

  Big power = big_of(1), one = big_of(1);
  for (int i = 0; i < 521; i++) power = add(&power, &power);
  show("2^521-1", subtract(&power, &one));
  Big minus = subtract(&one, &power);
  Big sum = add(&minus, &power);
  show("1-2^521+2^521", sum);

  show_signed(-7, 2);
  show_signed(INT64_MIN, 3);
  show_signed(INT64_MAX, INT64_MIN);
  show_signed(-1, INT64_MAX);
  return 0;
}
