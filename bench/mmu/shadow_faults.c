/*
 * The C twin of the shadow engine in src/mmu/shadow: a guest with 4-level tables touches a gibibyte,
 * page by page; the same steps in the same order on the same data as shadow_faults.ts. Prints
 * nanoseconds of CPU time per fault, those of the fastest round.
 *
 * usage: shadow_faults
 */
#define PAGES (1ull << 18)
#define RAM_FIRST PAGES
#define RAM_FRAMES (3 + PAGES / 512)
#include "guest_walk.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PRESENT = 1, WRITE = 2, USER = 4, RSVD = 8, FETCH = 16 };
enum { P = 1, W = 2, U = 4, A = 32, D = 64, LARGE = 128, HOST_W = 1024, MMU_W = 2048 };
enum { CONTINUE, RETRY, EMULATE, FIXED, SPURIOUS, NO_MEMORY, NO_SPACE, BAD };
enum { PF_FIXED, PF_GUEST, FLUSH, CACHE_MISS, UNSYNC, ZAPPED, COLLISIONS, STATS };
enum { INVALID_TABLE = 1, SHADOW = 2, NX_SPLIT = 4, UNSYNC_TABLE = 16 };
/* A role: level 3:0, direct 7, access 10:8, as in KVM's. */
enum { ROLE_LEVEL = 15, ROLE_GPTE8 = 16, ROLE_DIRECT = 128, ROLE_ACCESS = 7 << 8 };
#define KIND (3ull << 52)
#define ADDRESS 0x000ffffffffff000ull
#define BUCKETS 4096
#define MAX_LEAVES 1000

struct host_page { int kind, writable, reserved, level; uint64_t pfn; };

struct slot {
    uint64_t base, frames, host_page;
    int read_only, invalid;
    uint32_t *dirty;
    uint16_t *tracked;
    int32_t *disallow[4];
    int32_t *rmap[4];
};

struct table {
    uint64_t gfn;
    uint32_t role;
    uint8_t flags, generation;
    int32_t roots, parent, unsync_children, flood;
    uint32_t next, prev, hash_next;
    uint32_t unsync_map[16];
};

struct descriptor { int32_t sptes[3], next; };

struct fault {
    uint64_t address, gfn, pfn;
    uint32_t code, sequence;
    int present, write, fetch, reserved, prefault, huge_disallowed, has_page, map_writable;
    int max_level, requested, goal, cause;
    uint64_t generation;
    struct slot *slot;
    struct host_page page;
};

struct guard { uint64_t address, rip, changes; uint32_t code, repeats; };

struct mmu {
    void (*get_page)(struct mmu *, uint64_t page, int write, int wait, struct host_page *into);
    void (*put_page)(struct mmu *, uint64_t pfn);
    int (*must_protect)(struct mmu *, uint64_t gfn, int can_unsync);
    int nx, max_page_level, notifier_count, indirect_pages, owns_table, smap_suspended;
    uint32_t sequence, generation, quota, used, free, free_count;
    uint64_t changes, notifier_start, notifier_end, slots_generation, rip;
    struct slot *slots[8], *last;
    int slot_count, has_roots;
    uint32_t root, root_role, buckets[BUCKETS];
    uint64_t *words, *gfns;
    struct table *tables;
    struct descriptor *descriptors;
    uint32_t free_descriptor, free_descriptors;
    uint64_t stats[STATS];
    void *trace, *hooks;
    struct walker walker;
    struct fault fault;
    struct guard guard;
};

static void get_page(struct mmu *m, uint64_t page, int write, int wait, struct host_page *into) {
    (void)m, (void)write, (void)wait;
    *into = (struct host_page){ .kind = 0, .writable = 1, .level = 1, .pfn = (1u << 21) + page };
}
static void put_page(struct mmu *m, uint64_t pfn) { (void)m, (void)pfn; }

