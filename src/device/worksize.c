// SPDX-License-Identifier: Apache-2.0
#include "device/worksize.h"

// Work-groups per compute unit: enough that a core which falls behind costs little, few enough that a launch stays cheap.
enum { CPU_GROUPS_PER_UNIT = 16, GPU_GROUPS_PER_UNIT = 32, GPU_TILES_PER_UNIT = 8, GPU_GROUP = 64 };

// A power of two, as `wanted` is.
static size_t group_limit(const struct stp_limits *limits, size_t wanted)
{
    size_t most = limits->max_work_group < limits->max_work_item[0] ? limits->max_work_group : limits->max_work_item[0];
    if (most < 1)
        most = 1;
    while (wanted > most)
        wanted /= 2;
    return wanted;
}

static size_t most_groups(const struct stp_limits *limits)
{
    return limits->compute_units * (size_t)(limits->is_cpu ? CPU_GROUPS_PER_UNIT : GPU_GROUPS_PER_UNIT);
}

struct stp_worksize stp_worksize_stride(const struct stp_limits *limits, int64_t items)
{
    struct stp_worksize size = {.local = limits->is_cpu ? 1 : group_limit(limits, GPU_GROUP)};
    int64_t groups = stp_div_up(items, (int64_t)size.local);
    groups = stp_max64(1, stp_min64(groups, (int64_t)most_groups(limits)));
    size.global = (size_t)groups * size.local;
    return size;
}

int stp_worksize_vector(const struct stp_limits *limits)
{
    return limits->vector_width >= 16 ? 16 : limits->is_cpu ? 8 : 4;
}

// A work-group whose rows of items take `vectors`, as far as they go.
static void spread(const struct stp_limits *limits, size_t group, int64_t vectors, size_t local[2])
{
    local[0] = 1;
    while (local[0] < group && (int64_t)local[0] < vectors)
        local[0] *= 2;
    local[1] = group / local[0] < limits->max_work_item[1] ? group / local[0] : limits->max_work_item[1];
}

struct stp_rows_size stp_worksize_rows(const struct stp_limits *limits, int64_t rows, int64_t columns)
{
    size_t local[2];
    spread(limits, limits->is_cpu ? 1 : group_limit(limits, GPU_GROUP), stp_div_up(columns, stp_worksize_vector(limits)), local);
    // A CPU's core takes a run of memory at a time, a GPU's neighbouring work-items take neighbouring elements.
    int block = limits->is_cpu ? (int)stp_max64(1, 4096 / stp_max64(1, columns)) : 1;
    int64_t groups = stp_div_up(stp_div_up(rows, block), (int64_t)local[1]);
    groups = stp_max64(1, stp_min64(groups, (int64_t)most_groups(limits)));
    return (struct stp_rows_size){{local[0], (size_t)groups * local[1]}, {local[0], local[1]}, block};
}

struct stp_group_size stp_worksize_group(const struct stp_limits *limits, int64_t rows, int64_t vectors)
{
    const int wide = vectors >= 16 ? 4 : 1;
    size_t local[2];
    spread(limits, group_limit(limits, GPU_GROUP), stp_div_up(vectors, wide), local);
    int64_t groups = stp_min64(stp_div_up(rows, (int64_t)local[1]), (int64_t)most_groups(limits));
    return (struct stp_group_size){{local[0], (size_t)stp_max64(1, groups) * local[1]}, {local[0], local[1]}, wide};
}

struct stp_transpose_size stp_worksize_transpose(const struct stp_limits *limits, int64_t images, int64_t channels, int64_t sites)
{
    size_t side = 32;
    while (side >= 4 && (side * side / 4 > limits->max_work_group || side > limits->max_work_item[0] ||
                         side / 4 > limits->max_work_item[1] || side * (side + 1) * 8 > limits->local_memory))
        side /= 2;
    if (limits->is_cpu || side < 4)
        return (struct stp_transpose_size){.side = 0};
    int64_t tiles = images * stp_div_up(channels, (int64_t)side) * stp_div_up(sites, (int64_t)side);
    size_t groups = (size_t)stp_max64(1, stp_min64(tiles, (int64_t)most_groups(limits)));
    return (struct stp_transpose_size){{groups * side, side / 4}, {side, side / 4}, (int)side};
}

