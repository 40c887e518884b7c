/*
 * The C twin of the shadow engine in src/mmu/shadow: a guest with 4-level tables touches a gibibyte,
 * page by page; the same steps in the same order on the same data as shadow_faults.ts. It walks from
 * the root each time, as the specification of the path does; ours also remembers the last table that
 * it walked to. Prints nanoseconds of CPU time per fault, those of the fastest round.
 *
 * usage: shadow_faults
 */
#define PAGES (1ull << 18)
#define RAM_FIRST PAGES
#define RAM_FRAMES (3 + PAGES / 512)
#include "guest_walk.h"
#include "faults.h"

#define BUCKETS 4096
#define MAX_LEAVES 1000

struct descriptor { int32_t sptes[3], next; };

struct shadow {
    struct mmu mmu;
    int (*must_protect)(struct mmu *, uint64_t gfn, int can_unsync);
    int indirect_pages, owns_table, smap_suspended, has_roots;
    uint32_t root_role, buckets[BUCKETS], *hash_next, *flood, (*unsync_map)[16];
    uint64_t *gfns;
    struct descriptor *descriptors;
    uint32_t free_descriptor, free_descriptors;
    struct walker walker;
};

static inline struct shadow *of(struct mmu *m) { return (struct shadow *)m; }

/* Lists of SPTEs: 0, one SPTE times 2, or a descriptor times 2 plus 1. */
static int32_t list_add(struct mmu *m, int32_t head, int32_t spte) {
    if (!head) return spte * 2;
    struct descriptor *d = &of(m)->descriptors[head >> 1];
    if (head & 1) for (int i = 1; i < 3; i++) if (!d->sptes[i]) return d->sptes[i] = spte, head;
    uint32_t first = of(m)->free_descriptor;
    d = &of(m)->descriptors[first];
    of(m)->free_descriptor = d->next, of(m)->free_descriptors--;
    *d = head & 1 ? (struct descriptor){ { spte }, head >> 1 } : (struct descriptor){ { head >> 1, spte }, 0 };
    return first * 2 + 1;
}

static int list_count(struct mmu *m, int32_t head) {
    if (!(head & 1)) return head != 0;
    struct descriptor *d = &of(m)->descriptors[head >> 1];
    int count = 1 + !!d->sptes[1] + !!d->sptes[2];
    for (; d->next; d = &of(m)->descriptors[d->next]) count += 3;
    return count;
}

static uint64_t table_gfn(struct mmu *m, int level) {
    struct walker *w = &of(m)->walker;
    return level == w->rules->levels ? w->root : w->result.entries[level + 1] >> 12 & 0xffffffffffull;
}

static int unchanged(struct mmu *m, int level) {
    struct result *r = &of(m)->walker.result;
    return ram[r->positions[level]] == r->entries[level];
}

/* Whether a table that translates the address lies in the block of level `size` around the frame. */
static int maps_own_table(struct mmu *m, struct fault *f, int size) {
    struct result *r = &of(m)->walker.result;
    if (!(r->cache_access & 2) && (of(m)->walker.rules->wp || f->code & USER)) return 0;
    uint64_t mine = block(r->gfn, size);
    for (int level = r->level; level <= of(m)->walker.rules->levels; level++)
        if (mine == block(table_gfn(m, level), size)) return 1;
    return 0;
}

static int emulated(struct mmu *m, struct fault *f) {
    of(m)->owns_table = maps_own_table(m, f, 1);
    return EMULATE;
}

static uint32_t access_at(struct mmu *m, int level) {
    uint64_t all = ~0ull, any = 0;
    for (int at = of(m)->walker.rules->levels; at >= level; at--) all &= of(m)->walker.result.entries[at], any |= of(m)->walker.result.entries[at];
    return (all & 6) | (~any >> 63);
}

static void mark_unsync(struct mmu *m, uint32_t t) { (void)m, (void)t, abort(); }

static __attribute__((noinline)) int must_protect(struct mmu *m, uint64_t gfn, int can_unsync) {
    if (!of(m)->indirect_pages) return 0;
    for (uint32_t t = of(m)->buckets[gfn & (BUCKETS - 1)]; t; t = of(m)->hash_next[t]) {
        struct table *x = &m->tables[t];
        if (x->gfn != gfn || x->role & ROLE_DIRECT || obsolete(m, t)) continue;
        if (!can_unsync || (x->role & ROLE_LEVEL) > 1) return 1;
        if (!(x->flags & UNSYNC_TABLE)) mark_unsync(m, t);
    }
    return 0;
}

