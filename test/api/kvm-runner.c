// Runs scripts of KVM API calls on the real /dev/kvm, one call a line, and prints what comes back,
// for comparison with our own API. See kvm-script.ts for the calls.

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>

#define PAGE_SIZE 4096
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RAM_BYTES = 1 << 20, LINE_BYTES = 1 << 16 };

static int kvm, vm = -1, vcpu = -1;
static uint8_t *ram;
static struct kvm_run *page;
static int page_bytes;
static unsigned answer;

static void fail(const char *what) {
  printf("failed %s %s\n", what, strerrorname_np(errno));
  fflush(stdout);
}

static void destroy(void) {
  if (vcpu >= 0) {
    munmap(page, page_bytes);
    close(vcpu);
  }
  if (vm >= 0) {
    close(vm);
    munmap(ram, RAM_BYTES);
  }
  vm = vcpu = -1;
}

static void create(int with_irqchip) {
  destroy();
  answer = 0x5a;
  vm = ioctl(kvm, KVM_CREATE_VM, 0);
  if (vm < 0) return fail("create_vm");
  if (with_irqchip && ioctl(vm, KVM_CREATE_IRQCHIP, 0) < 0) fail("create_irqchip");
  ram = mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  struct kvm_userspace_memory_region region = {
      .slot = 0, .memory_size = RAM_BYTES, .userspace_addr = (uint64_t)ram};
  if (ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) < 0) fail("region");
  vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
  if (vcpu < 0) return fail("create_vcpu");
  page_bytes = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  page = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
}

