// SPDX-License-Identifier: Apache-2.0
#include "picture.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

// PNG files ----------------------------------------------------------------------------------------------------------

// Fills row `y` of the picture.
typedef void (*row_fn)(void *user, int y, uint8_t *row);

static void on_error(png_structp png, png_const_charp message)
{
    stp_error_set(png_get_error_ptr(png), "cannot write a picture: %s%s%s", message, errno ? ": " : "",
                  errno ? strerror(errno) : "");
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static bool write_png(FILE *file, int width, int height, int channels, row_fn fill, void *user, struct stp_error *error)
{
    uint8_t *row = malloc((size_t)width * (size_t)channels);
    png_structp png = row ? png_create_write_struct(PNG_LIBPNG_VER_STRING, error, on_error, on_warning) : NULL;
    png_infop info = png ? png_create_info_struct(png) : NULL;
    volatile bool ok = info || stp_error_set(error, "out of memory for a picture");
    errno = 0;
    if (ok && setjmp(png_jmpbuf(png))) {
        ok = false;
    } else if (ok) {
        png_init_io(png, file);
        png_set_user_limits(png, PNG_UINT_31_MAX, PNG_UINT_31_MAX); // a photo's own limits hold
        png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8,
                     channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                     PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
        png_write_info(png, info);
        for (int y = 0; y < height; y++) {
            fill(user, y, row);
            png_write_row(png, row);
        }
        png_write_end(png, info);
    }
    png_destroy_write_struct(&png, &info);
    free(row);
    return ok;
}

// Masks --------------------------------------------------------------------------------------------------------------

static void fill_mask(void *user, int y, uint8_t *row)
{
    const struct stp_map *mask = user;
    for (int x = 0; x < mask->width; x++)
        row[x] = mask->values[(size_t)y * (size_t)mask->width + (size_t)x] ? 255 : 0;
}

bool stp_picture_mask(FILE *file, const struct stp_map *mask, struct stp_error *error)
{
    struct stp_map copy = *mask;
    return write_png(file, mask->width, mask->height, 1, fill_mask, &copy, error);
}

// Overlays -----------------------------------------------------------------------------------------------------------

struct overlay {
    const struct stp_image *photo;
    const struct stp_fit *fit;
    const struct stp_map *maps;
    size_t n_maps;
    int *columns;   // n_maps × photo width: the map's column under each column of the photo
    int *last_rows; // n_maps: the maps' rows that `shares` is of
    float *shares;  // photo width: how often each place of the present row was sampled
};

static bool begin_overlay(struct overlay *out, struct stp_error *error)
{
    size_t width = (size_t)out->photo->width;
    out->columns = malloc((out->n_maps * width + 1) * sizeof *out->columns);
    out->last_rows = malloc((out->n_maps + 1) * sizeof *out->last_rows);
    out->shares = calloc(width, sizeof *out->shares);
    if (!out->columns || !out->last_rows || !out->shares)
        return stp_error_set(error, "out of memory for a picture");
    for (size_t m = 0; m < out->n_maps; m++) {
        out->last_rows[m] = -1;
        for (size_t x = 0; x < width; x++)
            out->columns[m * width + x] = stp_fit_cell((int)x, out->fit->photo_width, out->fit->width,
                                                       out->fit->padded_width, out->maps[m].width);
    }
    return true;
}

static void end_overlay(struct overlay *overlay)
{
    free(overlay->columns);
    free(overlay->last_rows);
    free(overlay->shares);
}

static int map_row(const struct overlay *overlay, size_t m, int y)
{
    return stp_fit_cell(y, overlay->fit->photo_height, overlay->fit->height, overlay->fit->padded_height,
                        overlay->maps[m].height);
}

static const uint8_t *map_values(const struct overlay *overlay, size_t m, int row)
{
    return overlay->maps[m].values + (size_t)row * (size_t)overlay->maps[m].width;
}

// Brings `shares` to row y of the photo: most rows lie on the same rows of the masks as the one above.
static void update_shares(struct overlay *overlay, int y)
{
    size_t width = (size_t)overlay->photo->width;
    bool same = true;
    for (size_t m = 0; m < overlay->n_maps; m++) {
        int row = map_row(overlay, m, y);
        same = same && row == overlay->last_rows[m];
        overlay->last_rows[m] = row;
    }
    if (same)
        return;
    memset(overlay->shares, 0, width * sizeof *overlay->shares);
    for (size_t m = 0; m < overlay->n_maps; m++) {
        const uint8_t *values = map_values(overlay, m, overlay->last_rows[m]);
        for (size_t x = 0; x < width; x++)
            overlay->shares[x] += values[overlay->columns[m * width + x]];
    }
    for (size_t x = 0; x < width; x++)
        overlay->shares[x] /= (float)overlay->n_maps;
}

// 0…1 → a colour whose lightness grows evenly: straight lines between six colours.
static void heat_colour(float share, float *rgb)
{
    static const float colours[6][3] = {
        {6, 4, 24}, {66, 18, 104}, {150, 36, 104}, {222, 84, 56}, {248, 164, 36}, {252, 250, 164},
    };
    float place = fminf(fmaxf(share, 0), 1) * 5;
    int from = place < 4 ? (int)place : 4;
    for (int c = 0; c < 3; c++)
        rgb[c] = colours[from][c] + (place - (float)from) * (colours[from + 1][c] - colours[from][c]);
}

static const uint16_t *photo_row(const struct overlay *overlay, int y)
{
    return overlay->photo->rgb + (size_t)y * (size_t)overlay->photo->width * 3;
}

static void fill_heat(void *user, int y, uint8_t *row)
{
    struct overlay *overlay = user;
    update_shares(overlay, y);
    const uint16_t *photo = photo_row(overlay, y);
    for (int x = 0; x < overlay->photo->width; x++, photo += 3, row += 3) {
        float colour[3];
        heat_colour(overlay->shares[x], colour);
        // Grey, so that the photo's own colours are not taken for heat; luma weights of BT.601.
        float grey = (0.299f * photo[0] + 0.587f * photo[1] + 0.114f * photo[2]) / 257;
        for (int c = 0; c < 3; c++)
            row[c] = (uint8_t)(0.35f * grey + 0.65f * colour[c] + 0.5f);
    }
}

bool stp_picture_heat(FILE *file, const struct stp_image *photo, const struct stp_fit *fit, const struct stp_map *masks,
                      size_t n_masks, struct stp_error *error)
{
    struct overlay overlay = {.photo = photo, .fit = fit, .maps = masks, .n_maps = n_masks};
    bool ok =
        begin_overlay(&overlay, error) && write_png(file, photo->width, photo->height, 3, fill_heat, &overlay, error);
    end_overlay(&overlay);
    return ok;
}

// Hues a golden angle apart, so that neighbouring numbers differ; two lightnesses by turns.
static void class_colour(unsigned number, float *rgb)
{
    float turn = fmodf((float)number * 0.618034f, 1);
    float light = number & 1 ? 230 : 180;
    for (int c = 0; c < 3; c++) {
        float distance = fabsf(fmodf(turn + (float)c / 3, 1) * 6 - 3); // 0…3: how far this primary is from the hue
        rgb[c] = light * fminf(fmaxf(distance - 1, 0.1f), 1);
    }
}

static void fill_segments(void *user, int y, uint8_t *row)
{
    const struct overlay *overlay = user;
    const uint8_t *classes = map_values(overlay, 0, map_row(overlay, 0, y));
    const uint16_t *photo = photo_row(overlay, y);
    for (int x = 0; x < overlay->photo->width; x++, photo += 3, row += 3) {
        float colour[3];
        class_colour(classes[overlay->columns[x]], colour);
        for (int c = 0; c < 3; c++)
            row[c] = (uint8_t)(0.5f * photo[c] / 257 + 0.5f * colour[c] + 0.5f);
    }
}

bool stp_picture_segments(FILE *file, const struct stp_image *photo, const struct stp_fit *fit,
                          const struct stp_map *classes, struct stp_error *error)
{
    struct overlay overlay = {.photo = photo, .fit = fit, .maps = classes, .n_maps = 1};
    bool ok = begin_overlay(&overlay, error) &&
              write_png(file, photo->width, photo->height, 3, fill_segments, &overlay, error);
    end_overlay(&overlay);
    return ok;
}

void stp_picture_classes(uint8_t *out, const float *scores, int64_t channels, int height, int width)
{
    size_t sites = (size_t)height * (size_t)width;
    for (size_t i = 0; i < sites; i++) {
        int64_t best = 0;
        float most = -INFINITY;
        for (int64_t c = 0; c < channels; c++) {
            float score = scores[(size_t)c * sites + i];
            if (score > most) {
                most = score;
                best = c;
            }
        }
        out[i] = (uint8_t)best;
    }
}
