/* The arithmetic of deformable attention with vectors of LANES floats.
 *
 * Included by deformable_attention_kernel.c once for each width; NAME(function) gives each copy its own names.
 */
typedef float NAME(Vector) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
typedef int32_t NAME(Integers) __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
#define VECTOR NAME(Vector)
#define INTEGERS NAME(Integers)
#define AT(pointer) (*(VECTOR *)(pointer))
#define INTEGERS_AT(pointer) (*(INTEGERS *)(pointer))

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
    INTEGERS low, high;             /* the cells on both sides, moved to the nearest that exists */
    VECTOR fraction;                /* of the way from low to high; not a number, if the coordinate is none */
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
        .fraction = bounded - low + (x - x),
        .low_inside = NAME(one_if)((low >= zero) & (low <= last)),
        .high_inside = NAME(one_if)((high >= zero) & (high <= last)),
    };
}

static INLINE void NAME(set_corner)(Samples *samples, int corner, int i, VECTOR inside, VECTOR share, INTEGERS offset) {
    AT(samples->inside[corner] + i) = inside;
    AT(samples->share[corner] + i) = share * inside;
    AT(samples->coefficient[corner] + i) = share * inside * AT(samples->weight + i);
    INTEGERS_AT(samples->offset[corner] + i) = offset;
}

/* The corners around every sample, from its location and weight. */
static INLINE void NAME(locate)(Samples *samples, const Levels *levels, int32_t step) {
    for (int i = 0; i < CHUNK; i += LANES) {
        const VECTOR width = AT(levels->width + i), height = AT(levels->height + i);
        const NAME(Axis) x = NAME(place)(AT(samples->x + i) * width - 0.5f, width);
        const NAME(Axis) y = NAME(place)(AT(samples->y + i) * height - 0.5f, height);
        const INTEGERS start = INTEGERS_AT(levels->start + i), columns = INTEGERS_AT(levels->columns + i);
        const INTEGERS top = start + y.low * columns, bottom = start + y.high * columns;
        const VECTOR right = x.fraction, below = y.fraction, left = 1 - right, above = 1 - below;
        const VECTOR p = x.low_inside * y.low_inside, q = x.high_inside * y.low_inside;
        const VECTOR r = x.low_inside * y.high_inside, s = x.high_inside * y.high_inside;
        NAME(set_corner)(samples, 0, i, p, left * above, (top + x.low) * step);
        NAME(set_corner)(samples, 1, i, q, right * above, (top + x.high) * step);
        NAME(set_corner)(samples, 2, i, r, left * below, (bottom + x.low) * step);
        NAME(set_corner)(samples, 3, i, s, right * below, (bottom + x.high) * step);
        AT(samples->x + i) = right;
        AT(samples->y + i) = below;
    }
}

/* Reads the samples of one head of one query. */
static void NAME(locate_query)(const Workspace *space, const Call *call, int64_t row) {
    const int64_t count = call->sizes->levels * call->sizes->points;
    const float *const locations = call->locations + 2 * row * count, *const weights = call->weights + row * count;
    for (int64_t chunk = 0; chunk < space->chunks; chunk++) {
        Samples *const samples = space->samples + chunk;
        const int64_t first = chunk * CHUNK;
        read_samples(samples, locations + 2 * first, weights + first);
        NAME(locate)(samples, space->levels + chunk, space->step);
    }
}

/* `vectors` (one or two) of the row, from c on: the sum of coefficient times corner. A sum for each corner hides the
 * latency of the additions. */
static INLINE void NAME(mix)(const Workspace *space, const float *maps, float *row, const int vectors) {
    VECTOR sum[4][2] = {{{0}}};
    for (int64_t chunk = 0; chunk < space->chunks; chunk++) {
        const Samples *const samples = space->samples + chunk;
        const int count = samples->count;
        for (int i = 0; i < count; i++) {
            for (int corner = 0; corner < 4; corner++) {
                const float *const cell = maps + samples->offset[corner][i];
                const float coefficient = samples->coefficient[corner][i];
                sum[corner][0] += coefficient * AT(cell);
                if (vectors == 2) sum[corner][1] += coefficient * AT(cell + LANES);
            }
        }
    }
    AT(row) = (sum[0][0] + sum[1][0]) + (sum[2][0] + sum[3][0]);
    if (vectors == 2) AT(row + LANES) = (sum[0][1] + sum[1][1]) + (sum[2][1] + sum[3][1]);
}

typedef float NAME(Four) __attribute__((vector_size(16), aligned(4), may_alias));

static INLINE NAME(Four) NAME(fold)(VECTOR sum) {
    NAME(Four) parts[LANES / 4];
    memcpy(parts, &sum, sizeof sum);
    for (int width = LANES / 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++) parts[i] += parts[i + width];
    return parts[0];
}

/* Of every corner, over `vectors` of its channels: four parts of the product with grad_out, added to those of earlier
 * channels; and coefficient times grad_out, added to the gradient of the cell. */