static __u64 *reg_named(struct kvm_regs *r, const char *name) {
  const struct { const char *name; __u64 *at; } all[] = {
      {"rax", &r->rax}, {"rbx", &r->rbx}, {"rcx", &r->rcx}, {"rdx", &r->rdx},
      {"rsi", &r->rsi}, {"rdi", &r->rdi}, {"rsp", &r->rsp}, {"rbp", &r->rbp},
      {"r8", &r->r8},   {"rip", &r->rip}, {"rflags", &r->rflags}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    if (strcmp(all[i].name, name) == 0) return all[i].at;
  return NULL;
}

static void set_reg(const char *name, uint64_t value) {
  struct kvm_regs regs;
  ioctl(vcpu, KVM_GET_REGS, &regs);
  __u64 *at = reg_named(&regs, name);
  if (at != NULL) *at = value;
  if (ioctl(vcpu, KVM_SET_REGS, &regs) < 0) fail("set_regs");
}

static struct kvm_segment flat(int selector, int type, int l, int db) {
  struct kvm_segment s = {.limit = 0xffffffff, .selector = selector, .type = type,
                          .present = 1, .db = db, .s = 1, .l = l, .g = 1};
  return s;
}

/** Real mode at 0, flat protected mode, or 64-bit mode with tables at CR3. */
static void set_mode(const char *mode, uint64_t cr3) {
  struct kvm_sregs s;
  ioctl(vcpu, KVM_GET_SREGS, &s);
  if (strcmp(mode, "real") == 0) {
    s.cs.base = 0;
    s.cs.selector = 0;
  } else {
    int is_long = strcmp(mode, "long") == 0;
    s.cs = flat(8, 11, is_long, !is_long);
    s.ds = s.es = s.fs = s.gs = s.ss = flat(16, 3, 0, 1);
    s.cr0 = is_long ? 0x80050033 : 0x11;
    if (is_long) {
      s.cr3 = cr3;
      s.cr4 = 0x20;
      s.efer = 0x500;
    }
  }
  if (ioctl(vcpu, KVM_SET_SREGS, &s) < 0) fail("set_sregs");
}

static void print_bytes(const char *name, const uint8_t *bytes, unsigned count) {
  printf(" %s=", name);
  for (unsigned i = 0; i < count; i++) printf("%02x", bytes[i]);
}

static void give_answer(uint8_t *bytes, unsigned count) {
  for (unsigned i = 0; i < count; i++) bytes[i] = answer++;
}

static void print_exit(void) {
  switch (page->exit_reason) {
    case KVM_EXIT_IO: {
      uint8_t *data = (uint8_t *)page + page->io.data_offset;
      unsigned bytes = page->io.size * page->io.count;
      printf("IO direction=%u size=%u port=%x count=%u offset=%llu", page->io.direction,
             page->io.size, page->io.port, page->io.count, page->io.data_offset);
      if (page->io.direction == KVM_EXIT_IO_OUT) print_bytes("data", data, bytes);
      else give_answer(data, bytes);
      break;
    }
    case KVM_EXIT_MMIO:
      printf("MMIO addr=%llx len=%u write=%u", page->mmio.phys_addr, page->mmio.len,
             page->mmio.is_write);
      if (page->mmio.is_write) print_bytes("data", page->mmio.data, page->mmio.len);
      else give_answer(page->mmio.data, page->mmio.len);
      break;
    case KVM_EXIT_DEBUG:
      // DR7 is left out: where the step was an emulated instruction's, the kernel leaves it alone.
      printf("DEBUG exception=%u pc=%llx dr6=%llx", page->debug.arch.exception,
             page->debug.arch.pc, page->debug.arch.dr6);
      break;
    case KVM_EXIT_INTERNAL_ERROR:
      printf("INTERNAL_ERROR suberror=%u", page->internal.suberror);
      break;
    case KVM_EXIT_FAIL_ENTRY:
      printf("FAIL_ENTRY reason=%llx", page->fail_entry.hardware_entry_failure_reason);
      break;
    case KVM_EXIT_HLT: printf("HLT"); break;
    case KVM_EXIT_SHUTDOWN: printf("SHUTDOWN"); break;
    case KVM_EXIT_IRQ_WINDOW_OPEN: printf("IRQ_WINDOW_OPEN"); break;
    case KVM_EXIT_SET_TPR: printf("SET_TPR"); break;
    case KVM_EXIT_INTR: printf("INTR"); break;
    default: printf("reason=%u", page->exit_reason); break;
  }
}

static void run(void) {
  int result = ioctl(vcpu, KVM_RUN, 0);
  if (result < 0) printf("%s ", strerrorname_np(errno));
  print_exit();
  struct kvm_regs r;
  ioctl(vcpu, KVM_GET_REGS, &r);
  printf(" rip=%llx rax=%llx rcx=%llx rdx=%llx rsi=%llx rdi=%llx rflags=%llx", r.rip, r.rax,
         r.rcx, r.rdx, r.rsi, r.rdi, r.rflags);
  printf(" if=%u ready=%u cr8=%llx apic=%llx\n", page->if_flag,
         page->ready_for_interrupt_injection, page->cr8, page->apic_base);
}

static int is_over(void) {
  return page->exit_reason == KVM_EXIT_HLT || page->exit_reason == KVM_EXIT_SHUTDOWN ||
         page->exit_reason == KVM_EXIT_INTERNAL_ERROR || page->exit_reason == KVM_EXIT_FAIL_ENTRY;
}

static void debug(unsigned control, uint64_t dr0, uint64_t dr7) {
  struct kvm_guest_debug d = {.control = control};
  d.arch.debugreg[0] = dr0;
  d.arch.debugreg[7] = dr7;
  if (ioctl(vcpu, KVM_SET_GUEST_DEBUG, &d) < 0) fail("set_guest_debug");
}

static void put(uint64_t gpa, const char *hex) {
  for (unsigned byte; sscanf(hex, "%2x", &byte) == 1; hex += 2) ram[gpa++] = byte;
}

static void show_segment(const char *name, const struct kvm_segment *s) {
  printf(" %s=%x/%llx/%x/%x%x%x%x%x%x%x%x%x", name, s->selector, s->base, s->limit, s->type, s->s,
         s->dpl, s->present, s->avl, s->l, s->db, s->g, s->unusable);
}

static void show_sregs(void) {
  struct kvm_sregs s;
  ioctl(vcpu, KVM_GET_SREGS, &s);
  printf("sregs");
  show_segment("cs", &s.cs);
  show_segment("ss", &s.ss);
  show_segment("ds", &s.ds);
  show_segment("tr", &s.tr);
  show_segment("ldt", &s.ldt);
  printf(" gdt=%llx/%x idt=%llx/%x cr0=%llx cr2=%llx cr3=%llx cr4=%llx cr8=%llx efer=%llx", s.gdt.base,
         s.gdt.limit, s.idt.base, s.idt.limit, s.cr0, s.cr2, s.cr3, s.cr4, s.cr8, s.efer);
  printf(" apic=%llx\n", s.apic_base);
}

static void show_debugregs(void) {
  struct kvm_debugregs d;
  ioctl(vcpu, KVM_GET_DEBUGREGS, &d);
  printf("debugregs dr6=%llx dr7=%llx\n", d.dr6, d.dr7);
}

/** struct kvm_sync_regs but for the end of the events, which depends on the kernel's version. */
static void show_page(void) {
  printf("page");
  print_bytes("regs", (uint8_t *)page->s.padding, 144);
  print_bytes("sregs", (uint8_t *)page->s.padding + 144, 312);
  print_bytes("events", (uint8_t *)page->s.padding + 456, 20);
  printf("\n");
}

static void show_chip(unsigned id) {
  struct kvm_irqchip state = {.chip_id = id};
  if (ioctl(vm, KVM_GET_IRQCHIP, &state) < 0) return fail("get_irqchip");
  if (id == KVM_IRQCHIP_IOAPIC) {
    struct kvm_ioapic_state *io = &state.chip.ioapic;
    printf("ioapic base=%llx select=%x id=%x irr=%x", io->base_address, io->ioregsel, io->id, io->irr);
    for (unsigned i = 0; i < 24; i++) printf(" %llx", io->redirtbl[i].bits);
    printf("\n");
    return;
  }
  print_bytes("pic", (uint8_t *)&state.chip.pic, sizeof state.chip.pic);
  printf("\n");
}

static int event = -1;

static void add_ioevent(unsigned flags, uint64_t addr, unsigned len, uint64_t match) {
  if (event < 0) event = eventfd(0, EFD_NONBLOCK);
  struct kvm_ioeventfd io = {.fd = event, .addr = addr, .len = len, .datamatch = match, .flags = flags};
  if (ioctl(vm, KVM_IOEVENTFD, &io) < 0) fail("ioeventfd");
}

static void show_event(void) {
  uint64_t count = 0;
  if (read(event, &count, sizeof count) < 0) printf("event %s\n", strerrorname_np(errno));
  else printf("event %llu\n", (unsigned long long)count);
}

/** struct kvm_pit_state2, but for the times, and low bytes that have been used. */
static void show_pit(void) {
  struct kvm_pit_state2 state = {0};
  if (ioctl(vm, KVM_GET_PIT2, &state) < 0) return fail("get_pit2");
  printf("pit flags=%x", state.flags);
  for (int i = 0; i < 3; i++) {
    struct kvm_pit_channel_state *c = &state.channels[i];
    printf(" %x/%x/%x/%x/%x/%x/%x/%x/%x/%x/%x/%x", c->count, c->latched_count, c->count_latched,
           c->status_latched, c->status, c->read_state, c->write_state,
           c->write_state == 4 ? c->write_latch : 0, c->rw_mode,
           c->mode, c->bcd, c->gate);
  }
  printf("\n");
}

/** Give back what KVM_GET_PIT2 gave, with another count of the second counter. */
static void set_pit(unsigned count) {
  struct kvm_pit_state2 state = {0};
  ioctl(vm, KVM_GET_PIT2, &state);
  state.channels[1].count = count;
  state.channels[1].mode = 3;
  state.channels[1].rw_mode = state.channels[1].read_state = state.channels[1].write_state = 3;
  if (ioctl(vm, KVM_SET_PIT2, &state) < 0) fail("set_pit2");
}

static void coalesce(unsigned pio, uint64_t addr, unsigned size) {
  struct kvm_coalesced_mmio_zone zone = {.addr = addr, .size = size, .pio = pio};
  if (ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &zone) < 0) fail("coalesced_mmio");
}

