/* The arithmetic of deformable attention with vectors of LANES floats.
 *
 * Included by deformable_attention_kernel.c once for each width; NAME(function) gives each copy its own names.
 */
typedef float NAME(Vector) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t NAME(Integers) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef float NAME(Four) __attribute__((vector_size(16), aligned(4), may_alias));
#define VECTOR NAME(Vector)
#define INTEGERS NAME(Integers)
#define FOUR NAME(Four)
#define AT(pointer) (*(VECTOR *)(pointer))
#define INTEGERS_AT(pointer) (*(INTEGERS *)(pointer))
#define ROUND_UP(count) (((count) + LANES - 1) / LANES * LANES)

/* What one thread needs. Of a query's samples there are `line` entries, the last of them filling up the vectors with
 * weight zero. Corners are top left, top right, bottom left, bottom right. */
typedef struct {
    int64_t samples;                 /* levels * points */
    int64_t line;                    /* of these arrays, samples rounded up */
    float *x, *y, *weights;          /* (line,): locations, later fractions of a cell right of and below top left */
    int32_t *offset;                 /* (4, line): floats from the start of the maps to the corner's channels */
    float *inside;                   /* (4, line): 1 where the corner is in the map, else 0 */
    float *share;                    /* (4, line): bilinear share of the corner, zero outside of the map */
    float *coefficient;              /* (4, line): share times attention weight */
    float *partial;                  /* (4, line, 4): four parts of the product of corner and grad_out */
    float *product;                  /* (4, line): product of corner and grad_out */
    float *row;                      /* (channels,): of the query, out or grad_out */
    float *maps, *grad_maps;         /* (S, channels): the head's in one block, or NULL to work in place */
    float *block;                    /* all of the above */
    int64_t channels;                /* d rounded up to whole vectors */
    int32_t step;                    /* floats from a cell to the next */
} NAME(Workspace);
#define WORKSPACE NAME(Workspace)

/* In place, vectors would run over the end of a head whose channels are not whole vectors. */
static int NAME(prepare)(WORKSPACE *space, const Sizes *sizes, int is_backward) {
    const int64_t samples = sizes->levels * sizes->points, line = padded(samples), channels = ROUND_UP(sizes->channels);
    const int64_t reads = 4 * samples * sizes->queries;
    const int is_copied = channels != sizes->channels || reads >= READS_THAT_PAY_FOR_A_COPY * sizes->tokens;
    const int64_t map = is_copied ? sizes->tokens * channels : 0;
    float *block = malloc((size_t)(39 * line + channels + (is_backward ? 2 : 1) * map) * sizeof(float));
    if (!block) return 1;
    memset(block, 0, (size_t)(39 * line + channels) * sizeof(float));
    *space = (WORKSPACE){
        .samples = samples,
        .line = line,
        .x = block,
        .y = block + line,
        .weights = block + 2 * line,
        .offset = (int32_t *)(block + 3 * line),
        .inside = block + 7 * line,
        .share = block + 11 * line,
        .coefficient = block + 15 * line,
        .partial = block + 19 * line,
        .product = block + 35 * line,
        .row = block + 39 * line,
        .maps = is_copied ? block + 39 * line + channels : NULL,
        .grad_maps = is_copied && is_backward ? block + 39 * line + channels + map : NULL,
        .block = block,
        .channels = channels,
        .step = (int32_t)(is_copied ? channels : sizes->heads * sizes->channels),
    };
    return 0;
}

static void NAME(gather_head)(const WORKSPACE *space, const Sizes *sizes, const float *head) {
    const int64_t channels = sizes->channels, step = sizes->heads * channels;
    for (int64_t token = 0; token < sizes->tokens; token++) {
        float *cell = space->maps + token * space->channels;
        memcpy(cell, head + token * step, (size_t)channels * sizeof(float));
        for (int64_t c = channels; c < space->channels; c++) cell[c] = 0;
    }
}

static INLINE VECTOR NAME(choose)(INTEGERS mask, VECTOR yes, VECTOR no) {
    return (VECTOR)((mask & (INTEGERS)yes) | (~mask & (INTEGERS)no));
}

/* `x` within [low, high]; what is not a number becomes `low`. */
static INLINE VECTOR NAME(clamp)(VECTOR x, VECTOR low, VECTOR high) {
    x = NAME(choose)(x > low, x, low);
    return NAME(choose)(x < high, x, high);
}

