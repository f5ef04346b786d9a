/* Multi-scale deformable attention on a processor: the weighted sum of bilinear samples, and its gradients.
 *
 * Plain C, loaded with ctypes: no headers of Python or PyTorch. Shape letters as in model/__init__.py; every array is
 * contiguous float32:
 *   value (B, S, heads, d)   locations (B, Q, heads, levels, points, 2)   weights (B, Q, heads, levels, points)
 *   out (B, Q, heads * d)    shapes (levels, 2) int64, (h, w) of every level
 *
 * The arithmetic is in deformable_attention_lanes.h, compiled once for each vector width of the processor family; the
 * widest that the running processor has is taken. A thread works on one head of one picture at a time, so that no two
 * threads ever add to the same gradient and the result does not depend on their number.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define INLINE inline __attribute__((always_inline))

enum {
    LINE = 64,      /* bytes of a cache line: vectors that straddle two cost twice */
    CHUNK = 16,     /* samples computed together: whole vectors of every width */
    MAX_LANES = 16, /* rows of channels are rounded up to whole vectors of every width, too */
    /* Reads of a cell from which gathering a head's maps into one block pays for the copy: between 3, where it was
     * measured to lose (900 queries), and 64, where it gains (17,821 queries). */
    READS_THAT_PAY_FOR_A_COPY = 8,
    /* Prefetched, because what belongs to one head lies too far apart for the processor to guess: */
    CELLS_AHEAD = 24,  /* while gathering */
    QUERIES_AHEAD = 4, /* while sampling */
};

typedef struct {
    int64_t batch, tokens, heads, channels, queries, levels, points;
} Sizes;

/* Of the level of each sample of a chunk; samples that fill up the last chunk are of a level of one cell. */
typedef struct {
    _Alignas(LINE) float width[CHUNK], height[CHUNK];
    int32_t columns[CHUNK], start[CHUNK];
} Levels;

/* A chunk of the samples of one query. Corners are top left, top right, bottom left, bottom right. */
typedef struct {
    _Alignas(LINE) float x[CHUNK], y[CHUNK];       /* locations, then fractions of a cell right of and below top left */
    float weight[CHUNK];                           /* of attention */
    int32_t offset[4][CHUNK];                      /* floats from the start of the maps to the corner's channels */
    float inside[4][CHUNK];                        /* 1 where the corner is in the map, else 0 */
    float share[4][CHUNK], coefficient[4][CHUNK];  /* bilinear, zero outside of the map; times weight */
    float partial[4][CHUNK][4], product[4][CHUNK]; /* of corner and grad_out, in four parts and whole */
    int count;                                     /* of true samples, the first ones */
} Samples;

typedef struct {
    const Sizes *sizes;
    const int64_t *shapes;
    const float *value, *locations, *weights;
    float *out;            /* forward only */
    const float *grad_out; /* from here on backward only */
    float *grad_value, *grad_locations, *grad_weights;
} Call;

/* One head of one picture, and the queries [first, last) of it. */
typedef struct {
    int64_t picture, head, first, last;
} Part;

/* What one thread needs. */
typedef struct {
    int64_t chunks;    /* of a query's levels * points samples */
    Levels *levels;    /* (chunks,) */
    Samples *samples;  /* (chunks,) */
    float *row;        /* (channels,): of the query, out or grad_out */
    float *maps;       /* (S, channels): the head's in one block, or NULL to read them in place */
    float *grad_maps;  /* the same for their gradient */
    int64_t channels;  /* d, rounded up for a block */
    int32_t step;      /* floats from a cell to the next */
} Workspace;

typedef void (*Work)(const Call *call, const Workspace *space, const Part *part);

static INLINE void prefetch(const float *from, int64_t count) {
    for (int64_t i = 0; i < count; i += LINE / (int64_t)sizeof(float)) __builtin_prefetch(from + i);
}

static INLINE void prefetch_to_write(const float *from, int64_t count) {
    for (int64_t i = 0; i < count; i += LINE / (int64_t)sizeof(float)) __builtin_prefetch(from + i, 1);
}

/* What the part's head reads and writes at a later query. */
static INLINE void prefetch_query(const Call *call, const Part *part, int64_t query, const int is_backward) {
    const Sizes *const sizes = call->sizes;
    const int64_t count = sizes->levels * sizes->points, channels = sizes->channels;
    const int64_t row = (part->picture * sizes->queries + query) * sizes->heads + part->head;
    if (query >= part->last) return;
    prefetch(call->locations + 2 * row * count, 2 * count);
    prefetch(call->weights + row * count, count);
    if (is_backward) {
        prefetch(call->grad_out + row * channels, channels);
        prefetch_to_write(call->grad_locations + 2 * row * count, 2 * count);
        prefetch_to_write(call->grad_weights + row * count, count);
    } else {
        prefetch_to_write(call->out + row * channels, channels);
    }
}

