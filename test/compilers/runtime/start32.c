// The entry point of a C program as a multiboot image, in 32-bit protected mode. With it comes what
// gcc calls for 64-bit numbers and does not bring itself where 32-bit libraries are missing (GCC
// Internals, "The GCC low-level runtime library").

#include <stdint.h>

// The processor that starts runs main; the others wait for an interrupt that nobody sends.
__asm__(
    ".section .multiboot, \"a\"\n"
    "    .balign 4\n"
    "    .long 0x1badb002, 0, -0x1badb002\n"
    ".text\n"
    ".globl _start\n"
    ".type _start, @function\n"
    "_start:\n"
    "    mov $stack_top, %esp\n"
    "    xor %ebp, %ebp\n"
    "    call main\n"
    "1:  cli\n"
    "    hlt\n"
    "    jmp 1b\n"
    ".size _start, . - _start\n");

// In two steps of the DIV instruction.
static uint64_t divide_short(uint64_t value, uint32_t by, uint64_t *rest) {
  uint32_t high = (uint32_t)(value >> 32), low = (uint32_t)value, part = high % by;
  __asm__("divl %2" : "+a"(low), "+d"(part) : "rm"(by) : "cc");
  if (rest != 0) *rest = part;
  return (uint64_t)(high / by) << 32 | low;
}

uint64_t __udivmoddi4(uint64_t value, uint64_t by, uint64_t *rest) {
  if (by >> 32 == 0) return divide_short(value, (uint32_t)by, rest);
  uint64_t quotient = 0, part = 0;
  for (int i = 63; i >= 0; i--) {
    uint64_t carried = part >> 63;
    part = part << 1 | (value >> i & 1);
    if (carried || part >= by) {
      part -= by;
      quotient |= (uint64_t)1 << i;
    }
  }
  if (rest != 0) *rest = part;
  return quotient;
}

static uint64_t magnitude(int64_t value) { return value < 0 ? -(uint64_t)value : (uint64_t)value; }

int64_t __divmoddi4(int64_t value, int64_t by, int64_t *rest) {
  uint64_t part;
  uint64_t quotient = __udivmoddi4(magnitude(value), magnitude(by), &part);
  if (rest != 0) *rest = (int64_t)(value < 0 ? -part : part);
  return (int64_t)((value < 0) != (by < 0) ? -quotient : quotient);
}

uint64_t __udivdi3(uint64_t value, uint64_t by) { return __udivmoddi4(value, by, 0); }

uint64_t __umoddi3(uint64_t value, uint64_t by) {
  uint64_t rest;
  __udivmoddi4(value, by, &rest);
  return rest;
}

int64_t __divdi3(int64_t value, int64_t by) { return __divmoddi4(value, by, 0); }

int64_t __moddi3(int64_t value, int64_t by) {
  int64_t rest;
  __divmoddi4(value, by, &rest);
  return rest;
}

int __popcountsi2(unsigned value) {
  int count = 0;
  for (; value != 0; value &= value - 1) count++;
  return count;
}
