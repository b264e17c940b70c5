// Arithmetic on numbers of many words: carries, borrows, and products of 128 bits.

#include "put.h"

#define BITS 640
#define WORDS (BITS / WORD_BITS)

// As wide as the processor's registers, and twice that.
#ifdef __SIZEOF_INT128__
#define WORD_BITS 64
typedef uint64_t Word;
__extension__ typedef unsigned __int128 Wide;
#else
#define WORD_BITS 32
typedef uint32_t Word;
typedef uint64_t Wide;
#endif

typedef struct {
  Word word[WORDS];
} Big;

static Big big_of(Word value) {
  Big result = {{0}};
  result.word[0] = value;
  return result;
}

static Big add(const Big *a, const Big *b) {
  Big sum;
  unsigned carry = 0;
  for (int i = 0; i < WORDS; i++) {
    Wide wide = (Wide)a->word[i] + b->word[i] + carry;
    sum.word[i] = (Word)wide;
    carry = (unsigned)(wide >> WORD_BITS);
  }
  return sum;
}

static Big subtract(const Big *a, const Big *b) {
  Big difference;
  Word borrow = 0;
  for (int i = 0; i < WORDS; i++) {
    Word first = a->word[i] - b->word[i];
    Word second = first - borrow;
    borrow = (a->word[i] < b->word[i]) | (first < borrow);
    difference.word[i] = second;
  }
  return difference;
}

static Big multiply(const Big *a, const Big *b) {
  Big product = {{0}};
  for (int i = 0; i < WORDS; i++) {
    Word carry = 0;
    for (int j = 0; i + j < WORDS; j++) {
      Wide wide = (Wide)a->word[i] * b->word[j] + product.word[i + j] + carry;
      product.word[i + j] = (Word)wide;
      carry = (Word)(wide >> WORD_BITS);
    }
  }
  return product;
}

// By 32 bits at a time, so that no division is wider than 64 bits.
static uint32_t divide(Big *a, uint32_t by) {
  uint64_t rest = 0;
  for (int i = WORDS; i-- > 0;) {
    Word quotient = 0;
    for (int shift = WORD_BITS - 32; shift >= 0; shift -= 32) {
      uint64_t part = rest << 32 | (uint32_t)(a->word[i] >> shift);
      quotient |= (Word)(part / by) << shift;
      rest = part % by;
    }
    a->word[i] = quotient;
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
  static char digits[BITS / 3];
  int count = 0;
  do digits[count++] = (char)('0' + divide(&a, 10));
  while (!is_zero(&a));
  put_text(name);
  put_text(" = ");
  while (count > 0) put(digits[--count]);
  put('\n');
}

// The upper half of a product.
static uint64_t multiply_high(int64_t a, int64_t b) {
#ifdef __SIZEOF_INT128__
  __extension__ __int128 product = (__int128)a * b;
  return (uint64_t)(product >> 64);
#else
  uint64_t low = (uint64_t)(uint32_t)a * (uint32_t)b;
  int64_t middle = (a >> 32) * (int64_t)(uint32_t)b + (int64_t)(low >> 32);
  int64_t other = (int64_t)(uint32_t)a * (b >> 32) + (uint32_t)middle;
  return (uint64_t)((a >> 32) * (b >> 32) + (middle >> 32) + (other >> 32));
#endif
}

// Signed arithmetic at the edges, where a compiler reaches for CQO, SBB and conditional moves.
static void show_signed(int64_t a, int64_t b) {
  put_hex(multiply_high(a, b), 16);
  put_hex((uint64_t)a * (uint64_t)b, 16);
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
  for (Word i = 2; i <= 100; i++) {
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
