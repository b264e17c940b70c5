/*
 * Executes single instructions on the processor of this machine, in user mode, and tells what came
 * of them. Reads batches of requests from standard input, writes a response for each to standard
 * output; test/silicon/protocol.ts is the other end, and says what the numbers mean.
 *
 * Code and data lie at fixed addresses below 4 GiB with nothing else near them; the program itself
 * is linked far above, so that an address of 32 bits that went astray faults instead of hitting it.
 * No C library: an instruction may leave FS, GS, SSE and any flag in any state.
 * Build: cc -O2 -fpie -ffreestanding -fno-stack-protector -mgeneral-regs-only -nostdlib -static
 *        -Wl,-Ttext-segment=0x600000000000 -o oracle oracle.c
 */

#include <asm/ldt.h>
#include <asm/prctl.h>
#include <asm/unistd.h>
#include <linux/mman.h>
#include <linux/signal.h>
/* These need the ones above. */
#include <asm/sigcontext.h>
#include <asm/ucontext.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE 4096
#define CODE 0x14561000ul
#define DATA 0x26785000ul
/* The second page of data is read-only. */
#define DATA_PAGES 2
/* What IRETQ pops; a return to a 16-bit stack leaves the upper half of ESP as it is there. */
#define FRAME 0x33440000ul
/* The way from code of 16 or 32 bits back to us. */
#define WAY_BACK 0x33441000ul
#define MAGIC 0x314f4c49u
#define WINDOW_WORDS (PAGE / 8)
#define MAX_POKES 16

/* How a request wants its code executed. */
#define SINGLE_STEP 1
#define AT_PAGE_END 2
#define VECTORS 4
#define SEGMENTS 8
/* In code of 32 bits, flat but for FS and GS, or of 16 bits with all segments over code and data. */
#define CODE32 16
#define CODE16 32

#define USER_CODE32 0x23
#define USER_DATA 0x2b
#define LDT_SELECTOR(index) ((index) << 3 | 7)
#define LDT_CODE16 LDT_SELECTOR(0)
#define LDT_DATA16 LDT_SELECTOR(1)
#define LDT_DOWN LDT_SELECTOR(2)
#define LDT_READ_ONLY LDT_SELECTOR(3)

struct batch {
  uint32_t magic;
  uint32_t count;
  uint32_t bytes;
  uint32_t reserved;
  uint8_t data[DATA_PAGES * PAGE];
};

/* Registers of FPU and SSE, and MXCSR, as FXSAVE64 stores them. */
struct vectors {
  uint8_t image[512];
};

/* Followed by pokes, and by vectors if it says so. */
struct request {
  uint64_t registers[16];
  uint64_t rflags;
  uint64_t fs_base;
  uint64_t gs_base;
  uint8_t code[16];
  uint8_t code_bytes;
  uint8_t mode;
  uint8_t poke_count;
  uint8_t reserved[5];
};

/* Eight bytes to write somewhere in the first page of data beforehand. */
struct word {
  uint64_t offset;
  uint64_t value;
};

/* Followed by the words of data that changed, and by vectors if they were asked for. */
struct response {
  uint64_t registers[16];
  uint64_t rflags;
  uint64_t rip;
  uint64_t cr2;
  uint32_t error_code;
  uint8_t trap;
  uint8_t signal;
  uint16_t changed;
  uint64_t fs_base;
  uint64_t gs_base;
  uint16_t selectors[4];
  /* Where a signal found the processor; 0 without one. */
  uint16_t code_selector;
  uint16_t reserved[3];
};

#define NO_TRAP 0xff
/* Named in assembly, and reached without a table of offsets. */
#define HIDDEN __attribute__((visibility("hidden")))

/* What the trampoline loads and stores; order of registers as in instructions. */
struct exchange {
  uint64_t registers[16];
  uint64_t rflags;
  uint64_t host_rsp;
};

