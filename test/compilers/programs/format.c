// A formatter like printf, with variable arguments. Natively it is built with REFERENCE, and then
// the C library's own printf says what is right.

#ifdef REFERENCE

#include <stdio.h>
#define print printf

#else

#include <stdarg.h>
#include "put.h"

typedef struct {
  int left, zero, plus, space, alternate;
  int width, precision;
} Spec;

static void pad(int count, char c) {
  while (count-- > 0) put(c);
}

static void print_padded(const char *text, int length, const Spec *spec) {
  if (!spec->left) pad(spec->width - length, ' ');
  for (int i = 0; i < length; i++) put(text[i]);
  if (spec->left) pad(spec->width - length, ' ');
}

static void print_number(uint64_t value, int negative, unsigned base, int capital, Spec *spec) {
  const char *symbols = capital ? "0123456789ABCDEF" : "0123456789abcdef";
  char digits[64], text[128];
  int count = 0, length = 0;
  for (uint64_t rest = value; rest != 0; rest /= base) digits[count++] = symbols[rest % base];
  if (count == 0 && spec->precision != 0) digits[count++] = '0';
  if (negative) text[length++] = '-';
  else if (spec->plus) text[length++] = '+';
  else if (spec->space) text[length++] = ' ';
  if (spec->alternate && base == 16 && value != 0) {
    text[length++] = '0';
    text[length++] = capital ? 'X' : 'x';
  }
  int zeros = spec->precision - count;
  if (spec->precision < 0 && spec->zero && !spec->left) zeros = spec->width - count - length;
  while (zeros-- > 0) text[length++] = '0';
  while (count > 0) text[length++] = digits[--count];
  print_padded(text, length, spec);
}

static const char *read_spec(const char *p, Spec *spec, va_list *arguments) {
  *spec = (Spec){.precision = -1};
  for (;; p++) {
    if (*p == '-') spec->left = 1;
    else if (*p == '0') spec->zero = 1;
    else if (*p == '+') spec->plus = 1;
    else if (*p == ' ') spec->space = 1;
    else if (*p == '#') spec->alternate = 1;
    else break;
  }
  if (*p == '*') {
    spec->width = va_arg(*arguments, int);
    p++;
  }
  for (; *p >= '0' && *p <= '9'; p++) spec->width = spec->width * 10 + (*p - '0');
  if (*p == '.') {
    spec->precision = 0;
    for (p++; *p >= '0' && *p <= '9'; p++) spec->precision = spec->precision * 10 + (*p - '0');
  }
  return p;
}

static void print(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  for (const char *p = format; *p != 0; p++) {
    if (*p != '%') {
      put(*p);
      continue;
    }
    Spec spec;
    p = read_spec(p + 1, &spec, &arguments);
    int longs = 0;
    for (; *p == 'l'; p++) longs++;
    switch (*p) {
      case 'd': {
        int64_t value = longs ? va_arg(arguments, int64_t) : va_arg(arguments, int);
        uint64_t magnitude = value < 0 ? -(uint64_t)value : (uint64_t)value;
        print_number(magnitude, value < 0, 10, 0, &spec);
        break;
      }
      case 'u':
      case 'x':
      case 'X':
      case 'o': {
        uint64_t value = longs ? va_arg(arguments, uint64_t) : va_arg(arguments, unsigned);
        unsigned base = *p == 'u' ? 10 : *p == 'o' ? 8 : 16;
        print_number(value, 0, base, *p == 'X', &spec);
        break;
      }
      case 'c': {
        char c = (char)va_arg(arguments, int);
        print_padded(&c, 1, &spec);
        break;
      }
      case 's': {
        const char *text = va_arg(arguments, const char *);
        int length = 0;
        while (text[length] != 0 && length != spec.precision) length++;
        print_padded(text, length, &spec);
        break;
      }
      default:
        put(*p);
    }
  }
  va_end(arguments);
}

#endif

int main(void) {
  print("plain, 100%%\n");
  print("[%d] [%d] [%5d] [%-5d] [%05d] [%+d] [% d]\n", 0, -1, 42, 42, 42, 42, 42);
  print("[%d] [%d]\n", 2147483647, -2147483647 - 1);
  print("[%lld] [%lld]\n", 9223372036854775807LL, -9223372036854775807LL - 1);
  print("[%u] [%llu]\n", 4294967295u, 18446744073709551615ull);
  print("[%x] [%X] [%#x] [%08x] [%-8x] [%#llx]\n", 48879, 48879, 48879, 48879, 48879, 1ull << 63);
  print("[%o] [%6o]\n", 511, 8);
  print("[%.3d] [%8.3d] [%-8.3d] [%.0d]\n", 7, 7, -7, 0);
  print("[%c] [%3c] [%-3c]\n", 'x', 'y', 'z');
  print("[%s] [%8s] [%-8s] [%.2s] [%*s]\n", "text", "text", "text", "text", 6, "text");
  print("%d %d %d %d %d %d %d %d %d %s\n", 1, 2, 3, 4, 5, 6, 7, 8, 9, "and from the stack");
  for (int i = 0; i < 12; i++) print("%3d %5o %4x %12lld\n", i * i, i * i, i * i, (long long)i << 3 * i);
  return 0;
}
