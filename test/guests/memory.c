/**
 * Address space: mappings that come, grow, shrink, move and go at random (the same at random in
 * every run), each page with contents that are checked; the heap by brk and by malloc; pages given
 * back; protections; a large region that is written sparsely and remembered; and pages that are
 * written and made read-only at once, as compilers at run time do it.
 */
#define _GNU_SOURCE
#include "check.h"

#include <sys/mman.h>

enum { PAGE = 4096, SLOTS = 48, PAGES_MAX = 48, SPARSE_PAGES = 8192, BLOCKS = 128, SEALED = 16 };

/** Far from every other mapping, and from each other. */
static const uintptr_t SEALED_AT = 1ULL << 40, SEALED_APART = 1 << 24;

struct slot {
  unsigned char *start;
  size_t pages;
  uint64_t seeds[PAGES_MAX];
};

struct block {
  unsigned char *bytes;
  size_t size;
  unsigned char fill;
};

static struct slot slots[SLOTS];
static struct slot sealed[SEALED];
static struct block blocks[BLOCKS];
static uint64_t chance = 0x243f6a8885a308d3ULL;
static uint64_t digest = HASH_START;
static unsigned char *sparse;
static uint32_t sparse_values[SPARSE_PAGES];

static size_t below(size_t limit) { return next_random(&chance) % limit; }

static void fill_page(unsigned char *page, uint64_t seed) {
  uint64_t *words = (uint64_t *)page;
  for (int i = 0; i < PAGE / 8; i++) words[i] = seed == 0 ? 0 : seed + (uint64_t)i;
}

static void check_page(const unsigned char *page, uint64_t seed) {
  const uint64_t *words = (const uint64_t *)page;
  for (int i = 0; i < PAGE / 8; i++) CHECK(words[i] == (seed == 0 ? 0 : seed + (uint64_t)i));
}

static void check_slot(const struct slot *slot) {
  for (size_t i = 0; i < slot->pages; i++) check_page(slot->start + i * PAGE, slot->seeds[i]);
}

static void write_some(struct slot *slot) {
  for (size_t i = 0; i < slot->pages; i++) {
    if (below(3) == 0) continue;
    slot->seeds[i] = next_random(&chance) | 1;
    fill_page(slot->start + i * PAGE, slot->seeds[i]);
    digest = hash_bytes(digest, &slot->seeds[i], 8);
  }
}

static void map_slot(struct slot *slot, int sharing) {
  memset(slot, 0, sizeof *slot);
  slot->pages = 1 + below(PAGES_MAX - 1);
  slot->start = mmap(NULL, slot->pages * PAGE, PROT_READ | PROT_WRITE, sharing | MAP_ANONYMOUS,
                     -1, 0);
  CHECK(slot->start != MAP_FAILED);
  check_slot(slot);
  write_some(slot);
}

static void unmap_tail(struct slot *slot) {
  size_t keep = below(slot->pages);
  CHECK_CALL(munmap(slot->start + keep * PAGE, (slot->pages - keep) * PAGE));
  slot->pages = keep;
}

/** Grows or shrinks a private mapping that is in one piece; it may move. New pages are zeros. */
static void remap(struct slot *slot) {
  size_t pages = 1 + below(PAGES_MAX - 1);
  void *start = mremap(slot->start, slot->pages * PAGE, pages * PAGE, MREMAP_MAYMOVE);
  CHECK(start != MAP_FAILED);
  slot->start = start;
  for (size_t i = slot->pages; i < pages; i++) slot->seeds[i] = 0;
  slot->pages = pages;
}

static void protect(struct slot *slot) {
  CHECK_CALL(mprotect(slot->start, slot->pages * PAGE, PROT_READ));
  check_slot(slot);
  CHECK_CALL(mprotect(slot->start, slot->pages * PAGE, PROT_READ | PROT_WRITE));
  write_some(slot);
}