HIDDEN struct exchange exchange __attribute__((aligned(64)));
static struct vectors vectors __attribute__((aligned(64)));
static struct response *volatile pending;
static uint16_t host_cs, host_ss;
static uint8_t *code_alias;
static uint8_t input[1 << 24] __attribute__((aligned(64)));
static uint8_t output[1 << 20] __attribute__((aligned(64)));
static size_t output_bytes;
static uint8_t signal_stack[1 << 16] __attribute__((aligned(64)));

HIDDEN void enter(void);
HIDDEN void leave(void);
HIDDEN void resume(void);
HIDDEN void restore(void);

#define AT(offset) "exchange+" #offset "(%rip)"

__asm__(
    ".text\n"
    ".globl enter, leave, resume, restore\n"
    "enter:\n"
    "  push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
    "  mov %rsp, " AT(136) "\n"
    "  mov $0x33440000, %esp\n"
    "  mov " AT(0) ", %rax\n  mov " AT(8) ", %rcx\n  mov " AT(16) ", %rdx\n"
    "  mov " AT(24) ", %rbx\n  mov " AT(40) ", %rbp\n  mov " AT(48) ", %rsi\n"
    "  mov " AT(56) ", %rdi\n  mov " AT(64) ", %r8\n  mov " AT(72) ", %r9\n"
    "  mov " AT(80) ", %r10\n  mov " AT(88) ", %r11\n  mov " AT(96) ", %r12\n"
    "  mov " AT(104) ", %r13\n  mov " AT(112) ", %r14\n  mov " AT(120) ", %r15\n"
    "  iretq\n"
    /* Reached by the jump behind the instruction; MOV leaves the flags alone. */
    "leave:\n"
    "  mov %rax, " AT(0) "\n  mov %rcx, " AT(8) "\n  mov %rdx, " AT(16) "\n"
    "  mov %rbx, " AT(24) "\n  mov %rsp, " AT(32) "\n  mov %rbp, " AT(40) "\n"
    "  mov %rsi, " AT(48) "\n  mov %rdi, " AT(56) "\n  mov %r8, " AT(64) "\n"
    "  mov %r9, " AT(72) "\n  mov %r10, " AT(80) "\n  mov %r11, " AT(88) "\n"
    "  mov %r12, " AT(96) "\n  mov %r13, " AT(104) "\n  mov %r14, " AT(112) "\n"
    "  mov %r15, " AT(120) "\n"
    "  mov $0x2b, %eax\n  mov %eax, %ss\n"
    "  mov " AT(136) ", %rsp\n"
    "  pushfq\n  popq " AT(128) "\n"
    "  pushq $0x202\n  popfq\n"
    /* Reached from the signal handler. */
    "resume:\n"
    "  pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
    "  ret\n"
    "restore:\n"
    "  mov $15, %eax\n" /* rt_sigreturn */
    "  syscall\n"
    ".globl _start\n"
    "_start:\n"
    "  and $-16, %rsp\n"
    "  call run\n");

static long call(long number, long a, long b, long c, long d, long e, long f) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  long result;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static _Noreturn void quit(int status) {
  for (;;) call(__NR_exit_group, status, 0, 0, 0, 0, 0);
}

static void check(long result, int status) {
  if (result < 0 && result > -PAGE) quit(status);
}

/* gcc may call these for copies of structures, C library or not. */
void *memcpy(void *to, const void *from, size_t bytes) {
  void *start = to;
  __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
  return start;
}

void *memset(void *to, int value, size_t bytes) {
  void *start = to;
  __asm__ volatile("rep stosb" : "+D"(to), "+c"(bytes) : "a"(value) : "memory");
  return start;
}