static INLINE VECTOR NAME(one_if)(INTEGERS mask) { return NAME(choose)(mask, (VECTOR){0} + 1, (VECTOR){0}); }

/* Where a coordinate, in cells from the first cell's centre, lies on an axis of `size` cells. */
typedef struct {
    INTEGERS low, high; /* the cells on both sides, moved to the nearest that exists */
    VECTOR fraction;    /* of the way from low to high; not a number, if the coordinate is none */
    VECTOR low_inside, high_inside; /* 1 or 0 */
} NAME(Axis);

static INLINE NAME(Axis) NAME(place)(VECTOR x, VECTOR size) {
    const VECTOR zero = {0}, last = size - 1;
    const VECTOR bounded = NAME(clamp)(x, zero - 2, size);
    const VECTOR truncated = __builtin_convertvector(__builtin_convertvector(bounded, INTEGERS), VECTOR);
    const VECTOR low = truncated - NAME(one_if)(truncated > bounded), high = low + 1;
    return (NAME(Axis)){
        .low = __builtin_convertvector(NAME(clamp)(low, zero, last), INTEGERS),
        .high = __builtin_convertvector(NAME(clamp)(high, zero, last), INTEGERS),
        .fraction = x - low,
        .low_inside = NAME(one_if)((low >= zero) & (low <= last)),
        .high_inside = NAME(one_if)((high >= zero) & (high <= last)),
    };
}

static INLINE void NAME(set_corner)(const WORKSPACE *space, int64_t i, VECTOR inside, VECTOR share, VECTOR weights,
                                   INTEGERS cell) {
    AT(space->inside + i) = inside;
    AT(space->share + i) = share * inside;
    AT(space->coefficient + i) = share * inside * weights;
    INTEGERS_AT(space->offset + i) = cell * space->step;
}

/* Corners of all samples of one query. */
static void NAME(locate)(const WORKSPACE *space, const Levels *levels) {
    const int64_t line = space->line;
    for (int64_t i = 0; i < ROUND_UP(space->samples); i += LANES) {
        const VECTOR width = AT(levels->width + i), height = AT(levels->height + i), weights = AT(space->weights + i);
        const NAME(Axis) x = NAME(place)(AT(space->x + i) * width - 0.5f, width);
        const NAME(Axis) y = NAME(place)(AT(space->y + i) * height - 0.5f, height);
        const INTEGERS start = INTEGERS_AT(levels->start + i), columns = __builtin_convertvector(width, INTEGERS);
        const INTEGERS top = start + y.low * columns, bottom = start + y.high * columns;
        const VECTOR right = x.fraction, below = y.fraction, left = 1 - right, above = 1 - below;
        const VECTOR p = x.low_inside * y.low_inside, q = x.high_inside * y.low_inside;
        const VECTOR r = x.low_inside * y.high_inside, s = x.high_inside * y.high_inside;
        NAME(set_corner)(space, i, p, left * above, weights, top + x.low);
        NAME(set_corner)(space, line + i, q, right * above, weights, top + x.high);
        NAME(set_corner)(space, 2 * line + i, r, left * below, weights, bottom + x.low);
        NAME(set_corner)(space, 3 * line + i, s, right * below, weights, bottom + x.high);
        AT(space->x + i) = right;
        AT(space->y + i) = below;
    }
}

static void NAME(read)(float *restrict x, float *restrict y, const float *restrict locations, int64_t samples) {
    for (int64_t i = 0; i < samples; i++) {
        x[i] = locations[2 * i];
        y[i] = locations[2 * i + 1];
    }
}

static void NAME(write)(float *restrict locations, const float *restrict x, const float *restrict y, int64_t samples) {
    for (int64_t i = 0; i < samples; i++) {
        locations[2 * i] = x[i];
        locations[2 * i + 1] = y[i];
    }
}

static void NAME(locate_query)(const WORKSPACE *space, const Call *call, int64_t row) {
    const int64_t samples = space->samples;
    NAME(read)(space->x, space->y, call->locations + 2 * row * samples, samples);
    memcpy(space->weights, call->weights + row * samples, (size_t)samples * sizeof(float));
    NAME(locate)(space, &call->levels);
}

