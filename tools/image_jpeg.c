// SPDX-License-Identifier: Apache-2.0
#include "image.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

struct decoder {
    struct jpeg_decompress_struct jpeg; // first: libjpeg's callbacks get a pointer to it
    struct jpeg_error_mgr manager;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    const char *name;
    struct stp_error *error;
    JSAMPLE *row;
};

static void fail(struct decoder *decoder)
{
    char text[JMSG_LENGTH_MAX];
    decoder->manager.format_message((j_common_ptr)decoder, text);
    stp_error_set(decoder->error, "%s is corrupt: %s", decoder->name, text);
    longjmp(decoder->failed, 1);
}

static void on_error(j_common_ptr jpeg)
{
    fail((struct decoder *)jpeg);
}

// libjpeg goes on after damage and shows grey; here damage is an error. What some cameras write is not damage.
static void on_message(j_common_ptr jpeg, int level)
{
    if (level >= 0)
        return; // a trace message
    switch (jpeg->err->msg_code) {
    case JWRN_ADOBE_XFORM:
    case JWRN_BOGUS_ICC:
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR: return;
    default: fail((struct decoder *)jpeg);
    }
}

// A progressive file of thousands of tiny scans would take hours.
static void on_progress(j_common_ptr jpeg)
{
    struct decoder *decoder = (struct decoder *)jpeg;
    if (decoder->jpeg.input_scan_number > 500) {
        stp_error_set(decoder->error, "%s is corrupt: more than 500 scans", decoder->name);
        longjmp(decoder->failed, 1);
    }
}

static int read_orientation(const struct jpeg_decompress_struct *jpeg)
{
    for (jpeg_saved_marker_ptr marker = jpeg->marker_list; marker; marker = marker->next)
        if (marker->marker == JPEG_APP0 + 1 && marker->data_length > 6 && !memcmp(marker->data, "Exif\0", 6))
            return stp_exif_orientation(marker->data, marker->data_length);
    return 1;
}

// One row of RGB or CMYK samples as 16-bit RGB. Adobe's CMYK is stored inverted: 255 is no ink.
static void store_row(const struct jpeg_decompress_struct *jpeg, const JSAMPLE *from, uint16_t *to)
{
    for (size_t x = 0; x < jpeg->output_width; x++)
        for (size_t c = 0; c < 3; c++) {
            if (jpeg->out_color_space == JCS_RGB) {
                to[3 * x + c] = (uint16_t)(from[3 * x + c] * 257);
                continue;
            }
            unsigned ink = from[4 * x + c], black = from[4 * x + 3];
            if (!jpeg->saw_Adobe_marker) {
                ink = 255 - ink;
                black = 255 - black;
            }
            to[3 * x + c] = (uint16_t)((ink * black * 257 + 127) / 255);
        }
}

static bool read_pixels(struct decoder *decoder, const void *bytes, size_t size, struct stp_image *out,
                        int *orientation)
{
    struct jpeg_decompress_struct *jpeg = &decoder->jpeg;
    jpeg_mem_src(jpeg, bytes, size);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    *orientation = read_orientation(jpeg);
    bool four = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = four ? JCS_CMYK : JCS_RGB;
    // A block of 64 pixels takes a bit or more, less only where subsampling or arithmetic coding saves some.
    if (!stp_image_alloc(out, jpeg->image_width, jpeg->image_height, (uint64_t)size * 4096, decoder->name,
                         decoder->error))
        return false;
    jpeg_start_decompress(jpeg);
    decoder->row = malloc((size_t)jpeg->output_width * (size_t)jpeg->output_components);
    if (!decoder->row)
        return stp_error_set(decoder->error, "out of memory for decoding %s", decoder->name);
    while (jpeg->output_scanline < jpeg->output_height) {
        size_t y = jpeg->output_scanline;
        jpeg_read_scanlines(jpeg, &decoder->row, 1);
        store_row(jpeg, decoder->row, out->rgb + y * jpeg->output_width * 3);
    }
    jpeg_finish_decompress(jpeg);
    return true;
}

bool stp_jpeg_decode(struct stp_image *out, int *orientation, const void *bytes, size_t size, const char *name,
                     struct stp_error *error)
{
    struct decoder *decoder = calloc(1, sizeof *decoder);
    if (!decoder)
        return stp_error_set(error, "out of memory for decoding %s", name);
    decoder->name = name;
    decoder->error = error;
    decoder->jpeg.err = jpeg_std_error(&decoder->manager);
    decoder->manager.error_exit = on_error;
    decoder->manager.emit_message = on_message;
    decoder->progress.progress_monitor = on_progress;
    volatile bool ok = false;
    if (!setjmp(decoder->failed)) {
        jpeg_create_decompress(&decoder->jpeg);
        decoder->jpeg.progress = &decoder->progress;
        ok = read_pixels(decoder, bytes, size, out, orientation);
    }
    jpeg_destroy_decompress(&decoder->jpeg);
    free(decoder->row);
    free(decoder);
    return ok;
}
