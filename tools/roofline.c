// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "roofline.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Pixels.
enum { WIDTH = 960, HEIGHT = 600, LEFT = 80, RIGHT = 230, TOP = 50, BOTTOM = 60, MOST_KERNELS = 12 };

static const char *const colours[MOST_KERNELS] = {"#1b6ca8", "#d1495b", "#2e933c", "#edae49", "#7a4988", "#00798c",
                                                  "#8d5524", "#5c5c5c", "#e07a5f", "#3d405b", "#81b29a", "#b5838d"};

// Decades of both axes.
struct axes {
    double x_least, x_most, y_least, y_most; // powers of ten
};

struct names {
    const char *items[MOST_KERNELS];
    size_t count;
};

static double place_x(const struct axes *axes, double intensity)
{
    return LEFT + (log10(intensity) - axes->x_least) / (axes->x_most - axes->x_least) * (WIDTH - LEFT - RIGHT);
}

static double place_y(const struct axes *axes, double gflops)
{
    return HEIGHT - BOTTOM - (log10(gflops) - axes->y_least) / (axes->y_most - axes->y_least) * (HEIGHT - TOP - BOTTOM);
}

static void put_escaped(FILE *file, const char *text)
{
    for (; *text; text++) {
        const unsigned char byte = (unsigned char)*text;
        switch (byte) {
        case '&': fputs("&amp;", file); break;
        case '<': fputs("&lt;", file); break;
        case '>': fputs("&gt;", file); break;
        case '"': fputs("&quot;", file); break;
        default: fputc(byte < 0x20 || byte == 0x7f ? '?' : byte, file);
        }
    }
}

static void put_text(FILE *file, double x, double y, const char *anchor, const char *text)
{
    fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    put_escaped(file, text);
    fputs("</text>\n", file);
}

static void widen(double *least, double *most, double value)
{
    *least = fmin(*least, floor(log10(value)));
    *most = fmax(*most, ceil(log10(value)));
}

static struct axes find_axes(const stp_device_speed *speed, const struct stp_roofline_point *points, size_t count)
{
    const double peak = speed->flops * 1e-9, ridge = speed->flops / speed->bytes;
    struct axes axes = {floor(log10(ridge)), ceil(log10(ridge)), floor(log10(peak)) - 1, ceil(log10(peak * 1.01))};
    for (size_t i = 0; i < count; i++) {
        widen(&axes.x_least, &axes.x_most, points[i].flops / points[i].bytes);
        widen(&axes.y_least, &axes.y_most, points[i].flops / points[i].ms * 1e-6);
    }
    return axes;
}

static void put_grid(FILE *file, const struct axes *axes)
{
    char text[32];
    for (double e = axes->x_least; e <= axes->x_most; e++) {
        const double x = place_x(axes, pow(10, e));
        fprintf(file, "<line x1=\"%.1f\" y1=\"%d\" x2=\"%.1f\" y2=\"%d\" stroke=\"#ddd\"/>\n", x, TOP, x, HEIGHT - BOTTOM);
        snprintf(text, sizeof text, "%g", pow(10, e));
        put_text(file, x, HEIGHT - BOTTOM + 18, "middle", text);
    }
    for (double e = axes->y_least; e <= axes->y_most; e++) {
        const double y = place_y(axes, pow(10, e));
        fprintf(file, "<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", LEFT, y, WIDTH - RIGHT, y);
        snprintf(text, sizeof text, "%g", pow(10, e));
        put_text(file, LEFT - 8, y + 4, "end", text);
    }
    put_text(file, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 18, "middle", "arithmetic per byte that must be moved (FLOP/B)");
    fprintf(file, "<text transform=\"translate(22,%d) rotate(-90)\" text-anchor=\"middle\">GFLOP/s</text>\n", HEIGHT / 2);
}