/** What waits in the ring, which is empty then. */
static void show_ring(void) {
  struct kvm_coalesced_mmio_ring *ring = (void *)((char *)page + 8192);
  printf("ring first=%x last=%x", ring->first, ring->last);
  unsigned count = 0;
  for (; ring->first != ring->last; ring->first = (ring->first + 1) % KVM_COALESCED_MMIO_MAX) {
    struct kvm_coalesced_mmio *entry = &ring->coalesced_mmio[ring->first];
    if (count++ >= 6) continue;
    printf(" %llx/%x/%x", entry->phys_addr, entry->len, entry->pio);
    print_bytes("", entry->data, entry->len);
  }
  printf(" count=%u\n", count);
}

/** Calls with a number for each argument; false for others. */
static int numeric_call(const char *word, unsigned long long a, unsigned long long b,
                        unsigned long long c, unsigned long long d) {
  if (strcmp(word, "sync") == 0) page->kvm_valid_regs = a;
  else if (strcmp(word, "dirty") == 0) page->kvm_dirty_regs = a;
  else if (strcmp(word, "poke") == 0) memcpy(page->s.padding + a, &b, sizeof b);
  else if (strcmp(word, "page") == 0) show_page();
  else if (strcmp(word, "chip") == 0) show_chip(a);
  else if (strcmp(word, "ioevent") == 0) add_ioevent(a, b, c, d);
  else if (strcmp(word, "event") == 0) show_event();
  else if (strcmp(word, "pit") == 0) {
    struct kvm_pit_config pit = {.flags = a};
    if (ioctl(vm, KVM_CREATE_PIT2, &pit) < 0) fail("create_pit2");
  } else if (strcmp(word, "pitstate") == 0) show_pit();
  else if (strcmp(word, "setpit") == 0) set_pit(a);
  else if (strcmp(word, "coalesce") == 0) coalesce(a, b, c);
  else if (strcmp(word, "ring") == 0) show_ring();
  else if (strcmp(word, "line") == 0) {
    struct kvm_irq_level level = {.irq = a, .level = b};
    if (ioctl(vm, KVM_IRQ_LINE, &level) < 0) fail("irq_line");
  } else return 0;
  return 1;
}

/** One call; prints nothing if it succeeds and gives nothing back. */
static void call(char *line) {
  char word[32] = "", text[32] = "";
  unsigned long long a = 0, b = 0, c = 0;
  static char hex[LINE_BYTES];
  sscanf(line, "%31s", word);
  if (strcmp(word, "new") == 0) create(0);
  else if (strcmp(word, "new_irqchip") == 0) create(1);
  else if (strcmp(word, "put") == 0 && sscanf(line, "%*s %llx %65535s", &a, hex) == 2) put(a, hex);
  else if (strcmp(word, "mode") == 0) {
    sscanf(line, "%*s %31s %llx", text, &a);
    set_mode(text, a);
  } else if (strcmp(word, "reg") == 0) {
    sscanf(line, "%*s %31s %llx", text, &a);
    set_reg(text, a);
  } else if (strcmp(word, "run") == 0) run();
  else if (strcmp(word, "go") == 0) {
    sscanf(line, "%*s %llu", &a);
    for (unsigned long long i = 0; i < a; i++) {
      run();
      if (is_over()) break;
    }
  } else if (strcmp(word, "debug") == 0) {
    sscanf(line, "%*s %llx %llx %llx", &a, &b, &c);
    debug(a, b, c);
  } else if (strcmp(word, "interrupt") == 0) {
    sscanf(line, "%*s %llx", &a);
    struct kvm_interrupt interrupt = {.irq = a};
    if (ioctl(vcpu, KVM_INTERRUPT, &interrupt) < 0) fail("interrupt");
  } else if (strcmp(word, "nmi") == 0) {
    if (ioctl(vcpu, KVM_NMI) < 0) fail("nmi");
  } else if (strcmp(word, "window") == 0) {
    sscanf(line, "%*s %llx", &a);
    page->request_interrupt_window = a;
  } else if (strcmp(word, "immediate") == 0) {
    sscanf(line, "%*s %llx", &a);
    page->immediate_exit = a;
  } else if (strcmp(word, "sregs") == 0) show_sregs();
  else if (strcmp(word, "debugregs") == 0) show_debugregs();
  else {
    unsigned long long d = 0;
    sscanf(line, "%*s %llx %llx %llx %llx", &a, &b, &c, &d);
    if (!numeric_call(word, a, b, c, d)) printf("unknown call %s\n", word);
  }
}

