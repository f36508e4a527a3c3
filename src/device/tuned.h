// SPDX-License-Identifier: Apache-2.0
// What tuning found: how convolutions of a class are computed fastest on a device. Kept in the cache's database, as texts that people can
// read, by the device's identity, the kernels' sources, and the driver with which a choice was seen to give the right bits.
#ifndef STP_DEVICE_TUNED_H
#define STP_DEVICE_TUNED_H

#include "device/worksize.h"

enum { STP_TUNED_TEXT = 224 };

// A class of shapes: rows rounded up to a power of two, since masks change row counts every run; winograd_tiles 1 or 0.
struct stp_conv_shape stp_conv_class(const struct stp_conv_shape *shape);

struct stp_tuned {
    struct stp_conv_shape class;
    struct stp_conv_choice choice;
    int permille;     // its time of that of the choice without tuning
    bool is_verified; // it gave the right bits with this driver: not yet, if it was imported or found with another one
};

struct stp_tuned_table {
    struct stp_tuned *items; // free()
    size_t count, capacity;
};

// Accepts NULL and a pointer to NULL.
void stp_tuned_destroy(struct stp_tuned_table **table);
// That of the shape's class, or NULL.
struct stp_tuned *stp_tuned_find(const struct stp_tuned_table *table, const struct stp_conv_shape *shape);
// As the table says, where it says something that fits; else as without tuning.
struct stp_conv_choice stp_tuned_choose(const struct stp_tuned_table *table, const struct stp_limits *limits,
                                        const struct stp_conv_shape *shape);
// In place of that of the same class. False: short memory.
bool stp_tuned_put(struct stp_tuned_table *table, const struct stp_tuned *tuned);

// "conv groups 1 channels 64 taps 9 columns 64 rows 4096 winograd 1"; "rows 12 vec 16 vecs 2 block 16", "winograd rows 12 …",
// "across 16 down 16 …". Each fits into STP_TUNED_TEXT bytes. The readers take nothing else, and no number out of its bounds.
void stp_conv_class_text(char *out, const struct stp_conv_shape *class);
bool stp_conv_class_read(struct stp_conv_shape *out, const char *text);
void stp_conv_choice_text(char *out, const struct stp_conv_choice *choice);
bool stp_conv_choice_read(struct stp_conv_choice *out, const char *text);

// What the cache, and an exported text, know an entry by: the kernels' sources and the shape's class; and what they say of it.
void stp_tuned_subject(char *out, const struct stp_conv_shape *shape);
void stp_tuned_value(char *out, const struct stp_tuned *tuned);
// The other way; not verified. False: something else, or of other kernels.
bool stp_tuned_read(struct stp_tuned *out, const char *subject, const char *value);

// The device's table, read from the cache on first use. NULL: short memory.
struct stp_tuned_table *stp_device_tuned(struct stp_device *device);
// Into the device's table, and into the cache for this driver, in place of what there is of the class.
stp_status stp_device_keep_tuned(struct stp_device *device, const struct stp_tuned *tuned);
// Out of both.
void stp_device_drop_tuned(struct stp_device *device, const struct stp_conv_shape *shape);
// How a shape is computed on this device: as tuning found, if it gives the right bits, which an entry from elsewhere has to show in a child
// process first and is dropped if it does not; else as without tuning.
struct stp_conv_choice stp_device_choice(struct stp_device *device, const struct stp_conv_shape *shape);
// Whether a choice gives the right bits on small problems of its class, in a child process (stipple-probe verify).
enum stp_verdict {
    STP_VERDICT_RIGHT,
    STP_VERDICT_WRONG,   // other bits, it cannot be built, or the driver crashes over it; with a warning that says which
    STP_VERDICT_UNKNOWN, // the process was interrupted, or took too long
    STP_VERDICT_UNASKED, // there can be no such process
};
enum stp_verdict stp_device_verify(struct stp_device *device, const struct stp_conv_shape *class, const struct stp_conv_choice *choice);

#endif
