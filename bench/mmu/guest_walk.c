/*
 * The C twin of the four-level guest walk in src/mmu/walk: the same tables, the same checks, the
 * same record filled. Prints nanoseconds of CPU time per walk.
 *
 * usage: guest_walk WALKS
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RAM_BYTES (16u << 20)
#define TABLES 16

struct rules {
    int levels;
    int keys, wp;
    uint64_t reserved[12];
    uint8_t permissions[16];
};

struct result {
    int fault, level;
    uint64_t gfn;
    uint32_t access, cache_access;
    uint64_t entries[6];
};

struct walker {
    const struct rules *rules;
    const void *nested, *trace;
    uint64_t root, address;
    uint32_t pkru;
    struct result result;
};

static uint64_t *ram;
static uint64_t ram_frames = RAM_BYTES / 4096;

static int64_t word_of(uint64_t gfn) {
    return gfn < ram_frames ? (int64_t)(gfn * 512) : -1;
}

/* Not inlined: into its one caller the compiler would fold the role and the kind of access. */
static __attribute__((noinline)) int walk(struct walker *w, uint64_t address, uint32_t access) {
    const struct rules *rules = w->rules;
    struct result *result = &w->result;
    uint64_t table = w->root, all = ~0ull, any = 0, pte = 0;
    int level;
    w->address = address;
    if (w->nested || w->trace) abort();
    for (level = rules->levels;; level--) {
        int64_t base = word_of(table);
        if (base < 0) return 0;
        pte = __atomic_load_n(&ram[base + (address >> (12 + 9 * (level - 1)) & 511)], __ATOMIC_RELAXED);
        result->entries[level] = pte;
        if (!(pte & 1)) return 0;
        if (pte & rules->reserved[level * 2 + (pte >> 7 & 1)]) return 0;
        all &= pte;
        any |= pte;
        table = pte >> 12 & 0xffffffffffull;
        if (level == 1 || pte & 0x80) break;
    }
    uint32_t acc = (all & 6) | (~any >> 63);
    if (rules->permissions[access >> 1 & 15] >> acc & 1) return 0;
    if (rules->keys && (acc & 4) && !(access & 16)) {
        uint32_t rights = w->pkru >> ((pte >> 59 & 15) * 2);
        if (rights & 1) return 0;
        if ((rights & 2) && (access & 2) && (rules->wp || (access & 4))) return 0;
    }
    if (!(all & 0x20)) return 0;
    uint32_t cache_access = acc;
    if (!(pte & 0x40)) {
        if (access & 2) return 0;
        cache_access &= ~2u;
    }
    uint64_t frames = 1ull << (9 * (level - 1));
    result->gfn = (table & ~(frames - 1)) + (address >> 12 & (frames - 1));
    result->fault = 0;
    result->level = level;
    result->access = acc;
    result->cache_access = cache_access;
    return 1;
}

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
    struct rules rules = { .levels = 4, .keys = 0, .wp = 1 };
    for (int row = 2; row < 12; row++) rules.reserved[row] = 0xfc00000000000ull;
    for (int i = 0; i < 16; i++) {
        rules.permissions[i] = (i & 1 ? 0x33 : 0) | (i & 2 ? 0x0f : 0) | (i & 8 ? 0x55 : 0);
    }
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