static void report(const char *name, int result) {
  printf("%s %s\n", name, result < 0 ? strerrorname_np(errno) : "0");
}

static void route(const char *name, struct kvm_irq_routing_entry entry, unsigned flags) {
  struct {
    struct kvm_irq_routing head;
    struct kvm_irq_routing_entry entries[1];
  } table = {.head = {.nr = 1, .flags = flags}, .entries = {entry}};
  report(name, ioctl(vm, KVM_SET_GSI_ROUTING, &table));
}

static struct kvm_irq_routing_entry to_pin(unsigned gsi, unsigned chip, unsigned pin) {
  struct kvm_irq_routing_entry entry = {.gsi = gsi, .type = KVM_IRQ_ROUTING_IRQCHIP};
  entry.u.irqchip.irqchip = chip;
  entry.u.irqchip.pin = pin;
  return entry;
}

static void routing_errors(void) {
  route("routing", to_pin(0, KVM_IRQCHIP_IOAPIC, 2), 0);
  route("routing_flags", to_pin(0, KVM_IRQCHIP_IOAPIC, 2), 1);
  route("routing_gsi_4095", to_pin(4095, KVM_IRQCHIP_IOAPIC, 2), 0);
  route("routing_gsi_4096", to_pin(4096, KVM_IRQCHIP_IOAPIC, 2), 0);
  route("routing_ioapic_pin_24", to_pin(0, KVM_IRQCHIP_IOAPIC, 24), 0);
  route("routing_pic_pin_8", to_pin(0, KVM_IRQCHIP_PIC_MASTER, 8), 0);
  route("routing_pic_slave_pin_7", to_pin(0, KVM_IRQCHIP_PIC_SLAVE, 7), 0);
  route("routing_unknown_chip", to_pin(0, 3, 0), 0);
  struct kvm_irq_routing_entry entry = to_pin(0, KVM_IRQCHIP_IOAPIC, 2);
  entry.flags = 1;
  route("routing_entry_flags", entry, 0);
  entry.flags = 0;
  entry.type = 99;
  route("routing_unknown_type", entry, 0);
  struct kvm_irq_routing_entry msi = {.gsi = 30, .type = KVM_IRQ_ROUTING_MSI};
  msi.u.msi.address_lo = 0xfee00000;
  msi.u.msi.data = 0x40;
  route("routing_msi", msi, 0);
  struct {
    struct kvm_irq_routing head;
    struct kvm_irq_routing_entry entries[2];
  } twice = {.head = {.nr = 2}, .entries = {to_pin(5, KVM_IRQCHIP_IOAPIC, 5), to_pin(5, KVM_IRQCHIP_IOAPIC, 6)}};
  report("routing_chip_twice", ioctl(vm, KVM_SET_GSI_ROUTING, &twice));
  twice.entries[1] = msi;
  twice.entries[1].gsi = 5;
  report("routing_pin_and_msi", ioctl(vm, KVM_SET_GSI_ROUTING, &twice));
  struct kvm_irq_routing *large = calloc(1, sizeof *large + 4097 * sizeof entry);
  large->nr = 4097;
  for (unsigned i = 0; i < 4097; i++) large->entries[i] = to_pin(i % 24, KVM_IRQCHIP_IOAPIC, i % 24);
  report("routing_large", ioctl(vm, KVM_SET_GSI_ROUTING, large));
  large->nr = 0;
  report("routing_empty", ioctl(vm, KVM_SET_GSI_ROUTING, large));
  free(large);
}