static inline int present(uint64_t spte) { return spte && (spte & KIND) != KIND; }
static inline uint64_t pfn_of(uint64_t spte) { return (spte & ADDRESS) >> 12; }
static inline unsigned index_of(uint64_t address, int level) { return address >> (12 + 9 * (level - 1)) & 511; }
static inline uint64_t frames_at(int level) { return 1ull << 9 * (level - 1); }
static inline uint64_t block(uint64_t gfn, int level) { return gfn & ~(frames_at(level) - 1); }
static inline int obsolete(struct mmu *m, uint32_t t) {
    return m->tables[t].flags & INVALID_TABLE || m->tables[t].generation != m->generation;
}

/* Lists of SPTEs: 0, one SPTE times 2, or a descriptor times 2 plus 1. */
static int32_t list_add(struct mmu *m, int32_t head, int32_t spte) {
    if (!head) return spte * 2;
    struct descriptor *d = &m->descriptors[head >> 1];
    if (head & 1) for (int i = 1; i < 3; i++) if (!d->sptes[i]) return d->sptes[i] = spte, head;
    uint32_t first = m->free_descriptor;
    d = &m->descriptors[first];
    m->free_descriptor = d->next, m->free_descriptors--;
    *d = head & 1 ? (struct descriptor){ { spte }, head >> 1 } : (struct descriptor){ { head >> 1, spte }, 0 };
    return first * 2 + 1;
}