static uint32_t get_table(struct mmu *m, uint64_t gfn, int level, int direct, uint32_t access) {
    uint32_t role = (of(m)->root_role & ~(ROLE_LEVEL | ROLE_DIRECT | ROLE_ACCESS)) | level | (direct ? ROLE_DIRECT : 0) | access << 8;
    uint64_t collisions = 0;
    uint32_t *bucket = &of(m)->buckets[gfn & (BUCKETS - 1)];
    for (uint32_t t = *bucket; t; t = of(m)->hash_next[t]) {
        if (obsolete(m, t)) continue;
        if (m->tables[t].gfn != gfn) { collisions++; continue; }
        if (m->tables[t].role != role) continue;
        if (m->tables[t].flags & UNSYNC_TABLE) abort();
        of(m)->flood[t] = 0;
        return t;
    }
    if (collisions > m->stats[COLLISIONS]) m->stats[COLLISIONS] = collisions;
    uint32_t t = take_table(m, gfn, role, SHADOW);
    of(m)->hash_next[t] = *bucket, of(m)->flood[t] = 0, *bucket = t;
    memset(of(m)->unsync_map[t], 0, sizeof of(m)->unsync_map[t]);
    if (direct) return t;
    struct slot *s = find_slot(m, gfn);
    of(m)->indirect_pages++;
    if (level > 1) s->tracked[gfn - s->base]++;
    for (int l = 2; l <= 3; l++) s->disallow[l][block_index(s, gfn, l)]++;
    if (level == 1) for (int l = 1; l <= 3; l++) {
        if (s->rmap[l] && s->rmap[l][block_index(s, gfn, l)]) abort(); /* nobody maps tables here */
    }
    return t;
}

static void link_table(struct mmu *m, uint64_t spte, uint32_t child) {
    m->words[spte] = (uint64_t)child << 12 | P | W | U | A;
    m->changes++;
    m->tables[child].parents = list_add(m, m->tables[child].parents, spte);
    if (m->tables[child].unsync_children || m->tables[child].flags & UNSYNC_TABLE) mark_unsync(m, child);
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
            if (level == 1 && ((s->tracked && s->tracked[gfn - s->base]) || of(m)->must_protect(m, gfn, !f->prefault))) protected = 1;
            else {
                new |= MMU_W;
                if (f->write) mark_dirty(s, gfn);
                if (!s->dirty || f->write) new |= W | D;
            }
        }
    }
    if (f->prefault) new &= ~(uint64_t)A;
    if (old != new) __atomic_store_n(&m->words[spte], new, __ATOMIC_RELEASE), m->changes++;
    struct table *x = &m->tables[spte / 512];
    if (!s->rmap[level]) s->rmap[level] = calloc(s->frames / frames_at(level) + 1, 4);
    int32_t *head = &s->rmap[level][block_index(s, gfn, level)];
    if (!(x->role & ROLE_DIRECT)) of(m)->gfns[spte] = gfn;
    *head = list_add(m, *head, spte);
    if (list_count(m, *head) > MAX_LEAVES) abort();
    if (protected) {
        m->stats[FLUSH]++;
        if (f->write) return f->cause = GAINED, EMULATE;
    }
    if (m->changes == before) return f->cause = ALREADY_ALLOWED, SPURIOUS;
    return f->cause = GAINED, FIXED;
}