/* The state at the signal becomes the response, and execution goes on behind `enter`. */
static void handle(int signal, siginfo_t *info, void *context) {
  /* The kernel clears TF and DF for a handler, but not AC. */
  __asm__ volatile("pushq $0x202\n  popfq" : : : "memory", "cc");
  struct sigcontext *at = &((struct ucontext *)context)->uc_mcontext;
  struct response *response = pending;
  (void)info;
  if (response == NULL) quit(3);
  const uint64_t registers[16] = {at->rax, at->rcx, at->rdx, at->rbx, at->rsp, at->rbp,
                                  at->rsi, at->rdi, at->r8,  at->r9,  at->r10, at->r11,
                                  at->r12, at->r13, at->r14, at->r15};
  for (int i = 0; i < 16; i++) exchange.registers[i] = registers[i];
  exchange.rflags = at->eflags;
  response->rip = at->rip;
  response->cr2 = at->cr2;
  response->error_code = (uint32_t)at->err;
  response->trap = (uint8_t)at->trapno;
  response->signal = (uint8_t)signal;
  response->code_selector = at->cs;
  at->cs = host_cs;
  at->ss = host_ss;
  at->rip = (uint64_t)resume;
  at->rsp = exchange.host_rsp;
  at->eflags = 0x202;
}

struct kernel_sigaction {
  void (*handler)(int, siginfo_t *, void *);
  uint64_t flags;
  void (*restorer)(void);
  uint64_t mask;
};

#define KERNEL_SA_RESTORER 0x04000000ul

static void catch_signals(void) {
  static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGALRM};
  stack_t stack = {.ss_sp = signal_stack, .ss_flags = 0, .ss_size = sizeof signal_stack};
  check(call(__NR_sigaltstack, (long)&stack, 0, 0, 0, 0, 0), 4);
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
    struct kernel_sigaction action = {
        .handler = handle,
        .flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | KERNEL_SA_RESTORER,
        .restorer = restore,
        .mask = 0,
    };
    check(call(__NR_rt_sigaction, signals[i], (long)&action, 0, 8, 0, 0), 5);
  }
}

/* JMP to the address behind it. */
static const uint8_t jump_through[6] = {0xff, 0x25, 0, 0, 0, 0};