static INLINE void NAME(scatter)(const Workspace *space, const float *maps, float *grad_maps, const float *row,
                                 const int vectors, const int is_first) {
    const VECTOR grad0 = AT(row), grad1 = vectors == 2 ? AT(row + LANES) : grad0;
    for (int64_t chunk = 0; chunk < space->chunks; chunk++) {
        Samples *const samples = space->samples + chunk;
        const int count = samples->count;
        for (int i = 0; i < count; i++) {
            for (int corner = 0; corner < 4; corner++) {
                const float *const cell = maps + samples->offset[corner][i];
                float *const grad = grad_maps + samples->offset[corner][i];
                const float coefficient = samples->coefficient[corner][i];
                VECTOR product = grad0 * AT(cell);
                if (vectors == 2) product += grad1 * AT(cell + LANES);
                NAME(Four) *const partial = (NAME(Four) *)samples->partial[corner][i];
                const NAME(Four) folded = NAME(fold)(product);
                if (is_first)
                    *partial = folded;
                else
                    *partial += folded;
                AT(grad) += coefficient * grad0;
                if (vectors == 2) AT(grad + LANES) += coefficient * grad1;
            }
        }
    }
}

/* Gradients of locations and weights, which take the place of the fractions and the weights. */
static INLINE void NAME(differentiate)(Samples *samples, const Levels *levels) {
    sum_partial(samples->product[0], samples->partial[0][0]);
    for (int i = 0; i < CHUNK; i += LANES) {
        const VECTOR p = AT(samples->product[0] + i), q = AT(samples->product[1] + i);
        const VECTOR r = AT(samples->product[2] + i), s = AT(samples->product[3] + i);
        const VECTOR x = AT(samples->x + i), y = AT(samples->y + i), weight = AT(samples->weight + i);
        const VECTOR p_in = p * AT(samples->inside[0] + i), q_in = q * AT(samples->inside[1] + i);
        const VECTOR r_in = r * AT(samples->inside[2] + i), s_in = s * AT(samples->inside[3] + i);
        AT(samples->x + i) = weight * AT(levels->width + i) * ((1 - y) * (q_in - p_in) + y * (s_in - r_in));
        AT(samples->y + i) = weight * AT(levels->height + i) * ((1 - x) * (r_in - p_in) + x * (s_in - q_in));
        AT(samples->weight + i) = (AT(samples->share[0] + i) * p + AT(samples->share[1] + i) * q) +
                                  (AT(samples->share[2] + i) * r + AT(samples->share[3] + i) * s);
    }
}

static void NAME(forward)(const Call *call, const Workspace *space, const Part *part) {
    const Sizes *const sizes = call->sizes;
    const float *const maps = gather_head(call, space, part);
    for (int64_t query = part->first; query < part->last; query++) {
        const int64_t row = (part->picture * sizes->queries + query) * sizes->heads + part->head;
        prefetch_query(call, part, query + QUERIES_AHEAD, 0);
        NAME(locate_query)(space, call, row);
        int64_t c = 0;
        for (; c + 2 * LANES <= space->channels; c += 2 * LANES) NAME(mix)(space, maps + c, space->row + c, 2);
        if (c < space->channels) NAME(mix)(space, maps + c, space->row + c, 1);
        memcpy(call->out + row * sizes->channels, space->row, (size_t)sizes->channels * sizeof(float));
    }
}

static void NAME(backward)(const Call *call, const Workspace *space, const Part *part) {
    const Sizes *const sizes = call->sizes;
    const int64_t count = sizes->levels * sizes->points;
    const float *const maps = gather_head(call, space, part);
    float *const grads = start_gradient(call, space, part);
    for (int64_t query = part->first; query < part->last; query++) {
        const int64_t row = (part->picture * sizes->queries + query) * sizes->heads + part->head;
        prefetch_query(call, part, query + QUERIES_AHEAD, 1);
        NAME(locate_query)(space, call, row);
        memcpy(space->row, call->grad_out + row * sizes->channels, (size_t)sizes->channels * sizeof(float));
        int64_t c = 0;
        if (space->channels >= 2 * LANES) NAME(scatter)(space, maps, grads, space->row, 2, 1), c = 2 * LANES;
        for (; c + 2 * LANES <= space->channels; c += 2 * LANES)
            NAME(scatter)(space, maps + c, grads + c, space->row + c, 2, 0);
        if (c < space->channels) NAME(scatter)(space, maps + c, grads + c, space->row + c, 1, c == 0);
        for (int64_t chunk = 0; chunk < space->chunks; chunk++) {
            const int64_t first = row * count + chunk * CHUNK;
            NAME(differentiate)(space->samples + chunk, space->levels + chunk);
            write_samples(space->samples + chunk, call->grad_locations + 2 * first, call->grad_weights + first);
        }
    }
    finish_gradient(call, space, part);
}

#undef VECTOR
#undef INTEGERS
#undef AT
#undef INTEGERS_AT
