// SPDX-License-Identifier: Apache-2.0
#include "selftest/cases.h"

#include "base/base.h"

// A bottleneck whose convolutions run at sampled sites, with its residual; the mask of the next one is computed in passing.
#define BLOCK(x, n, channels, middle)                                                                                                       \
    "const la" n " 1 " channels " 3 3; Conv " x " la" n " -> l" n " pads=1,1,1,1; Sample l" n " seed -> m" n                                \
    " stochastic=1 stream=" n " grid=3;"                                                                                                    \
    "const wa" n " " middle " " channels " 1 1; const ba" n " " middle "; Conv " x " wa" n " ba" n " -> a" n "; Relu a" n " -> ra" n ";"     \
    "const wb" n " " middle " " middle " 3 3; Conv ra" n " wb" n " -> b" n " pads=1,1,1,1; Relu b" n " -> rb" n ";"                          \
    "const wc" n " " channels " " middle " 1 1; const bc" n " " channels "; Conv rb" n " wc" n " bc" n " -> c" n ";"                         \
    "ones k" n " 7 7; Interpolate c" n " m" n " k" n " -> i" n " epsilon=1e-5f; Add i" n " " x " -> s" n "; Relu s" n " -> y" n ";"

const struct stp_selftest_group stp_selftest_groups[] = {
    {"elementwise",
     {"in x 2 5 7 3; Relu x -> a; Sigmoid x -> b; Add a b -> c; Sub c x -> d; Mul d a -> e; Div e b -> f; Min f x -> g; Max g a -> h;"
      "Identity h -> y",
      "in x 2 5 7 3; in z 1 5 1 1; Greater x z -> p; Less x z -> q; Equal x z -> r; GreaterOrEqual x z -> s; LessOrEqual x z -> t;"
      "And p t -> u; Or q r -> v; Not s -> w; Cast u -> a to=1; Cast v -> b to=1; Where w x z -> c; Add a b -> d; Add c d -> y",
      "in x 1 33 9 9; const s 33; const b 33; const m 33; ones v 33; BatchNormalization x s b m v -> y"}},
    {"moving",
     {"in x 2 6 5 7; in z 2 3 5 7; Concat x z -> a axis=1; Relu a -> y", "in x 2 6 5 7; ints n 2 4; Split x n -> y z axis=1",
      "in x 2 6 5 7; ints from 1 0; ints to 5 3; ints axes 1 2; Slice x from to axes -> y",
      "in x 2 6 5 7; ints s 2 -1; Reshape x s -> a; Relu a -> y", "in x 2 6 5 7; Flatten x -> y axis=2"}},
    {"pooling",
     {"in x 2 19 12 13; MaxPool x -> y kernel_shape=3,3 strides=2,2 pads=1,1,1,1",
      "in x 2 32 12 13; MaxPool x -> a kernel_shape=2,2 strides=2,2; Relu a -> y",
      "in x 2 19 12 13; AveragePool x -> y kernel_shape=3,3 pads=1,1,1,1", "in x 2 130 9 7; GlobalAveragePool x -> y"}},
    {"matrix products",
     {"in x 3 70; const w 33 70; const b 33; Gemm x w b -> y transB=1", "in x 17 5; const w 5 100; Gemm x w -> y alpha=0.5f"}},
    {"convolution, 1x1",
     {"in x 1 64 13 11; const w 64 64 1 1; const b 64; Conv x w b -> a; Relu a -> y", "in x 2 37 9 5; const w 19 37 1 1; Conv x w -> y",
      "in x 1 16 14 14; const w 130 16 1 1; Conv x w -> y strides=2,2", "in x 1 256 6 5; const w 256 256 1 1; Conv x w -> a; Add a x -> y"}},
    {"convolution, windows",
     {"in x 1 3 32 30; const w 64 3 7 7; const b 64; Conv x w b -> a strides=2,2 pads=3,3,3,3; Relu a -> y",
      "in x 2 32 13 11; const w 48 32 3 3; Conv x w -> y pads=1,1,1,1",
      "in x 1 24 13 11; const w 8 24 3 3; Conv x w -> y strides=2,2 pads=1,1,1,1",
      "in x 1 16 20 17; const w 40 16 3 3; Conv x w -> y dilations=2,3 pads=2,3,2,3",
      "in x 1 5 9 11; const w 7 5 5 2; Conv x w -> y pads=2,0,1,1"}},
    {"convolution, groups",
     {"in x 1 32 9 11; const w 32 1 3 3; Conv x w -> y group=32 pads=1,1,1,1",
      "in x 1 32 9 11; const w 64 8 3 3; const b 64; Conv x w b -> y group=4 pads=1,1,1,1",
      "in x 1 6 9 11; const w 9 2 1 1; Conv x w -> y group=3"}},
    {"masks",
     {"in l 2 1 20 23; ints seed 5; Sample l seed -> y stochastic=1 stream=3 grid=3",
      "in l 2 1 100 130; ints seed 4294967301 -7; Sample l seed -> y stochastic=1 stream=2147483647 grid=0",
      "in l 1 1 20 23; ints seed 5; Sample l seed -> y stochastic=0 stream=0 grid=11",
      "in x 1 40 15 17; ints seed 1; const w 1 40 3 3; const b 1; Conv x w b -> l pads=1,1,1,1; Sample l seed -> y stochastic=1 stream=1"
      " grid=9"}},
    {"masked convolution",
     {"in x 1 32 13 11; in m 1 1 13 11; const zero 1; Greater m zero -> c; const w 48 32 3 3; Conv x w -> a pads=1,1,1,1; Where c a zero -> y",
      "in x 2 32 13 11; in m 2 1 13 11; const zero 1; Greater m zero -> c; const v 24 32 1 1; const w 24 24 3 3; const u 37 24 1 1;"
      "Conv x v -> a; Relu a -> b; Conv b w -> d pads=1,1,1,1; Conv d u -> e; Where c e zero -> y",
      "in x 1 32 13 11; in m 1 1 13 11; const zero 1; Greater m zero -> c; Cast c -> f to=1; const w 32 8 3 3; Conv x w -> a pads=1,1,1,1 "
      "group=4; Mul a f -> y; Conv x w -> d pads=1,1,1,1 group=4; Mul f d -> z"}},
    {"interpolation",
     {"in x 1 24 13 11; in m 1 1 13 11; const zero 1; Greater m zero -> c; Cast c -> f to=1; ones k 7 7; Interpolate x f k -> y epsilon=1e-5f",
      "in x 2 130 9 10; in m 2 1 9 10; const zero 1; Greater m zero -> c; Cast c -> f to=1; const k 3 5; Interpolate x f k -> y epsilon=3f",
      "in x 1 16 13 11; in m 1 1 13 11; const zero 1; Greater m zero -> c; Cast c -> f to=1; ones k 1 1; Interpolate x f k -> y epsilon=1e-5f"}},
    // The last: its masks and outputs have a hash that is the same on every exact device.
    {"network",
     {"in x 1 3 64 72; ints seed 7; const w 64 3 7 7; const b 64; Conv x w b -> stem strides=2,2 pads=3,3,3,3; Relu stem -> y0;" BLOCK(
         "y0", "1", "64", "32") BLOCK("y1", "2", "64", "16") "GlobalAveragePool y2 -> g; Flatten g -> h; const fc 10 64; const fb 10;"
                                                             "Gemm h fc fb -> scores transB=1"}},
};
const size_t stp_selftest_group_count = STP_LENGTH(stp_selftest_groups);