/* row = sum of coefficient times corner. Four sums a vector hide the latency of the addition. */
static void NAME(mix)(const WORKSPACE *space, const float *maps, float *row) {
    const int64_t samples = space->samples, line = space->line;
    const float *const weight = space->coefficient;
    const int32_t *const offset = space->offset;
    int64_t c = 0;
    for (; c + 2 * LANES <= space->channels; c += 2 * LANES) {
        VECTOR p0 = {0}, p1 = {0}, q0 = {0}, q1 = {0}, r0 = {0}, r1 = {0}, s0 = {0}, s1 = {0};
        for (int64_t i = 0; i < samples; i++) {
            const float *const p = maps + offset[i] + c, *const q = maps + offset[line + i] + c;
            const float *const r = maps + offset[2 * line + i] + c, *const s = maps + offset[3 * line + i] + c;
            p0 += weight[i] * AT(p);
            p1 += weight[i] * AT(p + LANES);
            q0 += weight[line + i] * AT(q);
            q1 += weight[line + i] * AT(q + LANES);
            r0 += weight[2 * line + i] * AT(r);
            r1 += weight[2 * line + i] * AT(r + LANES);
            s0 += weight[3 * line + i] * AT(s);
            s1 += weight[3 * line + i] * AT(s + LANES);
        }
        AT(row + c) = (p0 + q0) + (r0 + s0);
        AT(row + c + LANES) = (p1 + q1) + (r1 + s1);
    }
    if (c == space->channels) return;
    VECTOR p = {0}, q = {0}, r = {0}, s = {0};
    for (int64_t i = 0; i < samples; i++) {
        p += weight[i] * AT(maps + offset[i] + c);
        q += weight[line + i] * AT(maps + offset[line + i] + c);
        r += weight[2 * line + i] * AT(maps + offset[2 * line + i] + c);
        s += weight[3 * line + i] * AT(maps + offset[3 * line + i] + c);
    }
    AT(row + c) = (p + q) + (r + s);
}

static FOUR NAME(fold)(VECTOR sum) {
    FOUR parts[LANES / 4];
    memcpy(parts, &sum, sizeof sum);
    for (int width = LANES / 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++) parts[i] += parts[i + width];
    return parts[0];
}

/* Of every corner: the parts of its product with grad_out, and coefficient times grad_out added to its gradient. */
static void NAME(scatter)(const WORKSPACE *space, const float *maps, float *grad_maps) {
    memset(space->partial, 0, (size_t)(16 * space->line) * sizeof(float));
    int64_t c = 0;
    for (; c + 2 * LANES <= space->channels; c += 2 * LANES) {
        const VECTOR grad0 = AT(space->row + c), grad1 = AT(space->row + c + LANES);
        for (int64_t corner = 0; corner < 4; corner++) {
            for (int64_t i = corner * space->line; i < corner * space->line + space->samples; i++) {
                const float *const cell = maps + space->offset[i] + c;
                float *const grad = grad_maps + space->offset[i] + c;
                *(FOUR *)(space->partial + 4 * i) += NAME(fold)(grad0 * AT(cell) + grad1 * AT(cell + LANES));
                AT(grad) += space->coefficient[i] * grad0;
                AT(grad + LANES) += space->coefficient[i] * grad1;
            }
        }
    }
    if (c == space->channels) return;
    const VECTOR grad = AT(space->row + c);
    for (int64_t corner = 0; corner < 4; corner++) {
        for (int64_t i = corner * space->line; i < corner * space->line + space->samples; i++) {
            *(FOUR *)(space->partial + 4 * i) += NAME(fold)(grad * AT(maps + space->offset[i] + c));
            AT(grad_maps + space->offset[i] + c) += space->coefficient[i] * grad;
        }
    }
}

static void NAME(sum_partial)(float *restrict product, const float *restrict partial, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        product[i] = (partial[4 * i] + partial[4 * i + 1]) + (partial[4 * i + 2] + partial[4 * i + 3]);
}