struct stp_scan_size stp_worksize_scan(const struct stp_limits *limits, int64_t sites)
{
    enum { GROUP = 256, LARGE_GROUP = 512, EACH = 24, MOST_PIECES = 1024, FEW_UNITS = 4, FEW_SITES = 1 << 15 }; // EACH: as in cl/lists.cl
    if (limits->is_cpu) {
        int64_t most = (int64_t)limits->compute_units * CPU_GROUPS_PER_UNIT;
        // One core takes some 3 ns a site; pieces for all cores cost launches of 10 µs.
        const bool is_quick = limits->compute_units <= FEW_UNITS || sites <= FEW_SITES;
        return (struct stp_scan_size){.alone = is_quick, .pieces = stp_max64(1, stp_min64(stp_div_up(sites, 64), most)), .local = 1};
    }
    size_t large = group_limit(limits, LARGE_GROUP), local = group_limit(limits, GROUP);
    const bool alone = large > 1 && sites <= EACH * (int64_t)large && large * (sizeof(int32_t) + 2 * EACH) <= limits->local_memory;
    if (alone)
        return (struct stp_scan_size){.alone = true, .pieces = 1, .local = large};
    int64_t pieces = stp_min64(stp_div_up(sites, 2 * (int64_t)local), MOST_PIECES);
    return (struct stp_scan_size){.pieces = pieces, .local = local};
}

size_t stp_worksize_turns(const struct stp_limits *limits)
{
    // PoCL's threads take half of what is left and one more: with as many as cores, the first would take several, others none.
    return 2 * (size_t)limits->compute_units;
}

size_t stp_worksize_turn_bytes(const struct stp_limits *limits)
{
    enum { LINE = 64 }; // STP_TURN_LINE of cl/numerics.cl, in bytes
    return (1 + (size_t)limits->compute_units) * LINE;
}

static bool is_zen(const struct stp_limits *limits)
{
    return limits->maker == STP_MAKER_AMD && limits->vector_width >= 16;
}

// For many rows on Zen 4, as stipple tune found: a core multiplies 16 floats a cycle, not 32, so that loads cost less of its time, and its
// nearest cache of 32 KB is too small for 12 rows of 1024 channels.
static struct stp_tile zen_tile(const struct stp_conv_shape *shape)
{
    if (shape->taps == 1)
        return (struct stp_tile){.rows = 8, .vec = 16, .vecs = 1, .block = 8};
    if (shape->columns % 64 == 0)
        return (struct stp_tile){.rows = 5, .vec = 16, .vecs = 4, .block = 8};
    return (struct stp_tile){.rows = 8, .vec = 16, .vecs = 2, .block = 8};
}

struct stp_tile stp_worksize_conv_rows(const struct stp_limits *limits, const struct stp_conv_shape *shape)
{
    enum { FEW_ROWS = 1000, FEW_CHANNELS = 16 };
    const int64_t columns = shape->columns;
    // The accumulators should fill the vector registers but for a weight and a broadcast: 32 registers of 16 floats, or 16 of 8 or 4.
    struct stp_tile tile = {.rows = 6, .vec = 8, .vecs = 2, .block = 4};
    if (limits->vector_width >= 16) {
        tile = (struct stp_tile){.rows = 12, .vec = 16, .vecs = 2};
        // Less reads weights more often, more pushes input rows out of the nearest caches. Cores with registers so wide have room in their
        // second cache for more rows, where weights are too many for it.
        tile.block = columns * shape->channels * shape->taps * 4 > 1 << 20 ? 16 : 4;
        // Wide tiles waste fewer of few rows, of 49 and 196 none if they take 7, and find out less often where rows lie. With 6 a register is
        // left for the broadcast, which 7 read from memory with each fma.
        const bool few_rows = shape->rows <= FEW_ROWS;
        if (is_zen(limits) && !few_rows)
            tile = zen_tile(shape);
        else if (columns % 64 == 0 && (few_rows || shape->channels < FEW_CHANNELS))
            tile = (struct stp_tile){.rows = few_rows ? 7 : 6, .vec = 16, .vecs = 4, .block = tile.block == 4 ? 8 : 16};
    } else if (columns > 16 && columns <= 24) {
        tile = (struct stp_tile){.rows = 4, .vec = 8, .vecs = 3, .block = 4};
    }
    while (tile.vecs > 1 && tile.vec * tile.vecs / 2 >= columns)
        tile.vecs /= 2;
    while (tile.vec > 4 && tile.vec / 2 >= columns)
        tile.vec /= 2;
    return tile;
}

static bool winograd_fits(const struct stp_tile *tile, const struct stp_conv_shape *shape)
{
    return shape->winograd_tiles > 0 && shape->channels % tile->vec == 0 && shape->columns % (tile->vec * tile->vecs) == 0;
}

// Its products are a convolution of as many taps over tiles.
static struct stp_tile winograd_tile(const struct stp_limits *limits, const struct stp_conv_shape *shape)
{
    enum { POINTS = 36 };
    const int64_t tiles = shape->winograd_tiles;
    const struct stp_conv_shape products = {1, shape->channels, POINTS, shape->columns, tiles, 0};
    const struct stp_tile tile = stp_worksize_conv_rows(limits, &products), lower = {.rows = 8, .vec = 16, .vecs = 2, .block = 8};
    const bool wastes_less = stp_div_up(tiles, lower.rows) * lower.rows < stp_div_up(tiles, tile.rows) * tile.rows;
    return is_zen(limits) && wastes_less ? lower : tile;
}