static int list_count(struct mmu *m, int32_t head) {
    if (!(head & 1)) return head != 0;
    struct descriptor *d = &m->descriptors[head >> 1];
    int count = 1 + !!d->sptes[1] + !!d->sptes[2];
    for (; d->next; d = &m->descriptors[d->next]) count += 3;
    return count;
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

static uint64_t table_gfn(struct mmu *m, int level) {
    struct walker *w = &m->walker;
    return level == w->rules->levels ? w->root : w->result.entries[level + 1] >> 12 & 0xffffffffffull;
}

static int unchanged(struct mmu *m, int level) {
    struct result *r = &m->walker.result;
    return ram[r->positions[level]] == r->entries[level];
}

/* Whether a table that translates the address lies in the block of level `size` around the frame. */
static int maps_own_table(struct mmu *m, struct fault *f, int size) {
    struct result *r = &m->walker.result;
    if (!(r->cache_access & 2) && (m->walker.rules->wp || f->code & USER)) return 0;
    uint64_t mine = block(r->gfn, size);
    for (int level = r->level; level <= m->walker.rules->levels; level++)
        if (mine == block(table_gfn(m, level), size)) return 1;
    return 0;
}

static int emulated(struct mmu *m, struct fault *f) {
    m->owns_table = maps_own_table(m, f, 1);
    return EMULATE;
}

static uint32_t access_at(struct mmu *m, int level) {
    uint64_t all = ~0ull, any = 0;
    for (int at = m->walker.rules->levels; at >= level; at--) all &= m->walker.result.entries[at], any |= m->walker.result.entries[at];
    return (all & 6) | (~any >> 63);
}

static void mark_unsync(struct mmu *m, uint32_t t) { (void)m, (void)t, abort(); }

static __attribute__((noinline)) int must_protect(struct mmu *m, uint64_t gfn, int can_unsync) {
    if (!m->indirect_pages) return 0;
    for (uint32_t t = m->buckets[gfn & (BUCKETS - 1)]; t; t = m->tables[t].hash_next) {
        struct table *x = &m->tables[t];
        if (x->gfn != gfn || x->role & ROLE_DIRECT || obsolete(m, t)) continue;
        if (!can_unsync || (x->role & ROLE_LEVEL) > 1) return 1;
        if (!(x->flags & UNSYNC_TABLE)) mark_unsync(m, t);
    }
    return 0;
}

static uint32_t get_table(struct mmu *m, uint64_t gfn, int level, int direct, uint32_t access) {
    uint32_t role = (m->root_role & ~(ROLE_LEVEL | ROLE_DIRECT | ROLE_ACCESS)) | level | (direct ? ROLE_DIRECT : 0) | access << 8;
    uint64_t collisions = 0;
    uint32_t *bucket = &m->buckets[gfn & (BUCKETS - 1)];
    for (uint32_t t = *bucket; t; t = m->tables[t].hash_next) {
        if (obsolete(m, t)) continue;
        if (m->tables[t].gfn != gfn) { collisions++; continue; }
        if (m->tables[t].role != role) continue;
        if (m->tables[t].flags & UNSYNC_TABLE) abort();
        m->tables[t].flood = 0;
        return t;
    }
    if (collisions > m->stats[COLLISIONS]) m->stats[COLLISIONS] = collisions;
    m->stats[CACHE_MISS]++, m->changes++;
    uint32_t t = m->free;
    struct table *x = &m->tables[t];
    m->free = x->next, m->free_count--, m->used++;
    uint32_t first = m->tables[0].next;
    *x = (struct table){ .gfn = gfn, .role = role, .flags = SHADOW, .generation = m->generation, .next = first, .hash_next = *bucket };
    m->tables[first].prev = t, m->tables[0].next = t, *bucket = t;
    if (direct) return t;
    struct slot *s = find_slot(m, gfn);
    m->indirect_pages++;
    if (level > 1) s->tracked[gfn - s->base]++;
    for (int l = 2; l <= 3; l++) s->disallow[l][gfn / frames_at(l) - s->base / frames_at(l)]++;
    if (level == 1) for (int l = 1; l <= 3; l++) {
        if (s->rmap[l] && s->rmap[l][gfn / frames_at(l) - s->base / frames_at(l)]) abort(); /* nobody maps tables here */
    }
    return t;
}

static void link_table(struct mmu *m, uint64_t spte, uint32_t child) {
    m->words[spte] = (uint64_t)child << 12 | P | W | U | A;
    m->changes++;
    m->tables[child].parent = list_add(m, m->tables[child].parent, spte);
    if (m->tables[child].unsync_children || m->tables[child].flags & UNSYNC_TABLE) mark_unsync(m, child);
}

static int max_level(struct fault *f) {
    int level = f->max_level < f->page.level ? f->max_level : f->page.level;
    struct slot *s = f->slot;
    if (level == 1 || !s || s->invalid || s->dirty) return 1;
    while (level > 1 && s->disallow[level][f->gfn / frames_at(level) - s->base / frames_at(level)]) level--;
    return level;
}

static int set_leaf(struct mmu *m, struct fault *f, uint64_t spte, int level, uint32_t access) {
    if (!f->has_page) abort();
    uint64_t gfn = block(f->gfn, level), pfn = block(f->pfn, level), old = m->words[spte], new;
    struct slot *s = f->slot;
    uint64_t before = m->changes;
    if (present(old)) abort();
    new = P | A | pfn << 12 | (access & 4) | (level > 1 ? LARGE : 0);
    if (!(access & 1) || (level > 1 && m->nx)) new |= 1ull << 63;
    int protected = 0;
    if (f->map_writable) {
        new |= HOST_W;
        if (access & 2) {
            if (level == 1 && ((s->tracked && s->tracked[gfn - s->base]) || m->must_protect(m, gfn, !f->prefault))) protected = 1;
            else {
                new |= MMU_W;
                if (f->write && s->dirty) s->dirty[(gfn - s->base) >> 5] |= 1u << ((gfn - s->base) & 31);
                if (!s->dirty || f->write) new |= W | D;
            }
        }
    }
    if (f->prefault) new &= ~(uint64_t)A;
    if (old != new) __atomic_store_n(&m->words[spte], new, __ATOMIC_RELEASE), m->changes++;
    struct table *x = &m->tables[spte / 512];
    if (!s->rmap[level]) s->rmap[level] = calloc(s->frames / frames_at(level) + 1, 4);
    int32_t *head = &s->rmap[level][gfn / frames_at(level) - s->base / frames_at(level)];
    if (!(x->role & ROLE_DIRECT)) m->gfns[spte] = gfn;
    *head = list_add(m, *head, spte);
    if (list_count(m, *head) > MAX_LEAVES) abort();
    if (protected) {
        m->stats[FLUSH]++;
        if (f->write) return f->cause = 1, EMULATE;
    }
    if (m->changes == before) return f->cause = 2, SPURIOUS;
    return f->cause = 1, FIXED;
}

static __attribute__((noinline)) int fetch(struct mmu *m, struct fault *f, uint32_t access) {
    int top = m->walker.rules->levels, level = top, guest_level = m->walker.result.level;
    if (!unchanged(m, top)) return f->cause = 6, RETRY;
    uint32_t t = m->root;
    if (!m->has_roots || !t) return f->cause = 9, RETRY;
    uint64_t spte = t * 512ull + index_of(f->address, level);
    for (; level > guest_level; level--) {
        m->tables[t].flood = 0;
        uint64_t old = m->words[spte];
        int is = present(old);
        if (is && old & LARGE) abort();
        uint32_t child = pfn_of(old);
        if (!is) child = get_table(m, table_gfn(m, level - 1), level - 1, 0, access_at(m, level));
        if (m->hooks) abort();
        if (!unchanged(m, level - 1)) return f->cause = 6, RETRY;
        if (!is) link_table(m, spte, child);
        t = child, spte = t * 512ull + index_of(f->address, level - 1);
    }
    int requested = 1;
    if (f->page.level > 1 && f->has_page && !f->page.reserved) {
        requested = max_level(f);
        while (requested > 1 && ((f->gfn ^ f->pfn) & (frames_at(requested) - 1))) requested--;
    }
    f->requested = requested, f->huge_disallowed = m->nx && f->fetch;
    f->goal = f->huge_disallowed ? 1 : requested;
    if (m->trace) abort();
    for (;; level--) {
        m->tables[t].flood = 0;
        uint64_t old = m->words[spte];
        if (level == f->goal) {
            if (level == 1 || !(present(old) && !(old & LARGE) && m->tables[pfn_of(old)].flags & NX_SPLIT)) break;
            f->goal--;
        }
        uint32_t child = pfn_of(old);
        if (present(old)) abort();
        child = get_table(m, block(f->gfn, level), level - 1, 1, access);
        link_table(m, spte, child);
        t = child, spte = t * 512ull + index_of(f->address, level - 1);
    }
    int result = set_leaf(m, f, spte, level, access);
    if (result != SPURIOUS) m->stats[PF_FIXED]++;
    return result;
}

static __attribute__((noinline)) int shadow_fault(struct mmu *m, struct fault *f) {
    struct walker *w = &m->walker;
    w->trace = m->trace, m->owns_table = 0;
    if (!walk(w, f->address, (f->code & (WRITE | USER | FETCH)) | (m->smap_suspended ? RSVD : 0))) {
        if (!f->prefault) m->stats[PF_GUEST]++;
        return f->cause = 3, RETRY;
    }
    f->gfn = w->result.gfn;
    struct slot *s = f->slot = find_slot(m, f->gfn);
    f->generation = m->slots_generation;
    if (s && f->present && f->write && s->tracked && s->tracked[f->gfn - s->base]) return emulated(m, f);
    if (m->hooks) abort();
    if (m->free_count < 8 || m->free_descriptors < 32) return NO_MEMORY;
    f->max_level = w->result.level < m->max_page_level ? w->result.level : m->max_page_level;
    if (f->max_level > 1 && maps_own_table(m, f, w->result.level)) f->max_level = 1;
    f->sequence = m->sequence;
    uint32_t access = w->result.cache_access;
    if (!s) abort();
    if (s->invalid) return f->cause = 10, RETRY;
    if (s->read_only && f->write) return emulated(m, f);
    uint64_t page = s->host_page + (f->gfn - s->base);
    m->get_page(m, page, f->write, 0, &f->page);
    if (f->page.kind) return BAD;
    f->has_page = 1, f->pfn = f->page.pfn, f->map_writable = f->page.writable && !s->read_only;
    if (f->write && !(access & 2) && !w->rules->wp && !(f->code & USER)) access = (access | 2) & ~4u;
    int result;
    if (f->sequence != m->sequence || (m->notifier_count && page >= m->notifier_start && page < m->notifier_end)) f->cause = 5, result = RETRY;
    else if (m->root && obsolete(m, m->root)) f->cause = 9, result = RETRY;
    else if (m->quota - m->used < 5) result = NO_SPACE;
    else result = fetch(m, f, access);
    m->put_page(m, f->pfn);
    return result == EMULATE ? emulated(m, f) : result;
}

static __attribute__((noinline)) int page_fault(struct mmu *m, uint64_t address, uint32_t code) {
    struct fault *f = &m->fault;
    if (!m->has_roots) return 0;
    f->address = address, f->code = code;
    f->present = code & PRESENT, f->write = code & WRITE, f->fetch = code & FETCH, f->reserved = code & RSVD;
    f->prefault = f->huge_disallowed = f->has_page = f->map_writable = f->cause = 0;
    f->max_level = f->requested = f->goal = 1, f->slot = 0;
    if (m->trace || f->reserved) abort();
    int result = shadow_fault(m, f);
    if (result == FIXED || result == SPURIOUS || result == RETRY) {
        struct guard *g = &m->guard;
        if (!f->cause) return -40;
        if (g->changes == m->changes && g->address == address && g->code == code && g->rip == m->rip) {
            if (++g->repeats >= 100) return -40;
        } else g->changes = m->changes, g->address = address, g->code = code, g->rip = m->rip, g->repeats = 0;
        return 1;
    }
    return result == NO_MEMORY ? -12 : result == NO_SPACE ? -28 : -14;
}

static const uint64_t table_count = PAGES / 512 + 64;

/* Throws all tables away and makes a root. */
static void reset(struct mmu *m) {
    struct slot *s = m->slots[0];
    memset(m->words, 0, table_count * 4096), memset(m->tables, 0, table_count * sizeof *m->tables);
    memset(m->buckets, 0, sizeof m->buckets), memset(s->tracked, 0, s->frames * 2);
    for (int l = 2; l <= 3; l++) memset(s->disallow[l], 0, (s->frames / frames_at(l) + 1) * 4);
    if (s->rmap[1]) memset(s->rmap[1], 0, (s->frames + 1) * 4);
    m->free = m->free_count = m->used = m->indirect_pages = 0;
    for (uint32_t t = table_count - 1; t > 0; t--) m->tables[t].next = m->free, m->free = t, m->free_count++;
    m->root_role = 4 | ROLE_GPTE8;
    m->root = get_table(m, PAGES, 4, 0, 7);
    m->tables[m->root].roots++, m->has_roots = 1;
}

static struct mmu *make(void) {
    static struct rules rules;
    four_levels(&rules);
    struct mmu *m = calloc(1, sizeof *m);
    struct slot *s = calloc(1, sizeof *s);
    m->get_page = get_page, m->put_page = put_page, m->must_protect = must_protect;
    m->max_page_level = 3, m->quota = 4096;
    m->words = calloc(table_count, 4096), m->gfns = calloc(table_count, 4096), m->tables = calloc(table_count, sizeof *m->tables);
    m->descriptors = calloc(256, sizeof *m->descriptors), m->free_descriptors = 255;
    s->frames = PAGES + RAM_FRAMES, s->tracked = calloc(s->frames, 2);
    for (int l = 2; l <= 3; l++) s->disallow[l] = calloc(s->frames / frames_at(l) + 1, 4);
    m->slots[0] = s, m->slot_count = 1;
    ram = calloc(RAM_FRAMES, 4096);
    const uint64_t flags = 0x67; /* P, W, U, A, D */
    ram[0] = (PAGES + 1) << 12 | flags, ram[512] = (PAGES + 2) << 12 | flags;
    for (uint64_t i = 0; i < PAGES / 512; i++) ram[1024 + i] = (PAGES + 3 + i) << 12 | flags;
    for (uint64_t i = 0; i < PAGES; i++) ram[1536 + i] = i << 12 | flags;
    m->walker.rules = &rules, m->walker.root = PAGES;
    return m;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * 1e9 + t.tv_nsec;
}

int main(void) {
    struct mmu *m = make();
    double best = 1e9;
    for (int round = 0; round < 9; round++) {
        reset(m);
        double start = now();
        for (uint64_t i = 0; i < PAGES; i++) if (page_fault(m, i << 12, WRITE | USER) != 1) return 1;
        double time = (now() - start) / PAGES;
        if (time < best) best = time;
    }
    if (m->stats[PF_FIXED] != 9 * PAGES) return 1;
    printf("%.2f\n", best);
    return 0;
}
