// The runtime of a C program as a guest: an entry point with a stack of its own, the debug console,
// and the four functions that gcc calls without being asked (GCC manual, "Standards").

#include "put.h"

// vCPU 0 runs main; the others have nothing to do.
__asm__(
    ".text\n"
    ".globl _start\n"
    ".type _start, @function\n"
    "_start:\n"
    "    test %edi, %edi\n"
    "    jnz 1f\n"
    "    lea stack_top(%rip), %rsp\n"
    "    xor %ebp, %ebp\n"
    "    call main\n"
    "1:  cli\n"
    "    hlt\n"
    "    jmp 1b\n"
    ".size _start, . - _start\n");

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