static INLINE void read_samples(Samples *samples, const float *restrict locations, const float *restrict weights) {
    if (samples->count == CHUNK) { /* a loop of known length becomes a few vectors */
        for (int i = 0; i < CHUNK; i++) samples->x[i] = locations[2 * i], samples->y[i] = locations[2 * i + 1];
        memcpy(samples->weight, weights, sizeof samples->weight);
        return;
    }
    for (int i = 0; i < samples->count; i++) {
        samples->x[i] = locations[2 * i];
        samples->y[i] = locations[2 * i + 1];
        samples->weight[i] = weights[i];
    }
}

static INLINE void write_samples(const Samples *samples, float *restrict locations, float *restrict weights) {
    for (int i = 0; i < samples->count; i++) {
        locations[2 * i] = samples->x[i];
        locations[2 * i + 1] = samples->y[i];
        weights[i] = samples->weight[i];
    }
}

/* Halving twice, because compilers know how to take every second entry, not every fourth. */
static INLINE void sum_partial(float *restrict product, const float *restrict partial) {
    float pairs[8 * CHUNK];
    for (int i = 0; i < 8 * CHUNK; i++) pairs[i] = partial[2 * i] + partial[2 * i + 1];
    for (int i = 0; i < 4 * CHUNK; i++) product[i] = pairs[2 * i] + pairs[2 * i + 1];
}

static int64_t start_of_head(const Sizes *sizes, const Part *part) {
    return (part->picture * sizes->tokens * sizes->heads + part->head) * sizes->channels;
}

/* The first cell of the part's head: in its block, or in place. */
static const float *gather_head(const Call *call, const Workspace *space, const Part *part) {
    const Sizes *const sizes = call->sizes;
    const int64_t step = sizes->heads * sizes->channels;
    const float *cell = call->value + start_of_head(sizes, part);
    if (!space->maps) return cell;
    for (int64_t token = 0; token < sizes->tokens; token++, cell += step) {
        if (token + CELLS_AHEAD < sizes->tokens) prefetch(cell + CELLS_AHEAD * step, sizes->channels);
        memcpy(space->maps + token * space->channels, cell, (size_t)sizes->channels * sizeof(float));
    }
    return space->maps;
}

/* Where the gradient of the part's head is added up; zero. */
static float *start_gradient(const Call *call, const Workspace *space, const Part *part) {
    if (!space->maps) return call->grad_value + start_of_head(call->sizes, part);
    memset(space->grad_maps, 0, (size_t)(call->sizes->tokens * space->channels) * sizeof(float));
    return space->grad_maps;
}

static void finish_gradient(const Call *call, const Workspace *space, const Part *part) {
    const Sizes *const sizes = call->sizes;
    if (!space->maps) return;
    float *cell = call->grad_value + start_of_head(sizes, part);
    for (int64_t token = 0; token < sizes->tokens; token++, cell += sizes->heads * sizes->channels)
        memcpy(cell, space->grad_maps + token * space->channels, (size_t)sizes->channels * sizeof(float));
}

#define LANES 4
#define NAME(function) function##_lanes4
#include "deformable_attention_lanes.h"
#undef LANES
#undef NAME

#if defined(__x86_64__)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif
#define LANES 8
#define NAME(function) function##_lanes8
#include "deformable_attention_lanes.h"
#undef LANES
#undef NAME
#if defined(__clang__)
#pragma clang attribute pop
#pragma clang attribute push(__attribute__((target("avx512f,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC pop_options
#pragma GCC push_options
#pragma GCC target("avx512f,avx512dq,avx512vl,avx2,fma,prefer-vector-width=512")
#endif
#define LANES 16
#define NAME(function) function##_lanes16
#include "deformable_attention_lanes.h"
#undef LANES
#undef NAME
#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

/* Lanes of the widest vectors this processor computes with. */
int deformable_attention_lanes(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 16;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 8;
#endif
    return 4;
}

static Work choose_work(int lanes, int is_backward) {
#if defined(__x86_64__)
    if (lanes == 16) return is_backward ? backward_lanes16 : forward_lanes16;
    if (lanes == 8) return is_backward ? backward_lanes8 : forward_lanes8;
#endif
    (void)lanes;
    return is_backward ? backward_lanes4 : forward_lanes4;
}