/** Puts other memory over one page of the middle. */
static void replace_page(struct slot *slot) {
  size_t at = below(slot->pages);
  void *want = slot->start + at * PAGE;
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED;
  CHECK(mmap(want, PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == want);
  slot->seeds[at] = 0;
  check_slot(slot);
}

static void churn_mappings(void) {
  for (int i = 0; i < 40; i++) {
    struct slot *slot = &slots[below(SLOTS)];
    if (slot->pages == 0) {
      map_slot(slot, below(4) == 0 ? MAP_SHARED : MAP_PRIVATE);
      continue;
    }
    check_slot(slot);
    switch (below(5)) {
      case 0: unmap_tail(slot); break;
      case 1: protect(slot); break;
      case 2: write_some(slot); break;
      case 3:
        CHECK_CALL(munmap(slot->start, slot->pages * PAGE));
        map_slot(slot, MAP_PRIVATE);
        remap(slot);
        break;
      default: replace_page(slot);
    }
    check_slot(slot);
  }
}

static void churn_heap(void) {
  for (int i = 0; i < 60; i++) {
    struct block *block = &blocks[below(BLOCKS)];
    for (size_t at = 0; at < block->size; at += 61) CHECK(block->bytes[at] == block->fill);
    if (block->bytes != NULL && below(3) == 0) {
      free(block->bytes);
      *block = (struct block){0};
      continue;
    }
    size_t size = below(2) == 0 ? 1 + below(2000) : 1 + below(300000);
    size_t kept = size < block->size ? size : block->size;
    block->bytes = realloc(block->bytes, size);
    CHECK(block->bytes != NULL);
    for (size_t at = 0; at < kept; at += 61) CHECK(block->bytes[at] == block->fill);
    block->size = size;
    block->fill = (unsigned char)(1 + below(255));
    memset(block->bytes, block->fill, size);
    digest = hash_bytes(digest, &size, sizeof size);
  }
}

/** Straight at brk: what comes back after shrinking is zeros again. */
static void move_break(void) {
  unsigned char *start = sbrk(0);
  CHECK(start != (void *)-1);
  size_t size = (1 + below(20)) * PAGE;
  CHECK(sbrk((intptr_t)size) == start);
  for (size_t i = 0; i < size; i += 512) {
    CHECK(start[i] == 0);
    start[i] = 77;
  }
  CHECK(sbrk(-(intptr_t)size) == start + size);
  CHECK(sbrk(0) == start);
  CHECK(sbrk((intptr_t)size) == start);
  // The part of the first page below the old break is kept, so look beyond it.
  unsigned char *whole = (unsigned char *)(((uintptr_t)start + PAGE - 1) & ~(uintptr_t)(PAGE - 1));
  for (unsigned char *at = whole; at < start + size; at++) CHECK(*at == 0);
  CHECK(sbrk(-(intptr_t)size) == start + size);
}

static void give_back(void) {
  unsigned char *start =
      mmap(NULL, 8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(start != MAP_FAILED);
  for (int i = 0; i < 8; i++) fill_page(start + i * PAGE, 1000 + (uint64_t)i);
  CHECK_CALL(madvise(start + 2 * PAGE, 3 * PAGE, MADV_DONTNEED));
  for (int i = 0; i < 8; i++) {
    check_page(start + i * PAGE, i >= 2 && i < 5 ? 0 : 1000 + (uint64_t)i);
  }
  CHECK_CALL(munmap(start, 8 * PAGE));
}

/** Written, and read-only before anybody who looks now and then can have seen it writable. */
static void seal(int round) {
  struct slot *slot = &sealed[round % SEALED];
  if (slot->pages != 0) CHECK_CALL(munmap(slot->start, slot->pages * PAGE));
  memset(slot, 0, sizeof *slot);
  void *want = (void *)(SEALED_AT + (uintptr_t)(round % SEALED) * SEALED_APART);
  int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
  CHECK(mmap(want, 4 * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0) == want);
  slot->start = want;
  slot->pages = 4;
  write_some(slot);
  CHECK_CALL(mprotect(slot->start, slot->pages * PAGE, PROT_READ));
  for (int i = 0; i < SEALED; i++) check_slot(&sealed[i]);
}

static void touch_sparse(int round) {
  for (int i = 0; i < 30; i++) {
    size_t page = below(SPARSE_PAGES);
    CHECK(*(uint32_t *)(sparse + page * PAGE + 128) == sparse_values[page]);
    sparse_values[page] = (uint32_t)next_random(&chance);
    *(uint32_t *)(sparse + page * PAGE + 128) = sparse_values[page];
  }
  if (round % 10 != 0) return;
  for (size_t page = 0; page < SPARSE_PAGES; page++) {
    if (sparse_values[page] == 0) continue;
    CHECK(*(uint32_t *)(sparse + page * PAGE + 128) == sparse_values[page]);
  }
}

int main(int argc, char **argv) {
  struct plan plan = start_plan("memory", argc, argv);
  sparse = mmap(NULL, (size_t)SPARSE_PAGES * PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  CHECK(sparse != MAP_FAILED);
  while (next_round(&plan)) {
    churn_mappings();
    // Before the heap: malloc must not move the break in between.
    move_break();
    churn_heap();
    give_back();
    seal(plan.round);
    touch_sparse(plan.round);
    end_round(&plan);
  }
  for (int i = 0; i < SLOTS; i++) check_slot(&slots[i]);
  if (plan.until_ns == 0) printf("digest %016llx\n", (unsigned long long)digest);
  return pass(&plan);
}