/* Gradients of one query's locations and weights; overwrites the fractions with the former. */
static void NAME(differentiate)(const WORKSPACE *space, const Levels *levels, float *grad_locations,
                                float *grad_weights) {
    const int64_t line = space->line;
    NAME(sum_partial)(space->product, space->partial, 4 * line);
    for (int64_t i = 0; i < ROUND_UP(space->samples); i += LANES) {
        const VECTOR p = AT(space->product + i), q = AT(space->product + line + i);
        const VECTOR r = AT(space->product + 2 * line + i), s = AT(space->product + 3 * line + i);
        const VECTOR x = AT(space->x + i), y = AT(space->y + i), weights = AT(space->weights + i);
        const VECTOR p_in = p * AT(space->inside + i), q_in = q * AT(space->inside + line + i);
        const VECTOR r_in = r * AT(space->inside + 2 * line + i), s_in = s * AT(space->inside + 3 * line + i);
        AT(space->x + i) = weights * AT(levels->width + i) * ((1 - y) * (q_in - p_in) + y * (s_in - r_in));
        AT(space->y + i) = weights * AT(levels->height + i) * ((1 - x) * (r_in - p_in) + x * (s_in - q_in));
        AT(space->weights + i) = (AT(space->share + i) * p + AT(space->share + line + i) * q) +
                                 (AT(space->share + 2 * line + i) * r + AT(space->share + 3 * line + i) * s);
    }
    NAME(write)(grad_locations, space->x, space->y, space->samples);
    memcpy(grad_weights, space->weights, (size_t)space->samples * sizeof(float));
}

static void NAME(forward_part)(const Call *call, const WORKSPACE *space, const Part *part) {
    const Sizes *const sizes = call->sizes;
    const float *maps = call->value + (part->picture * sizes->tokens * sizes->heads + part->head) * sizes->channels;
    if (space->maps) {
        NAME(gather_head)(space, sizes, maps);
        maps = space->maps;
    }
    for (int64_t query = part->first; query < part->last; query++) {
        const int64_t row = (part->picture * sizes->queries + query) * sizes->heads + part->head;
        NAME(locate_query)(space, call, row);
        NAME(mix)(space, maps, space->row);
        memcpy(call->out + row * sizes->channels, space->row, (size_t)sizes->channels * sizeof(float));
    }
}

static void NAME(backward_part)(const Call *call, const WORKSPACE *space, const Part *part) {
    const Sizes *const sizes = call->sizes;
    const int64_t samples = space->samples, step = sizes->heads * sizes->channels;
    const size_t channels = (size_t)sizes->channels * sizeof(float);
    const int64_t head = (part->picture * sizes->tokens * sizes->heads + part->head) * sizes->channels;
    const float *maps = call->value + head;
    float *grad_maps = call->grad_value + head;
    if (space->maps) {
        NAME(gather_head)(space, sizes, maps);
        maps = space->maps;
        grad_maps = space->grad_maps;
        memset(grad_maps, 0, (size_t)(sizes->tokens * space->channels) * sizeof(float));
    }
    for (int64_t query = part->first; query < part->last; query++) {
        const int64_t row = (part->picture * sizes->queries + query) * sizes->heads + part->head;
        NAME(locate_query)(space, call, row);
        memcpy(space->row, call->grad_out + row * sizes->channels, channels);
        NAME(scatter)(space, maps, grad_maps);
        NAME(differentiate)(space, &call->levels, call->grad_locations + 2 * row * samples,
                            call->grad_weights + row * samples);
    }
    if (!space->maps) return;
    for (int64_t token = 0; token < sizes->tokens; token++)
        memcpy(call->grad_value + head + token * step, grad_maps + token * space->channels, channels);
}

/* Parts are taken one after the other from `next`, which all threads share. */
static int NAME(work)(const Call *call, const Part *parts, int64_t count, int64_t *next, int is_backward) {
    WORKSPACE space;
    if (NAME(prepare)(&space, call->sizes, is_backward)) return 1;
    for (;;) {
        const int64_t part = __atomic_fetch_add(next, 1, __ATOMIC_RELAXED);
        if (part >= count) break;
        if (is_backward)
            NAME(backward_part)(call, &space, parts + part);
        else
            NAME(forward_part)(call, &space, parts + part);
    }
    free(space.block);
    return 0;
}

static int NAME(forward)(const Call *call, const Part *parts, int64_t count, int64_t *next) {
    return NAME(work)(call, parts, count, next, 0);
}

static int NAME(backward)(const Call *call, const Part *parts, int64_t count, int64_t *next) {
    return NAME(work)(call, parts, count, next, 1);
}

#undef VECTOR
#undef FOUR
#undef WORKSPACE
#undef INTEGERS
#undef AT
#undef INTEGERS_AT
#undef ROUND_UP
