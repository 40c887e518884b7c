/*
 * The C twin of the direct engine in src/mmu: the same steps in the same order on the same data. It
 * walks from the root each time, as the specification of the path does; ours also remembers the last
 * tables that it walked to. Prints nanoseconds of CPU time per fault, those of the fastest round: what
 * else runs on the machine only adds.
 *
 * usage: faults map4k|map2m|spurious|mmio|log
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PRESENT = 1, WRITE = 2, USER = 4, RSVD = 8, FETCH = 16 };
enum { P = 1, W = 2, U = 4, A = 32, D = 64, LARGE = 128, HOST_W = 1024, MMU_W = 2048 };
enum { CONTINUE, RETRY, EMULATE, INVALID, FIXED, SPURIOUS, NO_MEMORY, NO_SPACE, BAD };
enum { PF_FIXED, LPAGES, FLUSH, CACHE_MISS, EMULATION, MMIO_EXITS, ZAPPED, STATS };
#define KIND (3ull << 52)
#define MMIO_VALUE (KIND | 1ull << 51 | P)
#define ADDRESS 0x000ffffffffff000ull

struct host_page { int kind, writable, reserved, level; uint64_t pfn; };

struct slot {
    uint64_t base, frames, host_page;
    int read_only, invalid;
    uint32_t *dirty;
    uint16_t *tracked;
    int32_t *disallow[4];
};

struct table { uint64_t gfn; uint32_t role; uint8_t flags, generation; int32_t roots, children; uint64_t *parent; uint32_t next, prev; };

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
    int slot_count, updating;
    uint32_t root;
    uint64_t *words;
    struct table *tables;
    uint64_t stats[STATS];
    void *trace, *hooks;
    struct fault fault;
    struct guard guard;
};

static void get_page(struct mmu *m, uint64_t page, int write, int wait, struct host_page *into) {
    (void)write, (void)wait;
    *into = (struct host_page){ .kind = 0, .writable = 1, .level = m->host_level, .pfn = (1u << 21) + page };
}
static void put_page(struct mmu *m, uint64_t pfn) { (void)m, (void)pfn; }
static int emulate(struct mmu *m, uint64_t address) { (void)m, (void)address; return 0; }

static inline int present(uint64_t spte) { return spte && (spte & KIND) != KIND; }
static inline int leaf(uint64_t spte, int level) { return level == 1 || spte & LARGE; }
static inline uint64_t pfn_of(uint64_t spte) { return (spte & ADDRESS) >> 12; }
static inline unsigned index_of(uint64_t address, int level) { return address >> (12 + 9 * (level - 1)) & 511; }
static inline uint64_t frames_at(int level) { return 1ull << 9 * (level - 1); }

static uint32_t take_table(struct mmu *m, uint64_t gfn, uint32_t role) {
    uint32_t t = m->free;
    m->free = m->tables[t].next;
    m->free_count--, m->used++;
    struct table *x = &m->tables[t];
    x->gfn = gfn, x->role = role, x->flags = 0, x->generation = m->generation, x->roots = 0, x->children = 0, x->parent = 0;
    uint32_t first = m->tables[0].next;
    x->next = first, x->prev = 0, m->tables[first].prev = t, m->tables[0].next = t;
    return t;
}

static void zap(struct mmu *m, uint32_t t) {
    struct table *x = &m->tables[t];
    int level = x->role & 15;
    for (int i = 0; i < 512; i++) {
        uint64_t spte = m->words[t * 512ull + i];
        if (present(spte) && !leaf(spte, level)) zap(m, pfn_of(spte));
        else if (spte) {
            if (present(spte) && spte & LARGE) m->stats[LPAGES]--;
            m->words[t * 512ull + i] = 0, m->changes++;
        }
    }
    m->stats[ZAPPED]++;
    if (x->parent) *x->parent = 0;
    if (t == m->root) return;
    m->tables[x->prev].next = x->next, m->tables[x->next].prev = x->prev;
    x->next = m->free, m->free = t, m->free_count++, m->used--;
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

static int max_level(uint64_t gfn, int limit, struct slot *s, int host) {
    int level = limit < host ? limit : host;
    if (level == 1) return 1;
    if (!s || s->invalid || s->dirty) return 1;
    while (level > 1 && s->disallow[level][(gfn >> 9 * (level - 1)) - (s->base >> 9 * (level - 1))]) level--;
    return level;
}

static __attribute__((noinline)) int fast_path(struct mmu *m, struct fault *f) {
    if (f->reserved || (f->fetch && f->present) || !(f->write && f->present)) return INVALID;
    if (m->tables[m->root].generation != m->generation || m->tables[m->root].flags & 1) return INVALID;
    for (int tries = 0; tries < 5; tries++) {
        int level = m->root_level;
        uint64_t *p = &m->words[m->root * 512ull + index_of(f->address, level)], old = *p;
        while (present(old) && !leaf(old, level)) {
            level--;
            p = &m->words[pfn_of(old) * 512 + index_of(f->address, level)], old = *p;
        }
        if (!present(old)) return INVALID;
        if (f->fetch ? old & P && !(old >> 63) : f->write ? old & W : old & P) { f->cause = 2; return SPURIOUS; }
        uint64_t new = old;
        if (f->write && (old & (HOST_W | MMU_W)) == (HOST_W | MMU_W)) {
            if (level > 1) return INVALID;
            new |= W;
        }
        if (new == old) return INVALID;
        if (__atomic_compare_exchange_n(p, &old, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            m->changes++;
            if (f->slot) mark_dirty(f->slot, f->gfn);
            f->cause = 1;
            return FIXED;
        }
    }
    return INVALID;
}

static __attribute__((noinline)) int map(struct mmu *m, struct fault *f) {
    int level = 1;
    if (f->has_page && !f->page.reserved) {
        level = max_level(f->gfn, f->max_level, f->slot, f->page.level);
        while (level > 1 && (((f->gfn ^ f->pfn) & (frames_at(level) - 1)) ||
               (m->notifier_count && f->gfn < m->notifier_end))) level--;
    }
    f->requested = level;
    f->huge_disallowed = f->fetch && m->nx;
    int goal = f->huge_disallowed ? 1 : level, at = m->root_level;
    uint32_t table = m->root;
    uint64_t *p;
    for (;;) {
        p = &m->words[table * 512ull + index_of(f->address, at)];
        uint64_t spte = *p;
        int is = present(spte), large = at > 1 && spte & LARGE;
        if (at == goal) {
            if (!(at > 1 && is && !large && m->tables[pfn_of(spte)].flags & 4)) break;
            goal--;
        }
        if (is && !large) table = pfn_of(spte);
        else {
            if (is) *p = 0, m->stats[FLUSH]++;
            uint32_t child = take_table(m, f->gfn & ~(frames_at(at) - 1), (m->tables[table].role & ~15u) | (at - 1));
            m->tables[child].parent = p;
            m->tables[table].children++;
            m->stats[CACHE_MISS]++;
            *p = (uint64_t)child << 12 | P | W | U | A;
            m->changes++;
            table = child;
        }
        at--;
    }
    f->goal = goal;
    uint64_t old = *p, spte;
    if (!f->has_page) {
        spte = MMIO_VALUE | f->gfn << 12 | 6 | (f->slots_generation & 511) << 3 | (f->slots_generation >> 9 & 511) << 54;
        *p = spte, m->changes++, m->stats[PF_FIXED]++, f->cause = 1;
        return EMULATE;
    }
    uint64_t mask = frames_at(goal) - 1, pfn = f->pfn & ~mask, gfn = f->gfn & ~mask;
    int mapped = present(old);
    if (mapped && goal > 1 && !(old & LARGE)) zap(m, pfn_of(old)), mapped = 0, m->stats[FLUSH]++;
    else if (mapped && pfn_of(old) != pfn) *p = 0, mapped = 0, m->stats[FLUSH]++;
    old = *p;
    struct slot *s = f->slot;
    spte = P | A | U | pfn << 12;
    if (goal > 1 && m->nx) spte |= 1ull << 63;
    if (goal > 1) spte |= LARGE;
    int protected = 0;
    if (f->map_writable) {
        spte |= HOST_W;
        if (!(mapped && old & W) && goal == 1 && s->tracked && s->tracked[gfn - s->base]) protected = 1;
        else {
            spte |= MMU_W;
            if (!s->dirty || f->write) { spte |= W | D; if (f->write) mark_dirty(s, gfn); }
        }
    }
    int result = FIXED;
    f->cause = 1;
    if (mapped && old == spte) result = SPURIOUS, f->cause = 2;
    else if (old != spte) { __atomic_store_n(p, spte, __ATOMIC_RELEASE); m->changes++; }
    if (protected && f->write) result = EMULATE;
    if (!mapped && goal > 1) m->stats[LPAGES]++;
    if (result != SPURIOUS) m->stats[PF_FIXED]++;
    return result;
}

static __attribute__((noinline)) int direct_fault(struct mmu *m, struct fault *f) {
    f->tdp = 1, f->gfn = f->address >> 12, f->max_level = 3;
    struct slot *s = f->slot = find_slot(m, f->gfn);
    f->slots_generation = m->slots_generation;
    if (s && f->present && f->write && !f->reserved && s->tracked && s->tracked[f->gfn - s->base]) return EMULATE;
    int fast = fast_path(m, f);
    if (fast != INVALID) return fast;
    if (m->hooks) abort();
    if (m->free_count < 8) return NO_MEMORY;
    f->sequence = m->sequence;
    if (!s) {
        if (!m->updating) m->mmio_gfn = f->gfn, m->mmio_generation = m->slots_generation;
    } else {
        if (s->invalid) return RETRY;
        if (s->read_only && f->write) return EMULATE;
        uint64_t page = s->host_page + (f->gfn - s->base);
        m->get_page(m, page, f->write, 0, &f->page);
        if (f->page.kind == 1) m->get_page(m, page, f->write, 1, &f->page);
        if (f->page.kind) return BAD;
        f->has_page = 1, f->pfn = f->page.pfn, f->map_writable = f->page.writable && !s->read_only;
    }
    int result;
    if (s && (f->sequence != m->sequence || (m->notifier_count && f->gfn >= m->notifier_start && f->gfn < m->notifier_end))) result = RETRY;
    else if (m->tables[m->root].generation != m->generation || m->tables[m->root].flags & 1) result = RETRY;
    else if (m->quota - m->used < 5) result = NO_SPACE;
    else result = map(m, f);
    if (f->has_page) m->put_page(m, f->pfn);
    return result;
}

static __attribute__((noinline)) int page_fault(struct mmu *m, uint64_t address, uint32_t code) {
    struct fault *f = &m->fault;
    if (!m->root) return 0;
    f->address = address, f->code = code;
    f->present = code & PRESENT, f->write = code & WRITE, f->fetch = code & FETCH, f->reserved = code & RSVD;
    f->prefault = f->huge_disallowed = f->has_page = f->map_writable = f->cause = 0;
    f->max_level = f->requested = f->goal = 1, f->slot = 0;
    if (m->trace) abort();
    if (address >> m->address_bits || address >> 48) return -14;
    int result = INVALID;
    if (f->reserved && m->mmio_gfn && address >> 12 == m->mmio_gfn && m->mmio_generation == m->slots_generation && !m->updating)
        result = EMULATE;
    if (result == INVALID) result = direct_fault(m, f);
    if (result == FIXED || result == SPURIOUS || result == RETRY) {
        struct guard *g = &m->guard;
        if (!f->cause) return -40;
        if (g->changes == m->changes && g->address == address && g->code == code && g->rip == m->rip) {
            if (++g->repeats >= 100) return -40;
        } else g->changes = m->changes, g->address = address, g->code = code, g->rip = m->rip, g->repeats = 0;
        return 1;
    }
    if (result == EMULATE) {
        m->stats[EMULATION]++;
        int exit = m->emulate(m, address);
        if (!exit) m->stats[MMIO_EXITS]++;
        return exit;
    }
    return result == NO_MEMORY ? -12 : result == NO_SPACE ? -28 : -14;
}

static struct mmu *make(int level, uint64_t frames, int log) {
    struct mmu *m = calloc(1, sizeof *m);
    uint32_t tables = frames / 512 + frames / 512 / 512 + 64;
    m->get_page = get_page, m->put_page = put_page, m->emulate = emulate;
    m->host_level = level, m->root_level = 4, m->address_bits = 48, m->quota = 1 << 17;
    m->words = calloc(tables, 4096), m->tables = calloc(tables, sizeof *m->tables);
    for (uint32_t t = tables - 1; t > 0; t--) m->tables[t].next = m->free, m->free = t, m->free_count++;
    struct slot *s = calloc(1, sizeof *s);
    s->frames = frames;
    for (int l = 2; l <= 3; l++) s->disallow[l] = calloc(frames / frames_at(l) + 1, 4);
    if (log) s->dirty = calloc(frames / 32 + 1, 4);
    m->slots[0] = s, m->slot_count = 1;
    m->root = take_table(m, 0, 4);
    if (page_fault(m, 0x80fee01000, WRITE | USER) != 0) abort();
    return m;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

static void must(int exit, int expected) {
    if (exit != expected) fprintf(stderr, "faults: exit %d, expected %d\n", exit, expected), exit > 0 ? abort() : _Exit(1);
}

static void map_all(struct mmu *m, uint64_t pages, uint64_t bytes) {
    for (uint64_t i = 0; i < pages; i++) must(page_fault(m, i * bytes, WRITE | USER), 1);
}

static const int rounds = 9;
static const uint64_t pages = 1 << 18, blocks = 1 << 17, warm = 4096, many = 1000000;

static void protect_all(struct mmu *m) {
    for (uint64_t t = 1; t < pages / 512 + 64; t++)
        if ((m->tables[t].role & 15) == 1 && m->tables[t].parent)
            for (int i = 0; i < 512; i++) m->words[t * 512 + i] &= ~(uint64_t)W;
    memset(m->slots[0]->dirty, 0, pages / 8);
}

static void write_again(struct mmu *m, uint64_t count, uint64_t span) {
    for (uint64_t i = 0; i < count; i++) must(page_fault(m, (i & (span - 1)) << 12, PRESENT | WRITE | USER), 1);
}

int main(int argc, char **argv) {
    const char *kind = argc > 1 ? argv[1] : "";
    int is_4k = !strcmp(kind, "map4k"), is_2m = !strcmp(kind, "map2m"), is_log = !strcmp(kind, "log");
    int is_mmio = !strcmp(kind, "mmio"), is_spurious = !strcmp(kind, "spurious");
    if (is_4k + is_2m + is_log + is_mmio + is_spurious != 1) return 2;
    uint64_t frames = is_2m ? blocks * 512 : is_4k || is_log ? pages : warm;
    struct mmu *m = make(is_2m ? 2 : 1, frames, is_log);
    if (!is_2m) map_all(m, frames, 4096);
    double best = 1e9;
    for (int r = 0; r < rounds; r++) {
        uint64_t count = is_4k || is_log ? pages : is_2m ? blocks : many;
        if (is_log) protect_all(m);
        else if (is_4k || is_2m) zap(m, m->root);
        double start = now();
        if (is_4k) map_all(m, pages, 4096);
        else if (is_2m) map_all(m, blocks, 2 << 20);
        else if (is_log) write_again(m, pages, pages);
        else if (is_spurious) write_again(m, many, warm);
        else for (uint64_t i = 0; i < many; i++) must(page_fault(m, 0x80fee01000, RSVD | PRESENT | WRITE | USER), 0);
        double time = (now() - start) / count;
        if (time < best) best = time;
    }
    printf("%.2f\n", best);
    return 0;
}