static void irqfd_errors(void) {
  int event = eventfd(0, 0), resample = eventfd(0, 0), file = open("/dev/null", O_RDWR);
#define IRQFD(name, ...)                                       \
  {                                                            \
    struct kvm_irqfd irqfd = {.fd = event, .gsi = 5};          \
    __VA_ARGS__;                                               \
    report(name, ioctl(vm, KVM_IRQFD, &irqfd));                \
  }
  IRQFD("irqfd", )
  IRQFD("irqfd_again", )
  IRQFD("irqfd_other_gsi", irqfd.gsi = 6)
  IRQFD("irqfd_flags", irqfd.flags = 4)
  IRQFD("irqfd_bad_fd", irqfd.fd = 9999)
  IRQFD("irqfd_no_event", irqfd.fd = file)
  IRQFD("irqfd_deassign_other_gsi", irqfd.gsi = 6; irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN)
  IRQFD("irqfd_deassign", irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN)
  IRQFD("irqfd_deassign_again", irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN)
  IRQFD("irqfd_deassign_bad_fd", irqfd.fd = 9999; irqfd.flags = KVM_IRQFD_FLAG_DEASSIGN)
  IRQFD("irqfd_resample_bad_fd", irqfd.resamplefd = 9999; irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE)
  IRQFD("irqfd_resample", irqfd.resamplefd = resample; irqfd.flags = KVM_IRQFD_FLAG_RESAMPLE)
  IRQFD("irqfd_large_gsi", irqfd.fd = resample; irqfd.gsi = 9999)
}

static void ioeventfd_errors(void) {
  int event = eventfd(0, 0), other = eventfd(0, 0), file = open("/dev/null", O_RDWR);
#define IOEVENTFD(name, ...)                                                       \
  {                                                                                \
    struct kvm_ioeventfd io = {.fd = event, .addr = 0xd0000000, .len = 4};         \
    __VA_ARGS__;                                                                   \
    report(name, ioctl(vm, KVM_IOEVENTFD, &io));                                   \
  }
  enum { MATCH = KVM_IOEVENTFD_FLAG_DATAMATCH, PIO = KVM_IOEVENTFD_FLAG_PIO,
         DEASSIGN = KVM_IOEVENTFD_FLAG_DEASSIGN };
  IOEVENTFD("ioeventfd", )
  IOEVENTFD("ioeventfd_again", )
  IOEVENTFD("ioeventfd_other_event", io.fd = other)
  IOEVENTFD("ioeventfd_other_length", io.fd = other; io.len = 2)
  IOEVENTFD("ioeventfd_any_length", io.fd = other; io.len = 0)
  IOEVENTFD("ioeventfd_match_beside_wildcard", io.fd = other; io.datamatch = 1; io.flags = MATCH)
  IOEVENTFD("ioeventfd_match", io.addr = 0x50; io.datamatch = 1; io.flags = MATCH | PIO)
  IOEVENTFD("ioeventfd_match_other", io.addr = 0x50; io.datamatch = 2; io.flags = MATCH | PIO)
  IOEVENTFD("ioeventfd_match_again", io.addr = 0x50; io.datamatch = 1; io.flags = MATCH | PIO)
  IOEVENTFD("ioeventfd_wildcard_beside_match", io.addr = 0x50; io.flags = PIO)
  IOEVENTFD("ioeventfd_match_any_length", io.addr = 0x60; io.len = 0; io.flags = MATCH | PIO)
  IOEVENTFD("ioeventfd_length_3", io.addr = 0x60; io.len = 3; io.flags = PIO)
  IOEVENTFD("ioeventfd_length_16", io.addr = 0x60; io.len = 16; io.flags = PIO)
  IOEVENTFD("ioeventfd_wrap", io.addr = 0xffffffffffffffff)
  IOEVENTFD("ioeventfd_flags", io.flags = 1 << 6)
  IOEVENTFD("ioeventfd_bad_fd", io.addr = 0x60; io.fd = 9999)
  IOEVENTFD("ioeventfd_no_event", io.addr = 0x60; io.fd = file)
  IOEVENTFD("ioeventfd_deassign_other_event", io.fd = other; io.flags = DEASSIGN)
  IOEVENTFD("ioeventfd_deassign_other_match", io.addr = 0x50; io.datamatch = 3; io.flags = MATCH | PIO | DEASSIGN)
  IOEVENTFD("ioeventfd_deassign_as_wildcard", io.addr = 0x50; io.flags = PIO | DEASSIGN)
  IOEVENTFD("ioeventfd_deassign", io.flags = DEASSIGN)
  IOEVENTFD("ioeventfd_deassign_again", io.flags = DEASSIGN)
  IOEVENTFD("ioeventfd_deassign_bad_fd", io.fd = 9999; io.flags = DEASSIGN)
}

/** Calls that a machine without vCPU takes; chips are there if it has them. */
static void device_errors(const char *suffix) {
  char name[64];
  static uint8_t buffer[4096];
#define DEVICE(text, request, argument)                    \
  snprintf(name, sizeof name, "%s%s", text, suffix);       \
  report(name, ioctl(vm, request, argument));
  struct kvm_irqchip chip = {.chip_id = KVM_IRQCHIP_IOAPIC};
  DEVICE("get_irqchip", KVM_GET_IRQCHIP, &chip)
  DEVICE("set_irqchip", KVM_SET_IRQCHIP, &chip)
  chip.chip_id = 3;
  DEVICE("get_irqchip_unknown", KVM_GET_IRQCHIP, &chip)
  struct kvm_pit_state2 pit = {0};
  DEVICE("get_pit2", KVM_GET_PIT2, &pit)
  DEVICE("set_pit2", KVM_SET_PIT2, &pit)
  struct kvm_reinject_control control = {.pit_reinject = 1};
  DEVICE("reinject_control", KVM_REINJECT_CONTROL, &control)
  (void)buffer;
}