static __attribute__((noinline)) int fetch(struct mmu *m, struct fault *f, uint32_t access) {
    int top = of(m)->walker.rules->levels, level = top, guest_level = of(m)->walker.result.level;
    if (!unchanged(m, top)) return f->cause = GPTE_CHANGED, RETRY;
    uint32_t t = m->root;
    if (!of(m)->has_roots || !t) return f->cause = ROOT_INVALID, RETRY;
    uint64_t spte = t * 512ull + index_of(f->address, level);
    for (; level > guest_level; level--) {
        of(m)->flood[t] = 0;
        uint64_t old = m->words[spte];
        int is = present(old);
        if (is && old & LARGE) abort();
        uint32_t child = pfn_of(old);
        if (!is) child = get_table(m, table_gfn(m, level - 1), level - 1, 0, access_at(m, level));
        if (m->hooks) abort();
        if (!unchanged(m, level - 1)) return f->cause = GPTE_CHANGED, RETRY;
        if (!is) link_table(m, spte, child);
        t = child, spte = t * 512ull + index_of(f->address, level - 1);
    }
    f->goal = decide_level(m, f);
    if (m->trace) abort();
    for (;; level--) {
        of(m)->flood[t] = 0;
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
    struct walker *w = &of(m)->walker;
    w->trace = m->trace, of(m)->owns_table = 0;
    if (!walk(w, f->address, (f->code & (WRITE | USER | FETCH)) | (of(m)->smap_suspended ? RSVD : 0))) {
        if (!f->prefault) m->stats[PF_GUEST]++;
        return f->cause = GUEST_EXCEPTION, RETRY;
    }
    f->gfn = w->result.gfn;
    struct slot *s = f->slot = find_slot(m, f->gfn);
    f->slots_generation = m->slots_generation;
    if (s && f->present && f->write && s->tracked && s->tracked[f->gfn - s->base]) return emulated(m, f);
    if (m->hooks) abort();
    if (m->free_count < 8 || of(m)->free_descriptors < 32) return NO_MEMORY;
    f->max_level = w->result.level < m->max_level ? w->result.level : m->max_level;
    if (f->max_level > 1 && maps_own_table(m, f, w->result.level)) f->max_level = 1;
    f->sequence = m->sequence;
    uint32_t access = w->result.cache_access;
    if (!s) abort();
    int found = fault_in(m, f);
    if (found != CONTINUE) return found == EMULATE ? emulated(m, f) : found;
    if (f->write && !(access & 2) && !w->rules->wp && !(f->code & USER)) access = (access | 2) & ~4u;
    int result;
    if (stale(m, f)) f->cause = NOTIFIER, result = RETRY;
    else if (m->root && obsolete(m, m->root)) f->cause = ROOT_INVALID, result = RETRY;
    else if (m->quota - m->used < 5) result = NO_SPACE;
    else result = fetch(m, f, access);
    m->put_page(m, f->pfn);
    return result == EMULATE ? emulated(m, f) : result;
}

static __attribute__((noinline)) int page_fault(struct mmu *m, uint64_t address, uint32_t code) {
    struct fault *f = &m->fault;
    if (!of(m)->has_roots) return 0;
    begin(f, address, code);
    if (m->trace || f->reserved) abort();
    return exit_of(m, f, shadow_fault(m, f));
}

/* Throws all tables away and makes a root. */
static void reset(struct mmu *m) {
    struct slot *s = m->slots[0];
    memset(m->words, 0, m->table_count * 4096ull);
    memset(of(m)->buckets, 0, sizeof of(m)->buckets), memset(s->tracked, 0, s->frames * 2);
    for (int l = 2; l <= 3; l++) memset(s->disallow[l], 0, (s->frames / frames_at(l) + 1) * 4);
    if (s->rmap[1]) memset(s->rmap[1], 0, (s->frames + 1) * 4);
    free_all_tables(m);
    of(m)->indirect_pages = 0, of(m)->root_role = 4 | ROLE_GPTE8;
    m->root = get_table(m, PAGES, 4, 0, 7);
    m->tables[m->root].roots++, of(m)->has_roots = 1;
}

static struct mmu *make(void) {
    static struct rules rules;
    four_levels(&rules);
    const uint32_t tables = PAGES / 512 + 64;
    struct shadow *e = calloc(1, sizeof *e);
    struct mmu *m = make_mmu(&e->mmu, tables, PAGES + RAM_FRAMES, 1);
    m->quota = 4096, m->slots[0]->tracked = calloc(PAGES + RAM_FRAMES, 2);
    e->must_protect = must_protect, e->gfns = calloc(tables, 4096);
    e->hash_next = calloc(tables, 4), e->flood = calloc(tables, 4), e->unsync_map = calloc(tables, sizeof *e->unsync_map);
    e->descriptors = calloc(256, sizeof *e->descriptors), e->free_descriptors = 255;
    ram = calloc(RAM_FRAMES, 4096);
    const uint64_t flags = 0x67; /* P, W, U, A, D */
    ram[0] = (PAGES + 1) << 12 | flags, ram[512] = (PAGES + 2) << 12 | flags;
    for (uint64_t i = 0; i < PAGES / 512; i++) ram[1024 + i] = (PAGES + 3 + i) << 12 | flags;
    for (uint64_t i = 0; i < PAGES; i++) ram[1536 + i] = i << 12 | flags;
    e->walker.rules = &rules, e->walker.root = PAGES;
    return m;
}

int main(void) {
    struct mmu *m = make();
    double best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        reset(m);
        double start = now();
        for (uint64_t i = 0; i < PAGES; i++) if (page_fault(m, i << 12, WRITE | USER) != 1) return 1;
        double time = (now() - start) / PAGES;
        if (time < best) best = time;
    }
    if (m->stats[PF_FIXED] != ROUNDS * PAGES) return 1;
    printf("%.2f\n", best);
    return 0;
}