/* Code is written through another mapping, so that no instruction can write to it. */
static void map_memory(void) {
  const long fixed = MAP_SHARED | MAP_FIXED_NOREPLACE;
  long file = call(__NR_memfd_create, (long)"code", 0, 0, 0, 0, 0);
  check(file, 6);
  check(call(__NR_ftruncate, file, PAGE, 0, 0, 0, 0), 6);
  check(call(__NR_mmap, CODE, PAGE, PROT_READ | PROT_EXEC, fixed, file, 0), 6);
  long alias = call(__NR_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  check(alias, 6);
  code_alias = (uint8_t *)alias;
  memset(code_alias, 0xcc, PAGE);
  const long anonymous = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  const long writable = PROT_READ | PROT_WRITE;
  check(call(__NR_mmap, DATA, DATA_PAGES * PAGE, writable, anonymous, -1, 0), 6);
  check(call(__NR_mmap, FRAME, PAGE, writable, anonymous, -1, 0), 6);
  check(call(__NR_mmap, WAY_BACK, PAGE, writable, anonymous, -1, 0), 6);
  const uint64_t back = (uint64_t)leave;
  memcpy((uint8_t *)WAY_BACK, jump_through, sizeof jump_through);
  memcpy((uint8_t *)WAY_BACK + sizeof jump_through, &back, sizeof back);
  check(call(__NR_mprotect, WAY_BACK, PAGE, PROT_READ | PROT_EXEC, 0, 0, 0), 6);
}

#define DATA_CONTENTS 0
#define DOWN_CONTENTS 1
#define CODE_CONTENTS 2

/* test/silicon/interpreter.ts has the same descriptors. */
static void describe_segments(void) {
  const struct user_desc segments[] = {
      {.entry_number = 0, .base_addr = CODE, .limit = 2 * PAGE - 1, .contents = CODE_CONTENTS},
      {.entry_number = 1, .base_addr = DATA, .limit = DATA_PAGES * PAGE - 1},
      {.entry_number = 2, .base_addr = DATA, .limit = 0x7ff, .contents = DOWN_CONTENTS},
      {.entry_number = 3, .base_addr = DATA + 8, .limit = 0x3ff, .read_exec_only = 1},
  };
  for (size_t i = 0; i < sizeof segments / sizeof *segments; i++) {
    check(call(__NR_modify_ldt, 0x11, (long)&segments[i], sizeof *segments, 0, 0, 0), 11);
  }
}

static void read_fully(void *to, size_t bytes) {
  for (size_t done = 0; done < bytes;) {
    long got = call(__NR_read, 0, (long)((uint8_t *)to + done), (long)(bytes - done), 0, 0, 0);
    if (got == 0 && done == 0) quit(0);
    if (got <= 0) quit(7);
    done += (size_t)got;
  }
}

static void flush(void) {
  for (size_t done = 0; done < output_bytes;) {
    long put = call(__NR_write, 1, (long)(output + done), (long)(output_bytes - done), 0, 0, 0);
    if (put <= 0) quit(8);
    done += (size_t)put;
  }
  output_bytes = 0;
}

static void load_vectors(const struct vectors *from) {
  vectors = *from;
  __asm__ volatile("fxrstor64 %0" : : "m"(vectors));
}

static void store_vectors(void) {
  __asm__ volatile("fxsave64 %0" : "=m"(vectors));
}

static void set_legacy_segments(unsigned data) {
  const unsigned down = LDT_DOWN, read_only = LDT_READ_ONLY;
  __asm__ volatile("mov %0, %%ds\n  mov %0, %%es" : : "r"(data));
  __asm__ volatile("mov %0, %%fs\n  mov %1, %%gs" : : "r"(down), "r"(read_only));
}

/* Selectors zero, bases as given: what 64-bit programs find. */
static void set_segments(uint64_t fs_base, uint64_t gs_base) {
  __asm__ volatile("mov %0, %%ds\n  mov %0, %%es\n  mov %0, %%fs\n  mov %0, %%gs" : : "r"(0));
  call(__NR_arch_prctl, ARCH_SET_FS, (long)fs_base, 0, 0, 0, 0);
  call(__NR_arch_prctl, ARCH_SET_GS, (long)gs_base, 0, 0, 0, 0);
}

static void get_segments(struct response *response) {
  uint16_t *selectors = response->selectors;
  __asm__ volatile("mov %%es, %0\n  mov %%ds, %1\n  mov %%fs, %2\n  mov %%gs, %3"
                   : "=m"(selectors[0]), "=m"(selectors[1]), "=m"(selectors[2]),
                     "=m"(selectors[3]));
  call(__NR_arch_prctl, ARCH_GET_FS, (long)&response->fs_base, 0, 0, 0, 0);
  call(__NR_arch_prctl, ARCH_GET_GS, (long)&response->gs_base, 0, 0, 0, 0);
}

/* A far jump to 64-bit code at the way back. */
static unsigned place_far_jump(uint8_t *at, unsigned mode) {
  const uint32_t target = WAY_BACK;
  uint8_t *start = at;
  if (mode & CODE16) *at++ = 0x66;
  *at++ = 0xea;
  memcpy(at, &target, 4);
  memcpy(at + 4, &host_cs, 2);
  return (unsigned)(at + 6 - start);
}

/* Where the instruction starts. In the middle of things a jump back to us follows it. */
static uint64_t place(const struct request *request) {
  const unsigned bytes = request->code_bytes;
  if (request->mode & AT_PAGE_END) {
    memset(code_alias + PAGE - 32, 0xcc, 32);
    memcpy(code_alias + PAGE - bytes, request->code, bytes);
    return CODE + PAGE - bytes;
  }
  memcpy(code_alias, request->code, bytes);
  unsigned end = bytes;
  if (request->mode & (CODE16 | CODE32)) {
    end += place_far_jump(code_alias + bytes, request->mode);
  } else {
    memcpy(code_alias + bytes, (const uint8_t *)WAY_BACK, 14);
    end += 14;
  }
  memset(code_alias + end, 0xcc, 48 - end);
  return CODE;
}

static void execute(const struct request *request, const struct word *pokes,
                    const struct vectors *before, struct response *response) {
  uint8_t *data = (uint8_t *)DATA;
  for (unsigned i = 0; i < request->poke_count; i++) {
    memcpy(data + (pokes[i].offset & (PAGE - 8)), &pokes[i].value, 8);
  }
  memset(response, 0, sizeof *response);
  response->trap = NO_TRAP;
  const unsigned mode = request->mode;
  const uint64_t start = place(request) - (mode & CODE16 ? CODE : 0);
  const uint16_t cs = mode & CODE32 ? USER_CODE32 : mode & CODE16 ? LDT_CODE16 : host_cs;
  const uint16_t ss = mode & CODE16 ? LDT_DATA16 : host_ss;
  for (int i = 0; i < 16; i++) exchange.registers[i] = request->registers[i];
  const uint64_t flags = request->rflags | (request->mode & SINGLE_STEP ? 0x100 : 0);
  const uint64_t frame[5] = {start, cs, flags, request->registers[4], ss};
  memcpy((void *)FRAME, frame, sizeof frame);
  if (mode & CODE32) set_legacy_segments(USER_DATA);
  else if (mode & CODE16) set_legacy_segments(LDT_DATA16);
  else set_segments(request->fs_base, request->gs_base);
  if (before != NULL) load_vectors(before);
  pending = response;
  enter();
  pending = NULL;
  if (before != NULL) store_vectors();
  if (request->mode & SEGMENTS) get_segments(response);
  if (response->trap == NO_TRAP) response->rip = start + request->code_bytes;
  for (int i = 0; i < 16; i++) response->registers[i] = exchange.registers[i];
  response->rflags = exchange.rflags;
}

/* Report and undo what an instruction did to the first page of data. */
static void report_changes(const uint8_t *pristine, struct response *response) {
  uint64_t *data = (uint64_t *)DATA;
  const uint64_t *before = (const uint64_t *)pristine;
  for (unsigned i = 0; i < WINDOW_WORDS; i++) {
    if (data[i] == before[i]) continue;
    const struct word change = {8 * i, data[i]};
    memcpy(output + output_bytes, &change, sizeof change);
    output_bytes += sizeof change;
    response->changed++;
    data[i] = before[i];
  }
}

static void run_batch(const struct batch *batch) {
  const uint8_t *at = input;
  call(__NR_mprotect, DATA, DATA_PAGES * PAGE, PROT_READ | PROT_WRITE, 0, 0, 0);
  memcpy((void *)DATA, batch->data, sizeof batch->data);
  call(__NR_mprotect, DATA + PAGE, (DATA_PAGES - 1) * PAGE, PROT_READ, 0, 0, 0);
  /* A batch takes well under a second; what never ends shows up as SIGALRM. */
  call(__NR_alarm, 10, 0, 0, 0, 0, 0);
  for (uint32_t i = 0; i < batch->count; i++) {
    const struct request *request = (const struct request *)at;
    const struct word *pokes = (const struct word *)(request + 1);
    const struct vectors *before = NULL;
    if (request->code_bytes > 16 || request->poke_count > MAX_POKES) quit(9);
    at = (const uint8_t *)(pokes + request->poke_count);
    if (request->mode & VECTORS) {
      before = (const struct vectors *)at;
      at += sizeof *before;
    }
    if (output_bytes > sizeof output - 3 * PAGE) flush();
    struct response *response = (struct response *)(output + output_bytes);
    execute(request, pokes, before, response);
    output_bytes += sizeof *response;
    report_changes(batch->data, response);
    if (before != NULL) {
      memcpy(output + output_bytes, &vectors, sizeof vectors);
      output_bytes += sizeof vectors;
    }
  }
  call(__NR_alarm, 0, 0, 0, 0, 0, 0);
  flush();
}

__attribute__((used)) void run(void) {
  static struct batch batch;
  __asm__("mov %%cs, %0\n  mov %%ss, %1" : "=r"(host_cs), "=r"(host_ss));
  map_memory();
  describe_segments();
  catch_signals();
  for (;;) {
    read_fully(&batch, sizeof batch);
    if (batch.magic != MAGIC || batch.bytes > sizeof input) quit(10);
    read_fully(input, batch.bytes);
    run_batch(&batch);
  }
}
