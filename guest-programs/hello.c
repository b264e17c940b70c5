// A guest in C: every vCPU says hello, one after the other. Build and run it with
//
//   gcc -O2 -g -ffreestanding -mno-red-zone -fno-pic -static -nostdlib \
//     -o hello.elf guest-programs/hello.c
//   npx vmxlab run hello.elf --vcpus 4
//
// Guests have neither a C library nor floating point nor SSE; docs/guest-programs.md says what they
// have.

typedef unsigned long u64;

static volatile u64 turn;

static void put(char c) { __asm__ volatile("outb %0, $0xe9" : : "a"(c)); }

static void print(const char *text) {
  while (*text != 0) put(*text++);
}

static void print_number(u64 value) {
  if (value >= 10) print_number(value / 10);
  put((char)('0' + value % 10));
}

// The loader puts these into RDI, RSI and RDX, where C functions look for their first arguments.
void guest(u64 index, u64 count, u64 ram_bytes) {
  while (turn != index) __builtin_ia32_pause();
  print("Hello from vCPU ");
  print_number(index);
  print(" of ");
  print_number(count);
  print(", with ");
  print_number(ram_bytes >> 20);
  print(" MiB\n");
  turn++;
}

// RSP is aligned to 16 bytes, as before a CALL; there is nothing to return to but a HLT.
__asm__(
    ".globl _start\n"
    "_start:\n"
    "    call guest\n"
    "    cli\n"
    "    hlt\n");
