/*
 * What the C twins of both engines share: the record of a fault, memslots, tables and their list, the
 * limits of a page, the progress guard, the clock. `faults.c` and `shadow_faults.c` include it.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PRESENT = 1, WRITE = 2, USER = 4, RSVD = 8, FETCH = 16 };
enum { P = 1, W = 2, U = 4, A = 32, D = 64, LARGE = 128, HOST_W = 1024, MMU_W = 2048 };
enum { CONTINUE, RETRY, EMULATE, INVALID, FIXED, SPURIOUS, NO_MEMORY, NO_SPACE, BAD };
enum { GAINED = 1, ALREADY_ALLOWED, GUEST_EXCEPTION, NOTIFIER = 5, GPTE_CHANGED, ROOT_INVALID = 9, SLOT_UPDATE };
enum { PF_FIXED, PF_GUEST, LPAGES, FLUSH, CACHE_MISS, EMULATION, MMIO_EXITS, ZAPPED, UNSYNC, COLLISIONS, STATS };
/* Flags of a table, then fields of its role: level 3:0, direct 7, access 10:8, as in KVM's. */
enum { INVALID_TABLE = 1, SHADOW = 2, NX_SPLIT = 4, UNSYNC_TABLE = 16 };
enum { ROLE_LEVEL = 15, ROLE_GPTE8 = 16, ROLE_DIRECT = 128, ROLE_ACCESS = 7 << 8 };
#define KIND (3ull << 52)
#define ADDRESS 0x000ffffffffff000ull
#define FIRST_PFN (1u << 21)
#define ROUNDS 9

struct host_page { int kind, writable, reserved, level; uint64_t pfn; };

struct slot {
    uint64_t base, frames, host_page;
    int read_only, invalid;
    uint32_t *dirty;
    uint16_t *tracked;
    int32_t *disallow[4], *rmap[4];
};

struct table {
    uint64_t gfn;
    uint32_t role;
    uint8_t flags, generation;
    int32_t roots, children;
    uint32_t next, prev;
    union { uint64_t *parent; struct { int32_t parents, unsync_children; }; };
};

struct fault {
    uint64_t address, gfn, pfn;
    uint32_t code, sequence;
    int present, write, fetch, reserved, prefault, tdp, huge_disallowed, has_page, map_writable;
    int max_level, requested, goal, cause;
    uint64_t slots_generation;
    struct slot *slot;
    struct host_page page;
};

struct guard { uint64_t address, rip, changes; uint32_t code, repeats; };

struct mmu {
    void (*get_page)(struct mmu *, uint64_t page, int write, int wait, struct host_page *into);
    void (*put_page)(struct mmu *, uint64_t pfn);
    int (*emulate)(struct mmu *, uint64_t address);
    int host_level, nx, root_level, address_bits, notifier_count;
    uint32_t sequence, generation, quota, used, free, free_count;
    uint64_t changes, notifier_start, notifier_end, slots_generation;
    uint64_t mmio_gfn, mmio_generation, rip;
    struct slot *slots[8], *last;
    int slot_count, updating, max_level;
    uint32_t root, table_count;
    uint64_t *words;
    struct table *tables;
    void *trace, *hooks;
    struct fault fault;
    struct guard guard;
    uint64_t stats[STATS];
};

static inline int present(uint64_t spte) { return spte && (spte & KIND) != KIND; }
static inline uint64_t pfn_of(uint64_t spte) { return (spte & ADDRESS) >> 12; }
static inline unsigned index_of(uint64_t address, int level) { return address >> (12 + 9 * (level - 1)) & 511; }
static inline uint64_t frames_at(int level) { return 1ull << 9 * (level - 1); }
static inline uint64_t block(uint64_t gfn, int level) { return gfn & ~(frames_at(level) - 1); }
/* Index of the block of `gfn` among those of its slot. */
static inline uint64_t block_index(struct slot *s, uint64_t gfn, int level) {
    return (gfn >> 9 * (level - 1)) - (s->base >> 9 * (level - 1));
}
static inline int obsolete(struct mmu *m, uint32_t t) {
    return m->tables[t].generation != m->generation || m->tables[t].flags & INVALID_TABLE;
}

/* Memory that is all there. */
static void get_page(struct mmu *m, uint64_t page, int write, int wait, struct host_page *into) {
    (void)write, (void)wait;
    *into = (struct host_page){ .kind = 0, .writable = 1, .level = m->host_level, .pfn = FIRST_PFN + page };
}
static void put_page(struct mmu *m, uint64_t pfn) { (void)m, (void)pfn; }

/* A table from the free ones, at the head of the active ones. */
static uint32_t take_table(struct mmu *m, uint64_t gfn, uint32_t role, uint8_t flags) {
    uint32_t t = m->free, first = m->tables[0].next;
    m->free = m->tables[t].next, m->free_count--, m->used++;
    m->tables[t] = (struct table){ .gfn = gfn, .role = role, .flags = flags, .generation = m->generation, .next = first };
    m->tables[first].prev = t, m->tables[0].next = t;
    m->stats[CACHE_MISS]++, m->changes++;
    return t;
}