// Whether it is faster than a convolution over rows.
static bool winograd_wins(const struct stp_limits *limits, const struct stp_tile *tile, const struct stp_conv_shape *shape)
{
    enum { FEWEST = 32 };
    if (!winograd_fits(tile, shape) || shape->channels < FEWEST || shape->columns < FEWEST)
        return false;
    // All per channel in and out. The file's weights come from memory, a float in the time of some 16 multiplications; to transform nine of
    // them takes that of 140. Multiplications include those for tiles that reach over the edge. Transforming inputs and outputs costs a good
    // third of what is saved at few channels, so the sum has to be less than half.
    enum { LOADED = 9 * 16, TRANSFORMED = 140 };
    // Zen 4's multiplications take twice the time.
    const int64_t products = is_zen(limits) ? 2 : 1, rows = stp_div_up(shape->winograd_tiles, tile->rows) * tile->rows;
    const int64_t multiplied = products * 36 * rows + LOADED + TRANSFORMED, directly = products * 9 * shape->rows + LOADED;
    return 2 * multiplied < directly;
}

int64_t stp_worksize_winograd_batch(const struct stp_tile *tile, int64_t in_channels, int64_t out_channels,
                                    int64_t tiles)
{
    // Transformed inputs should stay in cache until they are multiplied, but weights should not be read much more often than these.
    const int64_t cached = (4 << 20) / (36 * 4 * in_channels);
    const int64_t batches = stp_div_up(tiles, stp_max64(out_channels, cached));
    return stp_min64(tiles, stp_div_up(stp_div_up(tiles, batches), tile->rows) * tile->rows);
}

struct stp_projection_tile stp_worksize_projection(const struct stp_limits *limits, int64_t columns)
{
    enum { MOST_COLUMNS = 64 };
    if (!limits->is_cpu || columns > MOST_COLUMNS)
        return (struct stp_projection_tile){0};
    // Two registers each, of 32 or 16, but for the values and a broadcast weight, and some for the compiler.
    int most = stp_worksize_vector(limits) == 16 ? 14 : 6, panels = (int)stp_div_up(columns, most);
    return (struct stp_projection_tile){(int)stp_div_up(columns, panels), panels};
}

static bool local_tile_fits(const struct stp_limits *limits, const struct stp_local_tile *tile)
{
    enum { PAD = 4 }; // as in cl/conv_tile.cl
    uint64_t floats = (uint64_t)(tile->down * tile->rows + PAD + tile->across * tile->columns) * (uint64_t)tile->depth;
    return (size_t)(tile->across * tile->down) <= limits->max_work_group && (size_t)tile->across <= limits->max_work_item[0] &&
           (size_t)tile->down <= limits->max_work_item[1] && 2 * floats * sizeof(float) <= limits->local_memory;
}

// Halves what is largest, until a device of any limits can run it.
static void shrink_local_tile(const struct stp_limits *limits, struct stp_local_tile *tile)
{
    while (!local_tile_fits(limits, tile)) {
        if (tile->depth > 4 * tile->piece)
            tile->depth /= 2;
        else if ((size_t)tile->down > limits->max_work_item[1] || (tile->down >= tile->across && tile->down > 1))
            tile->down /= 2;
        else if (tile->across > 1)
            tile->across /= 2;
        else if (tile->rows > 1)
            tile->rows /= 2;
        else if (tile->columns > 1)
            tile->columns /= 2;
        else if (tile->depth > tile->piece)
            tile->depth /= 2;
        else
            break;
        while (tile->depth / tile->piece > tile->across * tile->down)
            tile->depth /= 2;
    }
}

