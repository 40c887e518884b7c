/*
 * The C twin of the guest walk in src/mmu/walk: the same checks, the same record filled. Whoever
 * includes it defines RAM_FIRST and RAM_FRAMES: the frames that guest tables may lie in, at `ram`.
 */
#include <stdint.h>
#include <stdlib.h>

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
    int64_t positions[6];
};

struct walker {
    const struct rules *rules;
    const void *nested, *trace;
    uint64_t root, address;
    uint32_t pkru;
    struct result result;
};

static uint64_t *ram;

static inline int64_t word_of(uint64_t gfn) {
    return gfn - RAM_FIRST < RAM_FRAMES ? (int64_t)((gfn - RAM_FIRST) * 512) : -1;
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
        base |= address >> (12 + 9 * (level - 1)) & 511;
        pte = __atomic_load_n(&ram[base], __ATOMIC_RELAXED);
        result->entries[level] = pte;
        result->positions[level] = base;
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

/* The rules of 4-level paging with write protection, NX and 46 bits of physical address. */
static void four_levels(struct rules *rules) {
    rules->levels = 4, rules->keys = 0, rules->wp = 1;
    for (int row = 2; row < 12; row++) rules->reserved[row] = 0xfc00000000000ull;
    for (int i = 0; i < 16; i++) {
        rules->permissions[i] = (i & 1 ? 0x33 : 0) | (i & 2 ? 0x0f : 0) | (i & 8 ? 0x55 : 0);
    }
}
