/**
 * Writes all of a large buffer at once, again and again, and finds in it what it wrote: deltas of
 * tens of MiB, which take longer than a failure timeout to make, to send and to apply.
 */
#include "check.h"

enum { WORDS = 6 << 20, STEP = 4099 };

int main(int argc, char **argv) {
  struct plan plan = start_plan("burst", argc, argv);
  uint64_t *words = malloc(WORDS * sizeof *words);
  CHECK(words != NULL);
  while (next_round(&plan)) {
    uint64_t round = (uint64_t)plan.round;
    if (round > 1) {
      for (uint64_t i = 0; i < WORDS; i += STEP) CHECK(words[i] == (round - 1) * 1000003 + i);
    }
    for (uint64_t i = 0; i < WORDS; i++) words[i] = round * 1000003 + i;
    end_round(&plan);
    sleep_ns(100 * NS_PER_MS);
  }
  return pass(&plan);
}