struct stp_local_tile stp_worksize_conv_tile(const struct stp_limits *limits, const struct stp_conv_shape *shape)
{
    // From the fewest reads of local memory per fma to the most work-groups, for many columns and for up to 32.
    enum { MOST = 3 };
    static const struct choice {
        struct stp_local_tile wide[MOST], narrow[MOST];
        int unroll;      // 0: every step in full
        int most_pieces; // that an item reads of a step, where it reads channels one by one and keeps where each lies
    } choices[STP_MAKERS] = {
        // For AMD's compiler, which reads what all products that are written out need before it multiplies (with all of 16, a tile of 8×4 takes
        // 183 registers), and for GPUs that nobody has looked at: no more than 128 registers (tools/gpu-compile).
        [STP_MAKER_OTHER] = {.wide = {{16, 16, 4, 8, 16, 1}, {16, 16, 4, 4, 16, 1}, {16, 8, 4, 4, 16, 1}},
                             .narrow = {{8, 16, 4, 8, 8, 1}, {8, 8, 4, 4, 16, 1}},
                             .unroll = 2,
                             .most_pieces = 4},
        // Intel's compiles what needs more than its 128 registers once more, without writing products out: three instructions in four are not
        // fma then (tools/gpu-compile).
        [STP_MAKER_INTEL] = {.wide = {{16, 16, 4, 8, 8, 1}, {16, 16, 4, 4, 16, 1}, {16, 8, 4, 4, 16, 1}},
                             .narrow = {{8, 16, 4, 4, 8, 1}, {8, 8, 4, 4, 16, 1}},
                             .most_pieces = 2},
        // Measured on an H100.
        [STP_MAKER_NVIDIA] = {.wide = {{16, 16, 4, 8, 16, 1}, {16, 16, 4, 4, 32, 1}, {16, 8, 4, 4, 32, 2}},
                              .narrow = {{8, 16, 4, 8, 16, 1}, {8, 8, 4, 4, 32, 1}},
                              .most_pieces = 8},
    };
    const int64_t columns = shape->columns;
    const struct choice *choice = &choices[limits->maker == STP_MAKER_AMD ? STP_MAKER_OTHER : limits->maker];
    const struct stp_local_tile *tiles = columns <= 32 ? choice->narrow : choice->wide;
    struct stp_local_tile tile = tiles[0];
    for (int i = 0; i < MOST && tiles[i].across; i++) {
        tile = tiles[i];
        int64_t width = tile.across * tile.columns, height = tile.down * tile.rows;
        int64_t count = shape->groups * stp_div_up(columns, width) * stp_div_up(shape->rows, height);
        // Two for each unit, or nearly.
        if (local_tile_fits(limits, &tile) && 16 * count >= 31 * (int64_t)limits->compute_units)
            break;
    }
    tile.piece = shape->channels % 4 == 0 ? 4 : 1;
    while (tile.columns > 1 && tile.across * tile.columns / 2 >= columns)
        tile.columns /= 2;
    shrink_local_tile(limits, &tile);
    while (tile.piece == 1 && tile.depth > 1 && tile.rows * tile.depth > choice->most_pieces * tile.across)
        tile.depth /= 2;
    tile.unroll = choice->unroll ? (int)stp_min64(choice->unroll, tile.depth) : tile.depth;
    tile.groups = limits->compute_units * (size_t)GPU_TILES_PER_UNIT;
    return tile;
}

// Either --------------------------------------------------------------------------------------------------------------

struct stp_conv_choice stp_worksize_conv(const struct stp_limits *limits, const struct stp_conv_shape *shape)
{
    if (!limits->is_cpu)
        return (struct stp_conv_choice){.local = stp_worksize_conv_tile(limits, shape)};
    if (shape->winograd_tiles > 0) {
        const struct stp_tile tile = winograd_tile(limits, shape);
        if (winograd_wins(limits, &tile, shape))
            return (struct stp_conv_choice){.winograd = true, .tile = tile};
    }
    return (struct stp_conv_choice){.tile = stp_worksize_conv_rows(limits, shape)};
}

static bool is_power(int number, int least, int most)
{
    return number >= least && number <= most && (number & (number - 1)) == 0;
}

// As cl/conv_rows.cl and cl/winograd.cl have their tunables.
static bool tile_fits(const struct stp_tile *tile)
{
    return tile->rows >= 1 && tile->rows <= 16 && is_power(tile->vec, 4, 16) && tile->vecs >= 1 && tile->vecs <= 4 && tile->block >= 1 &&
           tile->block <= 16;
}

// As cl/conv_tile.cl has them.
static bool local_fits(const struct stp_limits *limits, const struct stp_conv_shape *shape, const struct stp_local_tile *tile)
{
    return is_power(tile->across, 1, 32) && is_power(tile->down, 1, 32) && is_power(tile->columns, 1, 8) && is_power(tile->rows, 1, 8) &&
           is_power(tile->depth, 1, 32) && tile->ahead >= 1 && tile->ahead <= 2 && tile->piece == (shape->channels % 4 == 0 ? 4 : 1) &&
           tile->depth >= tile->piece && tile->depth / tile->piece <= tile->across * tile->down && is_power(tile->unroll, 1, tile->depth) &&
           tile->groups >= 1 && tile->groups <= 1 << 20 && local_tile_fits(limits, tile);
}

bool stp_worksize_conv_fits(const struct stp_limits *limits, const struct stp_conv_shape *shape, const struct stp_conv_choice *choice)
{
    if (!limits->is_cpu)
        return !choice->winograd && local_fits(limits, shape, &choice->local);
    return tile_fits(&choice->tile) && (!choice->winograd || winograd_fits(&choice->tile, shape));
}