static void memory_errors(void) {
  report("tss_addr", ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000));
  report("tss_addr_high", ioctl(vm, KVM_SET_TSS_ADDR, 0xfffffffffff0ull));
  report("tss_addr_at_the_end", ioctl(vm, KVM_SET_TSS_ADDR, 0xffffe000ul));
  uint64_t address = 0xfffbc000;
  report("identity_map_addr_after_vcpu", ioctl(vm, KVM_SET_IDENTITY_MAP_ADDR, &address));
  struct kvm_coalesced_mmio_zone zone = {.addr = 0xe0000000, .size = 0x1000};
  report("coalesced_mmio", ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &zone));
  zone.pio = 2;
  report("coalesced_mmio_pio_2", ioctl(vm, KVM_REGISTER_COALESCED_MMIO, &zone));
  zone.pio = 0;
  zone.addr = 0x12345000;
  report("coalesced_mmio_remove_absent", ioctl(vm, KVM_UNREGISTER_COALESCED_MMIO, &zone));
  zone.addr = 0xe0000000;
  report("coalesced_mmio_remove", ioctl(vm, KVM_UNREGISTER_COALESCED_MMIO, &zone));
  zone.pio = 2;
  report("coalesced_mmio_remove_pio_2", ioctl(vm, KVM_UNREGISTER_COALESCED_MMIO, &zone));
}

static void clock_errors(void) {
  struct kvm_clock_data clock = {0};
  report("get_clock", ioctl(vm, KVM_GET_CLOCK, &clock));
  clock.flags = 0;
  clock.clock = 12345;
  report("set_clock", ioctl(vm, KVM_SET_CLOCK, &clock));
  clock.flags = 1 << 7;
  report("set_clock_flags", ioctl(vm, KVM_SET_CLOCK, &clock));
  report("kvmclock_ctrl_without_clock", ioctl(vcpu, KVM_KVMCLOCK_CTRL, 0));
}

static void cap(const char *name, int fd, unsigned number, uint64_t argument, unsigned flags) {
  struct kvm_enable_cap cap = {.cap = number, .flags = flags, .args = {argument}};
  report(name, ioctl(fd, KVM_ENABLE_CAP, &cap));
}

/** Dirty logs that are read and cleared in two steps. */
static void dirty_errors(void) {
  create(0);
  static uint64_t words[64];
  struct kvm_clear_dirty_log clear = {.slot = 0, .num_pages = 64, .dirty_bitmap = words};
#define CLEAR(name, change)                                        \
  {                                                                \
    struct kvm_clear_dirty_log own = clear;                        \
    change;                                                        \
    report(name, ioctl(vm, KVM_CLEAR_DIRTY_LOG, &own));            \
  }
  CLEAR("clear_dirty_log_not_kept", )
  CLEAR("clear_dirty_log_large_slot", own.slot = 0x7fff)
  CLEAR("clear_dirty_log_absent_slot", own.slot = 5)
  cap("cap_manual_dirty_log_unknown", vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 4, 0);
  cap("cap_manual_dirty_log_set_only", vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 2, 0);
  cap("cap_manual_dirty_log_set", vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3, 0);
  cap("cap_manual_dirty_log_off", vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 0, 0);
  cap("cap_manual_dirty_log", vm, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 1, 0);
  // Of 256 pages, the last but 16.
  struct kvm_userspace_memory_region region = {
      .slot = 0, .flags = 1, .memory_size = RAM_BYTES, .userspace_addr = (uint64_t)ram};
  ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
  region.slot = 1;
  region.guest_phys_addr = 0x200000;
  region.memory_size = 80 * 4096;
  ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region);
  CLEAR("clear_dirty_log", )
  CLEAR("clear_dirty_log_unaligned_first", own.first_page = 8)
  CLEAR("clear_dirty_log_unaligned_count", own.num_pages = 65)
  CLEAR("clear_dirty_log_beyond", own.first_page = 256)
  CLEAR("clear_dirty_log_further_beyond", own.first_page = 320)
  CLEAR("clear_dirty_log_too_many", own.num_pages = 320)
  CLEAR("clear_dirty_log_nothing", own.num_pages = 0)
  CLEAR("clear_dirty_log_rest", own.slot = 1; own.first_page = 64; own.num_pages = 16)
  CLEAR("clear_dirty_log_part_of_rest", own.slot = 1; own.first_page = 64; own.num_pages = 8)
}

static void cap_errors(void) {
  cap("cap_flags", vm, KVM_CAP_EXIT_HYPERCALL, 0, 1);
  cap("cap_exit_hypercall", vm, KVM_CAP_EXIT_HYPERCALL, 1 << 12, 0);
  cap("cap_exit_hypercall_unknown", vm, KVM_CAP_EXIT_HYPERCALL, 1 << 5, 0);
  cap("cap_halt_poll", vm, KVM_CAP_HALT_POLL, 50000, 0);
  cap("cap_halt_poll_large", vm, KVM_CAP_HALT_POLL, 1ull << 40, 0);
  cap("cap_msr_exits", vm, KVM_CAP_X86_USER_SPACE_MSR, 3, 0);
  cap("cap_msr_exits_unknown", vm, KVM_CAP_X86_USER_SPACE_MSR, 1 << 10, 0);
  cap("cap_disable_exits_unknown", vm, KVM_CAP_X86_DISABLE_EXITS, 1 << 10, 0);
  cap("cap_disable_exits_after_vcpu", vm, KVM_CAP_X86_DISABLE_EXITS, 2, 0);
  cap("vcpu_cap_unknown", vcpu, 9999, 0, 0);
  cap("vcpu_cap_enforce_features", vcpu, KVM_CAP_ENFORCE_PV_FEATURE_CPUID, 1, 0);
}