static void set_levels(Workspace *space, const Sizes *sizes, const int64_t *shapes) {
    const int64_t count = sizes->levels * sizes->points;
    int64_t start = 0, level = 0;
    for (int64_t sample = 0; sample < space->chunks * CHUNK; sample++) {
        Levels *const levels = space->levels + sample / CHUNK;
        const int i = (int)(sample % CHUNK), is_true = sample < count;
        if (is_true && sample / sizes->points > level) start += shapes[2 * level] * shapes[2 * level + 1], level++;
        levels->height[i] = is_true ? (float)shapes[2 * level] : 1;
        levels->width[i] = is_true ? (float)shapes[2 * level + 1] : 1;
        levels->columns[i] = (int32_t)levels->width[i];
        levels->start[i] = is_true ? (int32_t)start : 0;
        space->samples[sample / CHUNK].count += is_true;
    }
}

/* Returns 1 if there is no memory. In place, vectors would run over the end of a head that is not whole vectors. */
static int prepare(Workspace *space, const Call *call, int is_backward) {
    const Sizes *const sizes = call->sizes;
    const int64_t count = sizes->levels * sizes->points, chunks = (count + CHUNK - 1) / CHUNK;
    const int64_t channels = (sizes->channels + MAX_LANES - 1) / MAX_LANES * MAX_LANES;
    const int is_block = channels != sizes->channels ||
                         4 * count * sizes->queries >= READS_THAT_PAY_FOR_A_COPY * sizes->tokens;
    const size_t map = is_block ? (size_t)(sizes->tokens * channels) * sizeof(float) : 0;
    const size_t tables = (size_t)chunks * (sizeof(Levels) + sizeof(Samples)) + (size_t)channels * sizeof(float);
    char *const memory = aligned_alloc(LINE, tables + (is_backward ? 2 : 1) * map);
    if (!memory) return 1;
    memset(memory, 0, tables + (channels == sizes->channels ? 0 : map));
    *space = (Workspace){
        .chunks = chunks,
        .levels = (Levels *)memory,
        .samples = (Samples *)(memory + (size_t)chunks * sizeof(Levels)),
        .row = (float *)(memory + (size_t)chunks * (sizeof(Levels) + sizeof(Samples))),
        .maps = is_block ? (float *)(memory + tables) : NULL,
        .grad_maps = is_block && is_backward ? (float *)(memory + tables + map) : NULL,
        .channels = channels,
        .step = (int32_t)(is_block ? channels : sizes->heads * channels),
    };
    set_levels(space, sizes, call->shapes);
    return 0;
}

/* Every thread takes the next part until none is left. Returns 1 if a thread had no memory: the result is unfinished. */
static int run(const Call *call, Work work, int is_backward, int64_t slices, int threads) {
    const Sizes *const sizes = call->sizes;
    const int64_t parts = sizes->batch * sizes->heads * slices;
    int64_t next = 0;
    int failed = 0;
#pragma omp parallel num_threads(threads < parts ? threads : (int)parts) reduction(| : failed)
    {
        Workspace space;
        failed = prepare(&space, call, is_backward);
        for (int64_t i = 0; !failed && (i = __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED)) < parts;) {
            const int64_t head = i / slices, slice = i % slices;
            const Part part = {head / sizes->heads, head % sizes->heads, sizes->queries * slice / slices,
                               sizes->queries * (slice + 1) / slices};
            work(call, &space, &part);
        }
        if (!failed) free(space.levels);
    }
    return failed;
}

/* `sizes` holds B, S, heads, d, Q, levels, points, all at least 1. Writes every entry of `out`. */
int deformable_attention_forward(const int64_t *sizes, const int64_t *shapes, const float *value,
                                 const float *locations, const float *weights, float *out, int lanes, int threads) {
    const Sizes known = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};
    const Call call = {
        .sizes = &known, .shapes = shapes, .value = value, .locations = locations, .weights = weights, .out = out};
    /* Few heads are cut into slices of queries, to keep many threads busy to the end. */
    const int64_t heads = known.batch * known.heads, wanted = (4 * threads + heads - 1) / heads;
    return run(&call, choose_work(lanes, 0), 0, wanted < known.queries ? wanted : known.queries, threads);
}

/* Adds to `grad_value`, which the caller has set to zero; writes every entry of the other two gradients. */
int deformable_attention_backward(const int64_t *sizes, const int64_t *shapes, const float *value,
                                  const float *locations, const float *weights, const float *grad_out,
                                  float *grad_value, float *grad_locations, float *grad_weights, int lanes,
                                  int threads) {
    const Sizes known = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};
    const Call call = {
        .sizes = &known,
        .shapes = shapes,
        .value = value,
        .locations = locations,
        .weights = weights,
        .grad_out = grad_out,
        .grad_value = grad_value,
        .grad_locations = grad_locations,
        .grad_weights = grad_weights,
    };
    return run(&call, choose_work(lanes, 1), 1, 1, threads);
}
