// The runtime of a C program as a guest: the debug console, and the four functions that gcc calls
// without being asked (GCC manual, "Standards"). The entry point is start64.c's or start32.c's.

#include "put.h"

void put(char c) { __asm__ volatile("outb %0, $0xe9" : : "a"(c)); }

void *memset(void *to, int value, size_t count) {
  void *start = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(count) : "a"(value) : "memory");
  return start;
}

void *memcpy(void *to, const void *from, size_t count) {
  void *start = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
  return start;
}

void *memmove(void *to, const void *from, size_t count) {
  if ((uintptr_t)to - (uintptr_t)from >= count) return memcpy(to, from, count);
  char *last = (char *)to + count - 1;
  const char *last_from = (const char *)from + count - 1;
  __asm__ volatile("std\n\trep movsb\n\tcld"
                   : "+D"(last), "+S"(last_from), "+c"(count)
                   :
                   : "memory");
  return to;
}

int memcmp(const void *a, const void *b, size_t count) {
  const unsigned char *x = a, *y = b;
  for (; count > 0; count--, x++, y++) {
    if (*x != *y) return *x - *y;
  }
  return 0;
}