static void sync_errors(void) {
  page->kvm_valid_regs = 8;
  report("run_valid_regs_unknown", ioctl(vcpu, KVM_RUN, 0));
  page->kvm_valid_regs = 0;
  page->kvm_dirty_regs = 8;
  report("run_dirty_regs_unknown", ioctl(vcpu, KVM_RUN, 0));
  page->kvm_valid_regs = 2;
  page->kvm_dirty_regs = 2;
  page->immediate_exit = 1;
  ioctl(vcpu, KVM_GET_SREGS, &page->s.regs.sregs);
  page->s.regs.sregs.cr0 = 0x80000000;
  report("run_dirty_sregs_wrong", ioctl(vcpu, KVM_RUN, 0));
  page->s.regs.sregs.cr0 = 0x60000010;
  page->kvm_dirty_regs = 4;
  page->s.regs.events.flags = 1u << 30;
  report("run_dirty_events_wrong", ioctl(vcpu, KVM_RUN, 0));
  page->kvm_dirty_regs = page->kvm_valid_regs = 0;
  report("run_immediate", ioctl(vcpu, KVM_RUN, 0));
  page->immediate_exit = 0;
}

/** The calls of interrupts' routing, of events, of devices and of what is set once. */
static void more_errors(void) {
  create(0);
  route("routing_without_irqchip", to_pin(0, KVM_IRQCHIP_IOAPIC, 2), 0);
  struct kvm_irqfd irqfd = {.fd = eventfd(0, 0), .gsi = 5};
  report("irqfd_without_irqchip", ioctl(vm, KVM_IRQFD, &irqfd));
  ioeventfd_errors();
  device_errors("_without_irqchip");
  memory_errors();
  clock_errors();
  cap_errors();
  sync_errors();
  create(1);
  routing_errors();
  struct kvm_irq_level level = {.irq = 5, .level = 1};
  report("irq_line_not_routed", ioctl(vm, KVM_IRQ_LINE, &level));
  create(1);
  irqfd_errors();
  device_errors("_without_pit");
  struct kvm_pit_config pit = {.flags = 2};
  report("pit_flags", ioctl(vm, KVM_CREATE_PIT2, &pit));
  pit.flags = 1;
  ioctl(vm, KVM_CREATE_PIT2, &pit);
  device_errors("");
  dirty_errors();
  vcpu = (close(vcpu), munmap(page, page_bytes), -1);
}

/** Wrong use, case by case: the errno of each. Cases are named as in our own table. */
static void errors(void) {
  create(0);
  uint32_t words[1024] = {0};
  struct kvm_userspace_memory_region r = {.slot = 1, .guest_phys_addr = 0x200000,
                                          .memory_size = 0x1000, .userspace_addr = (uint64_t)ram};
#define REGION(name, change)                                \
  {                                                         \
    struct kvm_userspace_memory_region region = r;          \
    change;                                                 \
    report(name, ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region)); \
  }
  report("create_vm_type", ioctl(kvm, KVM_CREATE_VM, 0xff00));
  report("api_version_argument", ioctl(kvm, KVM_GET_API_VERSION, 1));
  report("mmap_size_argument", ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 1));
  report("create_vcpu_again", ioctl(vm, KVM_CREATE_VCPU, 0));
  report("create_vcpu_large_id", ioctl(vm, KVM_CREATE_VCPU, 1 << 20));
  REGION("region_unaligned_size", region.memory_size = 0x1001)
  REGION("region_unaligned_gpa", region.guest_phys_addr = 0x200001)
  REGION("region_unaligned_address", region.userspace_addr += 1)
  REGION("region_flags", region.flags = 1 << 30)
  REGION("region_large_slot", region.slot = 0x7fff)
  REGION("region_delete_absent", region.memory_size = 0)
  REGION("region_overlap", region.guest_phys_addr = 0x1000)
  REGION("region_wrap", region.guest_phys_addr = 0xfffffffffffff000ull)
  REGION("region_fits", )
  REGION("region_resize", region.memory_size = 0x2000)
  REGION("region_move", region.guest_phys_addr = 0x300000)
  REGION("region_make_read_only", region.guest_phys_addr = 0x300000; region.flags = 2)
  REGION("region_delete", region.memory_size = 0)
  struct kvm_dirty_log log = {.slot = 0, .dirty_bitmap = words};
  report("dirty_log_not_kept", ioctl(vm, KVM_GET_DIRTY_LOG, &log));
  log.slot = 0x7fff;
  report("dirty_log_large_slot", ioctl(vm, KVM_GET_DIRTY_LOG, &log));
  log.slot = 5;
  report("dirty_log_absent_slot", ioctl(vm, KVM_GET_DIRTY_LOG, &log));
  report("irqchip_after_vcpu", ioctl(vm, KVM_CREATE_IRQCHIP, 0));
  struct kvm_pit_config pit = {0};
  report("pit_without_irqchip", ioctl(vm, KVM_CREATE_PIT2, &pit));
  struct kvm_irq_level level = {.irq = 1, .level = 1};
  report("irq_line_without_irqchip", ioctl(vm, KVM_IRQ_LINE, &level));
  struct kvm_msi msi = {.address_lo = 0xfee00000, .data = 0x40};
  report("msi_without_irqchip", ioctl(vm, KVM_SIGNAL_MSI, &msi));
  report("get_lapic_without_irqchip", ioctl(vcpu, KVM_GET_LAPIC, words));
  report("set_lapic_without_irqchip", ioctl(vcpu, KVM_SET_LAPIC, words));
  struct kvm_mp_state state = {.mp_state = KVM_MP_STATE_HALTED};
  report("mp_state_without_irqchip", ioctl(vcpu, KVM_SET_MP_STATE, &state));
  state.mp_state = 5;
  report("mp_state_unknown", ioctl(vcpu, KVM_SET_MP_STATE, &state));
  struct kvm_interrupt interrupt = {.irq = 256};
  report("interrupt_256", ioctl(vcpu, KVM_INTERRUPT, &interrupt));
  report("run_argument", ioctl(vcpu, KVM_RUN, 1));
  struct kvm_sregs s;
  ioctl(vcpu, KVM_GET_SREGS, &s);
