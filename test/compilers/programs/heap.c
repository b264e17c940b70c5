// A small allocator: first fit, blocks in order of address, neighbours joined when freed.

#include "put.h"

#define ARENA 6144
#define SLOTS 48

// As large on processors of 32 bits, so that programs find the same room.
typedef struct Block {
  _Alignas(16) size_t size;
  struct Block *next;
} Block;

static _Alignas(16) uint8_t arena[ARENA];
static Block *free_list;
static unsigned splits, joins, failures;

static void heap_start(void) {
  free_list = (Block *)arena;
  free_list->size = ARENA - sizeof(Block);
  free_list->next = NULL;
}

static void *take(size_t wanted) {
  size_t size = (wanted + 15) & ~(size_t)15;
  for (Block **link = &free_list; *link != NULL; link = &(*link)->next) {
    Block *block = *link;
    if (block->size < size) continue;
    if (block->size >= size + sizeof(Block) + 16) {
      Block *rest = (Block *)((uint8_t *)(block + 1) + size);
      rest->size = block->size - size - sizeof(Block);
      rest->next = block->next;
      block->size = size;
      *link = rest;
      splits++;
    } else *link = block->next;
    return block + 1;
  }
  failures++;
  return NULL;
}

static int join(Block *first, Block *second) {
  if ((uint8_t *)(first + 1) + first->size != (uint8_t *)second) return 0;
  first->size += sizeof(Block) + second->size;
  first->next = second->next;
  joins++;
  return 1;
}

static void give(void *memory) {
  if (memory == NULL) return;
  Block *block = (Block *)memory - 1, *before = NULL;
  for (Block *b = free_list; b != NULL && b < block; b = b->next) before = b;
  block->next = before == NULL ? free_list : before->next;
  if (before == NULL) free_list = block;
  else before->next = block;
  if (block->next != NULL) join(block, block->next);
  if (before != NULL) join(before, block);
}

static void show_free(void) {
  put_text("free:");
  for (Block *b = free_list; b != NULL; b = b->next) {
    put(' ');
    put_decimal((uint64_t)((uint8_t *)b - arena));
    put('+');
    put_decimal(b->size);
  }
  put('\n');
}

int main(void) {
  static uint8_t *slot[SLOTS];
  static uint16_t size[SLOTS];
  uint64_t seed = 4242;
  unsigned damaged = 0;
  heap_start();
  for (int round = 0; round < 500; round++) {
    int i = (int)(next_random(&seed) % SLOTS);
    for (int j = 0; slot[i] != NULL && j < size[i]; j++) damaged += slot[i][j] != (uint8_t)i;
    give(slot[i]);
    size[i] = (uint16_t)(next_random(&seed) % 250 + 1);
    slot[i] = take(size[i]);
    for (int j = 0; slot[i] != NULL && j < size[i]; j++) slot[i][j] = (uint8_t)i;
    if (round % 100 == 0) show_free();
  }
  for (int i = 0; i < SLOTS; i++) give(slot[i]);
  show_free();
  put_line("splits", splits);
  put_line("joins", joins);
  put_line("failures", failures);
  put_line("damaged", damaged);
  return 0;
}
