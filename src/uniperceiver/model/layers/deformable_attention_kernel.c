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
#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int64_t batch, tokens, heads, channels, queries, levels, points;
} Sizes;

/* The sampled level of each of a query's samples, so that the arithmetic runs over all of them at once. */
typedef struct {
    float *width, *height;
    int32_t *start;
} Levels;

typedef struct {
    const Sizes *sizes;
    Levels levels;
    const float *value, *locations, *weights;
    float *out;            /* forward only */
    const float *grad_out; /* from here on backward only */
    float *grad_value, *grad_locations, *grad_weights;
} Call;

/* One head of one picture, and the queries [first, last) of it. */
typedef struct {
    int64_t picture, head, first, last;
} Part;

/* Samples per cell from which gathering a head's maps into one block pays for the copy: a guess between measurements
 * (900 queries read each cell 3 times and lose by it; 17,821 read each 64 times and gain). */
enum { READS_THAT_PAY_FOR_A_COPY = 8 };

/* Entries of a table of samples: whole vectors of every width. */
static int64_t padded(int64_t samples) { return (samples + 15) / 16 * 16; }

#define INLINE inline __attribute__((always_inline))
#define LANES 4
#define NAME(function) function##_lanes4
#include "deformable_attention_lanes.h"
#undef LANES
#undef NAME

#if defined(__x86_64__)
#define WIDER_LANES
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
#if defined(WIDER_LANES)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return 16;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return 8;
#endif
    return 4;
}

typedef int (*Worker)(const Call *call, const Part *parts, int64_t count, int64_t *next);

static Worker choose_worker(int lanes, int is_backward) {
#if defined(WIDER_LANES)
    if (lanes == 16) return is_backward ? backward_lanes16 : forward_lanes16;
    if (lanes == 8) return is_backward ? backward_lanes8 : forward_lanes8;
#endif
    (void)lanes;
    return is_backward ? backward_lanes4 : forward_lanes4;
}

/* Tables of `padded(levels * points)` entries, the last for samples of no level. */
static int make_levels(Levels *levels, const Sizes *sizes, const int64_t *shapes) {
    const int64_t line = padded(sizes->levels * sizes->points);
    float *block = malloc((size_t)line * (2 * sizeof(float) + sizeof(int32_t)));
    if (!block) return 1;
    *levels = (Levels){.width = block, .height = block + line, .start = (int32_t *)(block + 2 * line)};
    int64_t start = 0, sample = 0;
    for (int64_t level = 0; level < sizes->levels; level++) {
        const int64_t rows = shapes[2 * level], columns = shapes[2 * level + 1];
        for (int64_t point = 0; point < sizes->points; point++, sample++) {
            levels->width[sample] = (float)columns;
            levels->height[sample] = (float)rows;
            levels->start[sample] = (int32_t)start;
        }
        start += rows * columns;
    }
    for (; sample < line; sample++) {
        levels->width[sample] = levels->height[sample] = 1;
        levels->start[sample] = 0;
    }
    return 0;
}

/* Heads of pictures, each cut into `slices` runs of queries. */
static Part *make_parts(const Sizes *sizes, int64_t slices) {
    Part *parts = malloc((size_t)(sizes->batch * sizes->heads * slices) * sizeof(Part));
    if (!parts) return NULL;
    Part *part = parts;
    for (int64_t picture = 0; picture < sizes->batch; picture++)
        for (int64_t head = 0; head < sizes->heads; head++)
            for (int64_t slice = 0; slice < slices; slice++)
                *part++ = (Part){picture, head, sizes->queries * slice / slices, sizes->queries * (slice + 1) / slices};
    return parts;
}

/* Returns 0, or 1 when there was not enough memory (the results are then unfinished). */
static int run(Call *call, const int64_t *shapes, Worker worker, int64_t slices, int threads) {
    const Sizes *sizes = call->sizes;
    const int64_t count = sizes->batch * sizes->heads * slices;
    Part *parts = make_parts(sizes, slices);
    if (!parts) return 1;
    if (make_levels(&call->levels, sizes, shapes)) {
        free(parts);
        return 1;
    }
    int64_t next = 0;
    int failed = 0;
    if (threads > count) threads = (int)count;
#pragma omp parallel num_threads(threads) reduction(| : failed)
    failed |= worker(call, parts, count, &next);
    free(parts);
    free(call->levels.width);
    return failed;
}

/* `sizes` holds B, S, heads, d, Q, levels, points. Writes every entry of `out`. */
int deformable_attention_forward(const int64_t *sizes, const int64_t *shapes, const float *value,
                                 const float *locations, const float *weights, float *out, int lanes, int threads) {
    const Sizes known = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};
    const int64_t heads = known.batch * known.heads;
    /* Four slices a thread keep the threads busy to the end when there are few heads. */
    int64_t slices = heads >= 4 * threads ? 1 : (4 * threads + heads - 1) / heads;
    if (slices > known.queries) slices = known.queries;
    Call call = {.sizes = &known, .value = value, .locations = locations, .weights = weights, .out = out};
    return run(&call, shapes, choose_worker(lanes, 0), slices, threads);
}

/* Adds to `grad_value`, which the caller has set to zero; writes every entry of the other two gradients. */
int deformable_attention_backward(const int64_t *sizes, const int64_t *shapes, const float *value,
                                  const float *locations, const float *weights, const float *grad_out,
                                  float *grad_value, float *grad_locations, float *grad_weights, int lanes,
                                  int threads) {
    const Sizes known = {sizes[0], sizes[1], sizes[2], sizes[3], sizes[4], sizes[5], sizes[6]};
    Call call = {
        .sizes = &known,
        .value = value,
        .locations = locations,
        .weights = weights,
        .grad_out = grad_out,
        .grad_value = grad_value,
        .grad_locations = grad_locations,
        .grad_weights = grad_weights,
    };
    return run(&call, shapes, choose_worker(lanes, 1), 1, threads);
}