#define SREGS(name, change)                            \
  {                                                    \
    struct kvm_sregs sregs = s;                        \
    change;                                            \
    report(name, ioctl(vcpu, KVM_SET_SREGS, &sregs)); \
  }
  SREGS("sregs_paging_without_protection", sregs.cr0 = 0x80000000)
  SREGS("sregs_long_without_pae", sregs.cr0 = 0x80000011; sregs.efer = 0x500)
  SREGS("sregs_lma_without_lme", sregs.efer = 0x400)
  SREGS("sregs_cr4_reserved", sregs.cr4 = 1ull << 40)
  SREGS("sregs_cr0_high", sregs.cr0 |= 1ull << 40)
  SREGS("sregs_efer_reserved", sregs.efer = 1ull << 40)
  struct kvm_guest_debug d = {.control = KVM_GUESTDBG_INJECT_DB | KVM_GUESTDBG_INJECT_BP};
  report("debug_inject_both", ioctl(vcpu, KVM_SET_GUEST_DEBUG, &d));
  struct kvm_debugregs dr;
  ioctl(vcpu, KVM_GET_DEBUGREGS, &dr);
  dr.dr7 = 1ull << 40;
  report("debugregs_dr7_high", ioctl(vcpu, KVM_SET_DEBUGREGS, &dr));
  dr.dr7 = 0x400;
  dr.flags = 1;
  report("debugregs_flags", ioctl(vcpu, KVM_SET_DEBUGREGS, &dr));
  struct kvm_vcpu_events e;
  ioctl(vcpu, KVM_GET_VCPU_EVENTS, &e);
  e.flags = 1u << 30;
  report("vcpu_events_flags", ioctl(vcpu, KVM_SET_VCPU_EVENTS, &e));
  struct kvm_cpuid2 *cpuid = calloc(1, 1 << 16);
  cpuid->nent = 1;
  report("supported_cpuid_short", ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid));
  cpuid->nent = 1000;
  report("cpuid_long", ioctl(vcpu, KVM_SET_CPUID2, cpuid));
  struct kvm_msr_list list = {.nmsrs = 0};
  report("msr_list_short", ioctl(kvm, KVM_GET_MSR_INDEX_LIST, &list));
  struct kvm_translation t = {.linear_address = 0x1000};
  report("translate", ioctl(vcpu, KVM_TRANSLATE, &t));
  struct kvm_enable_cap cap = {.cap = 9999};
  report("enable_cap_unknown", ioctl(vm, KVM_ENABLE_CAP, &cap));
  create(1);
  report("irqchip_again", ioctl(vm, KVM_CREATE_IRQCHIP, 0));
  interrupt.irq = 32;
  report("interrupt_with_irqchip", ioctl(vcpu, KVM_INTERRUPT, &interrupt));
  report("pit", ioctl(vm, KVM_CREATE_PIT2, &pit));
  report("pit_again", ioctl(vm, KVM_CREATE_PIT2, &pit));
  level.irq = 9999;
  report("irq_line_large", ioctl(vm, KVM_IRQ_LINE, &level));
  state.mp_state = KVM_MP_STATE_HALTED;
  report("mp_state_halted", ioctl(vcpu, KVM_SET_MP_STATE, &state));
  more_errors();
}

int main(int argc, char **argv) {
  static char line[LINE_BYTES + 64];
  kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) {
    fail("open");
    return 1;
  }
  setvbuf(stdout, NULL, _IOLBF, 0);
  if (argc > 1 && strcmp(argv[1], "errors") == 0) errors();
  else while (fgets(line, sizeof line, stdin) != NULL) {
    if (line[0] == '#') fputs(line, stdout);
    else if (line[0] != '\n') call(line);
  }
  destroy();
  return 0;
}