static void free_all_tables(struct mmu *m) {
    m->free = m->free_count = m->used = 0, m->tables[0].next = m->tables[0].prev = 0;
    for (uint32_t t = m->table_count - 1; t > 0; t--) m->tables[t].next = m->free, m->free = t, m->free_count++;
}

static struct slot *find_slot(struct mmu *m, uint64_t gfn) {
    if (m->last && gfn - m->last->base < m->last->frames) return m->last;
    int low = 0, high = m->slot_count;
    while (low < high) {
        int middle = (low + high) / 2;
        if (m->slots[middle]->base <= gfn) low = middle + 1;
        else high = middle;
    }
    if (!low || gfn - m->slots[low - 1]->base >= m->slots[low - 1]->frames) return 0;
    return m->last = m->slots[low - 1];
}

static void mark_dirty(struct slot *s, uint64_t gfn) {
    if (s->dirty) s->dirty[(gfn - s->base) >> 5] |= 1u << ((gfn - s->base) & 31);
}

static inline int max_level(uint64_t gfn, int limit, struct slot *s, int host) {
    int level = limit < host ? limit : host;
    if (level == 1) return 1;
    if (!s || s->invalid || s->dirty) return 1;
    while (level > 1 && s->disallow[level][block_index(s, gfn, level)]) level--;
    return level;
}

/* The level that will be mapped. */
static inline int decide_level(struct mmu *m, struct fault *f) {
    int level = 1;
    if (f->has_page && !f->page.reserved) {
        level = max_level(f->gfn, f->max_level, f->slot, f->page.level);
        while (level > 1 && (((f->gfn ^ f->pfn) & (frames_at(level) - 1)) ||
               (m->notifier_count && f->gfn < m->notifier_end))) level--;
    }
    f->requested = level;
    f->huge_disallowed = f->fetch && m->nx;
    return f->huge_disallowed ? 1 : level;
}

static inline void begin(struct fault *f, uint64_t address, uint32_t code) {
    f->address = address, f->code = code;
    f->present = code & PRESENT, f->write = code & WRITE, f->fetch = code & FETCH, f->reserved = code & RSVD;
    f->prefault = f->huge_disallowed = f->has_page = f->map_writable = f->cause = 0;
    f->max_level = f->requested = f->goal = 1, f->slot = 0;
}

/* The frame behind `f->gfn`, which lies in `f->slot`. */
static inline int fault_in(struct mmu *m, struct fault *f) {
    struct slot *s = f->slot;
    if (s->invalid) return f->cause = SLOT_UPDATE, RETRY;
    if (s->read_only && f->write) return EMULATE;
    uint64_t page = s->host_page + (f->gfn - s->base);
    m->get_page(m, page, f->write, 0, &f->page);
    if (f->page.kind == 1) m->get_page(m, page, f->write, 1, &f->page);
    if (f->page.kind) return BAD;
    f->has_page = 1, f->pfn = f->page.pfn, f->map_writable = f->page.writable && !s->read_only;
    return CONTINUE;
}

/* The host takes away, or has taken away, what was looked up. */
static inline int stale(struct mmu *m, struct fault *f) {
    if (f->sequence == m->sequence && !m->notifier_count) return 0;
    uint64_t page = f->slot->host_page + (f->gfn - f->slot->base);
    return f->sequence != m->sequence || (page >= m->notifier_start && page < m->notifier_end);
}

/* What the vCPU does after a fault that need not be emulated. */
static inline int exit_of(struct mmu *m, struct fault *f, int result) {
    if (result == FIXED || result == SPURIOUS || result == RETRY) {
        struct guard *g = &m->guard;
        if (!f->cause) return -40;
        if (g->changes == m->changes && g->address == f->address && g->code == f->code && g->rip == m->rip) {
            if (++g->repeats >= 100) return -40;
        } else g->changes = m->changes, g->address = f->address, g->code = f->code, g->rip = m->rip, g->repeats = 0;
        return 1;
    }
    return result == NO_MEMORY ? -12 : result == NO_SPACE ? -28 : -14;
}

/* An MMU with one memslot from frame 0 on and room for `tables` tables. */
static struct mmu *make_mmu(struct mmu *m, uint32_t tables, uint64_t frames, int level) {
    m->get_page = get_page, m->put_page = put_page, m->host_level = level, m->root_level = 4, m->max_level = 3;
    m->table_count = tables, m->words = calloc(tables, 4096), m->tables = calloc(tables, sizeof *m->tables);
    free_all_tables(m);
    struct slot *s = calloc(1, sizeof *s);
    s->frames = frames;
    for (int l = 2; l <= 3; l++) s->disallow[l] = calloc(frames / frames_at(l) + 1, 4);
    m->slots[0] = s, m->slot_count = 1;
    return m;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}
