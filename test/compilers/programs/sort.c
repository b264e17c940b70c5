// Five ways to sort: recursion, function pointers, structures by value, indirect addressing.

#include "put.h"

#define COUNT 250

typedef struct {
  int32_t key;
  uint8_t tag;
  int64_t weight;
} Item;

static int32_t numbers[COUNT], scratch[COUNT];
static Item items[COUNT];

static void fill(uint64_t seed) {
  for (int i = 0; i < COUNT; i++) numbers[i] = (int32_t)next_random(&seed) % 10007 - 5000;
}

static void insertion_sort(int32_t *a, int count) {
  for (int i = 1; i < count; i++) {
    int32_t value = a[i];
    int j = i;
    for (; j > 0 && a[j - 1] > value; j--) a[j] = a[j - 1];
    a[j] = value;
  }
}

static void quick_sort(int32_t *a, int count) {
  if (count < 2) return;
  int32_t pivot = a[count / 2];
  int i = 0, j = count - 1;
  while (i <= j) {
    while (a[i] < pivot) i++;
    while (a[j] > pivot) j--;
    if (i > j) break;
    int32_t kept = a[i];
    a[i++] = a[j];
    a[j--] = kept;
  }
  quick_sort(a, j + 1);
  quick_sort(a + i, count - i);
}

static void sift(int32_t *a, int root, int count) {
  for (int child; (child = 2 * root + 1) < count; root = child) {
    if (child + 1 < count && a[child + 1] > a[child]) child++;
    if (a[root] >= a[child]) return;
    int32_t kept = a[root];
    a[root] = a[child];
    a[child] = kept;
  }
}

static void heap_sort(int32_t *a, int count) {
  for (int i = count / 2; i-- > 0;) sift(a, i, count);
  while (--count > 0) {
    int32_t kept = a[0];
    a[0] = a[count];
    a[count] = kept;
    sift(a, 0, count);
  }
}

static void merge_sort(int32_t *a, int count) {
  if (count < 2) return;
  int half = count / 2;
  merge_sort(a, half);
  merge_sort(a + half, count - half);
  for (int i = 0; i < count; i++) scratch[i] = a[i];
  for (int i = 0, left = 0, right = half; i < count; i++) {
    int takes_left = right == count || (left < half && scratch[left] <= scratch[right]);
    a[i] = takes_left ? scratch[left++] : scratch[right++];
  }
}

static int by_key(const Item *a, const Item *b) {
  return a->key != b->key ? (a->key < b->key ? -1 : 1) : (int)a->tag - (int)b->tag;
}

static int by_weight(const Item *a, const Item *b) {
  return a->weight < b->weight ? -1 : a->weight > b->weight;
}

static void shell_sort(Item *a, int count, int (*compare)(const Item *, const Item *)) {
  for (int gap = count / 2; gap > 0; gap /= 2) {
    for (int i = gap; i < count; i++) {
      Item item = a[i];
      int j = i;
      for (; j >= gap && compare(&a[j - gap], &item) > 0; j -= gap) a[j] = a[j - gap];
      a[j] = item;
    }
  }
}

static void show(const char *name) {
  uint64_t sum = 0;
  int out_of_order = 0;
  for (int i = 0; i < COUNT; i++) {
    sum = sum * 31 + (uint32_t)numbers[i];
    out_of_order += i > 0 && numbers[i - 1] > numbers[i];
  }
  put_text(name);
  put(' ');
  put_hex(sum, 16);
  put_line(" out of order", (uint64_t)out_of_order);
}

static void show_items(const char *name) {
  put_text(name);
  for (int i = 0; i < COUNT; i += 37) {
    put(' ');
    put_hex((uint32_t)items[i].key, 8);
    put('/');
    put_decimal(items[i].tag);
  }
  put('\n');
}

int main(void) {
  static void (*const sorts[])(int32_t *, int) = {insertion_sort, quick_sort, heap_sort,
                                                  merge_sort};
  static const char *const names[] = {"insertion", "quick", "heap", "merge"};
  for (int i = 0; i < 4; i++) {
    fill(2026);
    sorts[i](numbers, COUNT);
    show(names[i]);
  }
  uint64_t seed = 7;
  for (int i = 0; i < COUNT; i++) {
    items[i].key = (int32_t)(next_random(&seed) & 63) - 32;
    items[i].tag = (uint8_t)i;
    items[i].weight = -(int64_t)(next_random(&seed) * next_random(&seed));
  }
  shell_sort(items, COUNT, by_key);
  show_items("by key");
  shell_sort(items, COUNT, by_weight);
  show_items("by weight");
  return 0;
}
