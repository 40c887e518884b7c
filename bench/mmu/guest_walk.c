/*
 * Walks of four levels over tables that are warm in the cache; guest_walk.ts is its twin. Prints
 * nanoseconds of CPU time per walk.
 *
 * usage: guest_walk WALKS
 */
#define RAM_FIRST 0ull
#define RAM_FRAMES 4096ull
#include "guest_walk.h"

#include <stdio.h>
#include <time.h>

#define RAM_BYTES (RAM_FRAMES * 4096)
#define TABLES 16

static double cpu_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec * 1e9 + now.tv_nsec;
}

int main(int argc, char **argv) {
    if (argc != 2) return 2;
    long walks = atol(argv[1]);
    ram = aligned_alloc(4096, RAM_BYTES);
    for (size_t i = 0; i < RAM_BYTES / 8; i++) ram[i] = 0;
    const uint64_t flags = 0x67; /* P, W, U, A, D */
    ram[1 * 512] = 2 << 12 | flags;
    ram[2 * 512] = 3 << 12 | flags;
    for (uint64_t table = 0; table < TABLES; table++) {
        ram[3 * 512 + table] = (4 + table) << 12 | flags;
        for (uint64_t i = 0; i < 512; i++) {
            ram[(4 + table) * 512 + i] = (table * 512 + i) << 12 | flags;
        }
    }
    struct rules rules = { 0 };
    four_levels(&rules);
    struct walker walker = { .rules = &rules, .root = 1 };
    uint64_t sum = 0;
    double start = cpu_ns();
    for (long i = 0; i < walks; i++) {
        uint64_t address = (uint64_t)(i & (TABLES * 512 - 1)) << 12;
        if (walk(&walker, address, 6)) sum += walker.result.gfn;
    }
    double ns = (cpu_ns() - start) / walks;
    if (sum == 0) return 1;
    printf("%.3f\n", ns);
    return 0;
}
