// Loops that gcc vectorizes at -O3, of all widths and kinds, copies of structures, and small strings
// that it compares and fills sixteen bytes at a time.

#include "put.h"

#define COUNT 203

static uint64_t seed = 77;
static uint8_t bytes[COUNT], more[COUNT];
static int8_t chars[COUNT];
static uint16_t shorts[COUNT], others[COUNT];
static int16_t words[COUNT], factors[COUNT];
static int32_t integers[COUNT], numbers[COUNT];
static uint32_t naturals[COUNT];
static uint64_t longs[COUNT];
static float singles[COUNT], shares[COUNT];
static double doubles[COUNT], parts[COUNT];

static void fill(void) {
  for (int i = 0; i < COUNT; i++) {
    uint64_t r = next_random(&seed) << 31 ^ next_random(&seed);
    bytes[i] = (uint8_t)r;
    more[i] = (uint8_t)(r >> 8);
    chars[i] = (int8_t)(r >> 16);
    shorts[i] = (uint16_t)(r >> 3);
    others[i] = (uint16_t)(r >> 19);
    words[i] = (int16_t)(r >> 5);
    factors[i] = (int16_t)(r >> 22);
    integers[i] = (int32_t)r;
    numbers[i] = (int32_t)(r >> 17);
    naturals[i] = (uint32_t)(r >> 11);
    longs[i] = r * r;
    singles[i] = (float)integers[i] / 65536;
    shares[i] = (float)numbers[i] * 0.001f;
    doubles[i] = (double)integers[i] * 1.25;
    parts[i] = 1.0 / (1 + bytes[i]);
  }
}

static uint64_t digest(const void *data, int size) {
  const uint8_t *at = data;
  uint64_t hash = 14695981039346656037u;
  for (int i = 0; i < size; i++) hash = (hash ^ at[i]) * 1099511628211u;
  return hash;
}

static void show(const char *name, const void *data, int size) {
  put_text(name);
  put_text(": ");
  put_hex(digest(data, size), 16);
  put('\n');
}

#define SHOW(array) show(#array, array, sizeof array)
#define EACH for (int i = 0; i < COUNT; i++)

static void of_bytes(void) {
  EACH bytes[i] = (uint8_t)(bytes[i] + more[i]);
  EACH more[i] = more[i] > bytes[i] ? more[i] : bytes[i];
  EACH bytes[i] = (uint8_t)((bytes[i] + more[i] + 1) >> 1);
  EACH chars[i] = (int8_t)(chars[i] < 0 ? -chars[i] : chars[i] * 3);
  EACH more[i] = bytes[i] == more[i] ? 1 : (uint8_t)(more[i] >> 2);
  unsigned sum = 0, distance = 0;
  EACH sum += bytes[i];
  EACH distance += (unsigned)(bytes[i] > more[i] ? bytes[i] - more[i] : more[i] - bytes[i]);
  put_line("sum of bytes", sum);
  put_line("distance", distance);
  SHOW(bytes);
  SHOW(more);
  SHOW(chars);
}

static void of_halves(void) {
  EACH shorts[i] = (uint16_t)(shorts[i] * others[i]);
  EACH others[i] = (uint16_t)((shorts[i] * (uint32_t)others[i]) >> 16);
  EACH words[i] = words[i] < factors[i] ? words[i] : factors[i];
  EACH factors[i] = (int16_t)(factors[i] >> 3);
  int32_t products = 0;
  EACH products += words[i] * factors[i];
  EACH shorts[i] = (uint16_t)(shorts[i] << 5 | shorts[i] >> 11);
  put_line("products", (uint32_t)products);
  SHOW(shorts);
  SHOW(others);
  SHOW(words);
  SHOW(factors);
}

static void of_words(void) {
  EACH integers[i] = integers[i] * 7 - numbers[i];
  EACH numbers[i] = integers[i] > numbers[i] ? integers[i] >> 4 : numbers[i] << 2;
  EACH naturals[i] = naturals[i] >> 9 ^ (uint32_t)integers[i];
  uint64_t sum = 0;
  EACH sum += (uint64_t)naturals[i] * naturals[(i * 5) % COUNT];
  EACH longs[i] = longs[i] + (longs[i] >> 13) - naturals[i];
  EACH longs[i] ^= longs[COUNT - 1 - i] << 7;
  put_line("sum of products", sum);
  SHOW(integers);
  SHOW(numbers);
  SHOW(naturals);
  SHOW(longs);
}

static void of_floats(void) {
  EACH singles[i] = singles[i] * shares[i] + 0.5f;
  EACH shares[i] = shares[i] > singles[i] ? shares[i] : -singles[i];
  EACH doubles[i] = (doubles[i] - parts[i]) / (1.5 + parts[i] * parts[i]);
  EACH parts[i] = doubles[i] < 0 ? 0 : parts[i];
  EACH integers[i] = (int32_t)(singles[i] / 1000000.0f);
  EACH shares[i] += (float)numbers[i];
  EACH doubles[i] += numbers[i];
  EACH singles[i] = (float)doubles[i];
  EACH parts[i] += shares[i];
  EACH numbers[i] = (int32_t)(parts[i] / 16);
  float total = 0;
  double sum = 0;
  EACH total += shares[i];
  EACH sum += __builtin_sqrt(__builtin_fabs(doubles[i]));
  show("total", &total, sizeof total);
  show("sum", &sum, sizeof sum);
  SHOW(singles);
  SHOW(shares);
  SHOW(doubles);
  SHOW(parts);
  SHOW(integers);
  SHOW(numbers);
}

typedef struct {
  char name[24];
  double weight[3];
  int32_t ranks[6];
  float ratio;
} Record;

static Record first_or(const Record *list, int n, Record otherwise) {
  Record found = otherwise;
  for (int i = 0; i < n; i++) {
    if (list[i].ratio > found.ratio) found = list[i];
  }
  return found;
}

static void of_records(void) {
  Record list[9];
  for (int i = 0; i < 9; i++) {
    list[i] = (Record){.name = "record number .", .ratio = (float)((i * 5) % 9) / 3};
    list[i].name[14] = (char)('a' + i);
    for (int j = 0; j < 3; j++) list[i].weight[j] = i * 1.5 + j;
    for (int j = 0; j < 6; j++) list[i].ranks[j] = i * j;
  }
  Record swapped = list[2];
  list[2] = list[7];
  list[7] = swapped;
  Record best = first_or(list, 9, (Record){.name = "none"});
  put_text(best.name);
  put('\n');
  uint64_t hash = 0;
  for (int i = 0; i < 9; i++) {
    hash = hash * 31 + digest(list[i].weight, sizeof list[i].weight);
    hash = hash * 31 + digest(list[i].ranks, sizeof list[i].ranks) + (uint8_t)list[i].name[14];
  }
  put_line("records", hash);
}

int main(void) {
  fill();
  for (int round = 0; round < 3; round++) {
    of_bytes();
    of_halves();
    of_words();
    of_floats();
  }
  of_records();
  return 0;
}