// The lower of the two ceilings.
static void put_roof(FILE *file, const struct axes *axes, const stp_device_speed *speed)
{
    char text[64];
    const double peak = speed->flops * 1e-9, band = speed->bytes * 1e-9, most = pow(10, axes->x_most);
    const double first = fmax(pow(10, axes->x_least), pow(10, axes->y_least) / band);
    fprintf(file, "<polyline points=\"%.1f,%.1f %.1f,%.1f %.1f,%.1f\" fill=\"none\" stroke=\"#222\" stroke-width=\"2\"/>\n", place_x(axes, first),
            place_y(axes, first * band), place_x(axes, peak / band), place_y(axes, peak), place_x(axes, most), place_y(axes, peak));
    snprintf(text, sizeof text, "%.0f GFLOP/s of fma", peak);
    put_text(file, place_x(axes, most) - 4, place_y(axes, peak) - 6, "end", text);
    snprintf(text, sizeof text, "%.0f GB/s", band);
    put_text(file, place_x(axes, 2 * first) + 8, place_y(axes, 2 * first * band) + 14, "start", text); // below the slope
}

// Its colour; kernels beyond the table share the last one.
static size_t number_of(struct names *names, const char *kernel)
{
    for (size_t i = 0; i < names->count; i++)
        if (!strcmp(names->items[i], kernel))
            return i;
    if (names->count == MOST_KERNELS)
        return MOST_KERNELS - 1;
    names->items[names->count] = kernel;
    return names->count++;
}

// Areas are as the times.
static void put_points(FILE *file, const struct axes *axes, struct names *names, const struct stp_roofline_point *points, size_t count)
{
    double longest = 0;
    for (size_t i = 0; i < count; i++)
        longest = fmax(longest, points[i].ms);
    for (size_t i = 0; i < count; i++) {
        const struct stp_roofline_point *p = &points[i];
        const double gflops = p->flops / p->ms * 1e-6;
        fprintf(file, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"%.1f\" fill=\"%s\" fill-opacity=\"0.55\"><title>", place_x(axes, p->flops / p->bytes),
                place_y(axes, gflops), 3 + 12 * sqrt(p->ms / longest), colours[number_of(names, p->kernel)]);
        put_escaped(file, p->node);
        fprintf(file, ": %.3f ms, %.1f GFLOP/s, %.1f GB/s</title></circle>\n", p->ms, gflops, p->bytes / p->ms * 1e-6);
    }
}

static void put_legend(FILE *file, const struct names *names, const struct stp_roofline_point *points, size_t count)
{
    for (size_t n = 0; n < names->count; n++) {
        char text[96];
        double ms = 0;
        for (size_t i = 0; i < count; i++)
            if (!strcmp(points[i].kernel, names->items[n]))
                ms += points[i].ms;
        const double y = TOP + 14 + 22 * (double)n;
        fprintf(file, "<circle cx=\"%d\" cy=\"%.1f\" r=\"6\" fill=\"%s\"/>\n", WIDTH - RIGHT + 24, y - 4, colours[n]);
        snprintf(text, sizeof text, "%.40s, %.2f ms", names->items[n], ms);
        put_text(file, WIDTH - RIGHT + 38, y, "start", text);
    }
}

static void put_picture(FILE *file, const char *title, const stp_device_speed *speed, const struct stp_roofline_point *points, size_t count)
{
    const struct axes axes = find_axes(speed, points, count);
    struct names names = {.count = 0};
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" font-size=\"13\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
            WIDTH, HEIGHT);
    put_text(file, LEFT, 28, "start", title);
    put_grid(file, &axes);
    put_points(file, &axes, &names, points, count);
    put_roof(file, &axes, speed);
    put_legend(file, &names, points, count);
    fputs("</svg>\n", file);
}

bool stp_roofline_write(const char *path, const char *title, const stp_device_speed *speed, const struct stp_roofline_point *points,
                        size_t count, struct stp_error *error)
{
    char *text = NULL;
    size_t size;
    FILE *file = open_memstream(&text, &size);
    if (!file)
        return stp_error_set(error, "out of memory");
    put_picture(file, title, speed, points, count);
    bool ok = !ferror(file);
    ok = !fclose(file) && ok;
    ok = ok ? stp_write_text(path, text, error) : stp_error_set(error, "out of memory");
    free(text);
    return ok;
}
