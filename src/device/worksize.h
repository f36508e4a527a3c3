// SPDX-License-Identifier: Apache-2.0
// Work sizes and tiles: pure functions of a device's limits. No launch names a size of its own.
#ifndef STP_DEVICE_WORKSIZE_H
#define STP_DEVICE_WORKSIZE_H

#include "device/device.h"

struct stp_worksize {
    size_t global, local;
};

// For a kernel that strides over `items` independent pieces (at least 1 work-item).
struct stp_worksize stp_worksize_stride(const struct stp_limits *limits, int64_t items);

// For a kernel that strides over rows of elements, two-dimensional: the columns in vectors first, then blocks of `block` rows.
struct stp_rows_size {
    size_t global[2], local[2];
    int block;
};
struct stp_rows_size stp_worksize_rows(const struct stp_limits *limits, int64_t rows, int64_t columns);

// For a kernel for GPUs, two-dimensional: items of the first dimension take `wide` of a row's vectors at a time, the second strides over rows.
struct stp_group_size {
    size_t global[2], local[2];
    int wide;
};
struct stp_group_size stp_worksize_group(const struct stp_limits *limits, int64_t rows, int64_t vectors);

// Tiles of transpose_tiles (cl/layout.cl). side 0: a device that takes the other kernels.
struct stp_transpose_size {
    size_t global[2], local[2];
    int side;
};
struct stp_transpose_size stp_worksize_transpose(const struct stp_limits *limits, int64_t images, int64_t channels, int64_t sites);

// Floats in the vectors of kernels that stream through memory.
int stp_worksize_vector(const struct stp_limits *limits);

// Pieces into which a scan over `sites` is cut, one work-group of `local` items each; every piece reads all pieces' counts. `alone`: one
// work-group may do it all instead, where it is known to be quick; with more items than one it holds as many sites as items · 24.
struct stp_scan_size {
    bool alone;
    int64_t pieces;
    size_t local; // a power of two
};
struct stp_scan_size stp_worksize_scan(const struct stp_limits *limits, int64_t sites);

// A convolution, by what its tiles depend on.
struct stp_conv_shape {
    int64_t groups, channels, taps, columns; // the last three of a group: input channels, taps, output channels
    int64_t rows;                            // how many outputs are expected
    int64_t winograd_tiles;                  // of 4×4 outputs; 0: not by Winograd (another window, or arithmetic must keep its order)
};

// For work in turns (cl/numerics.cl): its groups, of one item, and the counters that they share.
size_t stp_worksize_turns(const struct stp_limits *limits);
size_t stp_worksize_turn_bytes(const struct stp_limits *limits);

// Register tile of conv_rows (cl/conv_rows.cl): rows × (vec · vecs) columns, for `block` row tiles after one another.
struct stp_tile {
    int rows, vec, vecs, block;
};
struct stp_tile stp_worksize_conv_rows(const struct stp_limits *limits, const struct stp_conv_shape *shape);

// Winograd's F(4×4, 3×3) in a register tile (cl/winograd.cl), instead of a convolution over rows: for how many tiles of 4×4 outputs at a time.
int64_t stp_worksize_winograd_batch(const struct stp_tile *tile, int64_t in_channels, int64_t out_channels, int64_t tiles);

// A projection in passing (cl/interpolate.cl): `panels` of `width` columns, each of which takes two registers. width 0: better a step of
// its own.
struct stp_projection_tile {
    int width, panels;
};
struct stp_projection_tile stp_worksize_projection(const struct stp_limits *limits, int64_t columns);

// Local-memory tile of conv_tile (cl/conv_tile.cl): across × down items, each of `columns` × `rows` results, `depth` products a step, read
// `ahead` steps before and `piece` input channels at once; `unroll` products are written out one after another.
struct stp_local_tile {
    int across, down, columns, rows, depth, ahead; // in the order of worksize.c's choices
    int piece, unroll;
    size_t groups;
};
struct stp_local_tile stp_worksize_conv_tile(const struct stp_limits *limits, const struct stp_conv_shape *shape);

// How a convolution is computed.
struct stp_conv_choice {
    bool winograd;               // CPUs: in `tile`, which fits
    struct stp_tile tile;        // CPUs
    struct stp_local_tile local; // other devices
};
// Without tuning.
struct stp_conv_choice stp_worksize_conv(const struct stp_limits *limits, const struct stp_conv_shape *shape);
// Whether the kernels can run it so on such a device.
bool stp_worksize_conv_fits(const struct stp_limits *limits, const struct stp_conv_shape *shape, const struct stp_conv_choice *choice);

#endif
