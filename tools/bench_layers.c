// SPDX-License-Identifier: Apache-2.0
// stipple bench --layers: where the time goes, node by node.
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A node of the sparse session in its last run, and the least times of both over all runs. Strings are the sessions'.
struct layer {
    stp_session_node node;
    double ms[STP_MODES];
};

struct table {
    struct layer *layers;
    size_t count;
    double total[STP_MODES]; // of the least times
};

// What the two ceilings say of a layer.
struct limit {
    const char *name; // NULL: cannot be said
    double share;     // of that ceiling
};

// Measuring ----------------------------------------------------------------------------------------------------------

static bool read_times(struct stp_bench *bench, struct table *table, bool first)
{
    struct stp_run *run = &bench->run;
    for (size_t i = 0; i < table->count; i++) {
        struct layer *layer = table->layers + i;
        stp_session_node dense;
        if (!stp_job_ok(run, stp_session_node_get(run->session, i, &layer->node)) ||
            !stp_job_ok(run, stp_session_node_get(run->twin, i, &dense)))
            return false;
        const double now[STP_MODES] = {layer->node.ms, dense.ms};
        for (int mode = 0; mode < STP_MODES; mode++)
            layer->ms[mode] = first ? now[mode] : fmin(layer->ms[mode], now[mode]);
    }
    return true;
}

static bool measure(struct stp_bench *bench, const struct stp_bench_take *take, struct table *table)
{
    struct stp_run *run = &bench->run;
    double ms[STP_MODES];
    if (!stp_bench_pair(bench, ms))
        return false;
    *table = (struct table){.count = stp_session_node_count(run->session)};
    table->layers = calloc(table->count + 1, sizeof *table->layers);
    if (!table->layers)
        return stp_error_set(&run->tool->error, "out of memory");
    for (int i = 0; i < run->runs; i++) {
        stp_bench_progress(bench, take, "run by layer", i + 1);
        if (!stp_bench_pair(bench, ms) || !read_times(bench, table, !i))
            return false;
    }
    stp_tool_progress_end(run->tool);
    for (size_t i = 0; i < table->count; i++)
        for (int mode = 0; mode < STP_MODES; mode++)
            table->total[mode] += table->layers[i].ms[mode];
    return true;
}

// What is told -------------------------------------------------------------------------------------------------------

// Of a part of a node's work nothing can be said per second: the time is another's, or not all of it is here.
static bool has_rates(const struct layer *layer)
{
    return layer->node.kernel && !layer->node.part_of && layer->ms[STP_SPARSE] > 0;
}

// NaN where there is none.
static double per_second(const struct layer *layer, double amount)
{
    return has_rates(layer) && amount > 0 ? amount / (layer->ms[STP_SPARSE] * 1e-3) : NAN;
}

static struct limit find_limit(const struct stp_bench *bench, const struct layer *layer)
{
    if (!has_rates(layer) || !(layer->node.bytes > 0) || !(bench->speed.flops > 0) || !(bench->speed.bytes > 0))
        return (struct limit){0};
    double compute = 2 * layer->node.macs / bench->speed.flops, memory = layer->node.bytes / bench->speed.bytes;
    double least = fmax(compute, memory) * 1e3;
    return (struct limit){.name = compute > memory ? "compute" : "memory", .share = least / layer->ms[STP_SPARSE]};
}

static double part(double ms, double total)
{
    return total > 0 ? ms / total : NAN;
}

// "-DTILE_M=8 -DVEC=16" without the -D.
static void plain_options(const char *options, char *out, size_t size)
{
    size_t used = 0;
    for (const char *from = options ? options : ""; *from && used + 1 < size; from++) {
        if (!strncmp(from, "-D", 2) && (from == options || from[-1] == ' '))
            from += 2;
        out[used++] = *from;
    }
    out[used] = 0;
}

// For people ---------------------------------------------------------------------------------------------------------

static void print_number(int width, int digits, double value)
{
    if (isnan(value))
        printf("%*s", width, "");
    else
        printf("%*.*f", width, digits, value);
}

static void print_place(const struct layer *layer)
{
    const stp_session_node *node = &layer->node;
    fputs("  ", stdout);
    stp_put_text(stdout, node->op);
    fputs(*node->op ? " " : "", stdout);
    stp_put_text(stdout, node->name);
    if (node->kernel && *node->op) {
        char options[256];
        plain_options(node->options, options, sizeof options);
        printf("  %s%s%s", node->kernel, *options ? " " : "", options);
    }
    if (node->part_of) {
        fputs(node->kernel ? "  (its products: with " : "  (with ", stdout);
        stp_put_text(stdout, node->part_of);
        putchar(')');
    }
    putchar('\n');
}

static void print_table(const struct stp_bench *bench, const struct stp_bench_take *take, const struct table *table)
{
    printf("\nlayers   least of %d runs of each mode; kernels take %.3f of %.3f ms sparse, %.3f of %.3f ms dense",
           bench->run.runs, table->total[STP_SPARSE], take->figures[STP_SPARSE][STP_MIN_MS], table->total[STP_DENSE],
           take->figures[STP_DENSE][STP_MIN_MS]);
    if (bench->n_takes > 1) {
        fputs("; ", stdout);
        stp_put_text(stdout, take->shot.source->path);
    }
    puts("\n       ms   share     sum     dense       rows  GFLOP/s     GB/s  limit           layer");
    double sum = 0;
    for (size_t i = 0; i < table->count; i++) {
        const struct layer *layer = table->layers + i;
        bool runs = layer->node.kernel;
        struct limit limit = find_limit(bench, layer);
        sum += layer->ms[STP_SPARSE];
        print_number(9, 3, runs ? layer->ms[STP_SPARSE] : NAN);
        print_number(8, 1, runs ? 100 * part(layer->ms[STP_SPARSE], table->total[STP_SPARSE]) : NAN);
        print_number(8, 1, runs ? 100 * part(sum, table->total[STP_SPARSE]) : NAN);
        print_number(10, 3, runs ? layer->ms[STP_DENSE] : NAN);
        print_number(11, 0, layer->node.rows > 0 ? layer->node.rows : NAN);
        print_number(9, 1, per_second(layer, 2 * layer->node.macs) * 1e-9);
        print_number(9, 2, per_second(layer, layer->node.bytes) * 1e-9);
        if (limit.name)
            printf("  %-7s %3.0f %%  ", limit.name, 100 * limit.share);
        else
            printf("  %15s", "");
        print_place(layer);
    }
}

// JSON, CSV ----------------------------------------------------------------------------------------------------------

// What follows the texts, before the limit.
enum { ROWS, MS, SHARE, CUMULATIVE_SHARE, DENSE_MS, MACS, BYTES, GFLOPS, GBYTES, NUMBERS };
static const char *const number_keys[NUMBERS] = {"rows", "ms",    "share",       "cumulative_share", "dense_ms",
                                                 "macs", "bytes", "gflop_per_s", "gbyte_per_s"};

static void find_numbers(double *out, const struct table *table, const struct layer *layer, double sum)
{
    out[ROWS] = layer->node.rows;
    out[MS] = layer->ms[STP_SPARSE];
    out[SHARE] = part(layer->ms[STP_SPARSE], table->total[STP_SPARSE]);
    out[CUMULATIVE_SHARE] = part(sum, table->total[STP_SPARSE]);
    out[DENSE_MS] = layer->ms[STP_DENSE];
    out[MACS] = layer->node.macs;
    out[BYTES] = layer->node.bytes;
    out[GFLOPS] = per_second(layer, 2 * layer->node.macs) * 1e-9;
    out[GBYTES] = per_second(layer, layer->node.bytes) * 1e-9;
}

static void add_layer(cJSON *layers, const stp_session_node *node, const double *numbers, struct limit limit)
{
    char options[256];
    cJSON *entry = stp_json_object(layers, NULL);
    plain_options(node->options, options, sizeof options);
    stp_json_text(entry, "node", node->name);
    stp_json_text(entry, "op", node->op);
    stp_json_text(entry, "kernel", node->kernel);
    stp_json_text(entry, "options", node->kernel ? options : NULL);
    stp_json_text(entry, "part_of", node->part_of);
    for (int i = 0; i < NUMBERS; i++)
        stp_json_number(entry, number_keys[i], numbers[i]);
    stp_json_text(entry, "limit", limit.name);
    stp_json_number(entry, "limit_share", limit.name ? limit.share : NAN);
}

static void write_heading(FILE *rows)
{
    fputs("photo,node,op,kernel,options,part_of", rows);
    for (int i = 0; i < NUMBERS; i++)
        fprintf(rows, ",%s", number_keys[i]);
    fputs(",limit,limit_share\n", rows);
}

static void write_layer(FILE *rows, const struct stp_bench_take *take, const stp_session_node *node,
                        const double *numbers, struct limit limit)
{
    char options[256];
    plain_options(node->options, options, sizeof options);
    const char *const texts[] = {take->shot.source ? take->shot.source->path : NULL,
                                 node->name,
                                 node->op,
                                 node->kernel,
                                 node->kernel ? options : NULL,
                                 node->part_of};
    for (size_t i = 0; i < STP_COUNT(texts); i++) {
        fputs(i ? "," : "", rows);
        stp_bench_csv_text(rows, texts[i]);
    }
    for (int i = 0; i < NUMBERS; i++) {
        putc(',', rows);
        if (!isnan(numbers[i]))
            fprintf(rows, "%.9g", numbers[i]);
    }
    if (limit.name)
        fprintf(rows, ",%s,%.6g\n", limit.name, limit.share);
    else
        fputs(",,\n", rows);
}

static void tell(struct stp_bench *bench, const struct stp_bench_take *take, const struct table *table)
{
    if (!take->object && !bench->rows) {
        print_table(bench, take, table);
        return;
    }
    cJSON *layers = take->object ? stp_json_array(take->object, "layers") : NULL;
    if (bench->rows && take == bench->takes)
        write_heading(bench->rows);
    double sum = 0, numbers[NUMBERS];
    for (size_t i = 0; i < table->count; i++) {
        const struct layer *layer = table->layers + i;
        sum += layer->ms[STP_SPARSE];
        find_numbers(numbers, table, layer, sum);
        if (layers)
            add_layer(layers, &layer->node, numbers, find_limit(bench, layer));
        else
            write_layer(bench->rows, take, &layer->node, numbers, find_limit(bench, layer));
    }
}

// All ----------------------------------------------------------------------------------------------------------------

static bool take_layers(struct stp_bench *bench, struct stp_bench_take *take)
{
    struct table table = {0};
    bool ok = !take->shot.source || stp_feed_photo(&bench->run, &take->shot);
    stp_image_free(&take->shot.image);
    ok = ok && measure(bench, take, &table);
    if (ok)
        tell(bench, take, &table);
    free(table.layers);
    return ok;
}

bool stp_bench_layers(struct stp_bench *bench)
{
    struct stp_run *run = &bench->run;
    stp_session_destroy(&run->session);
    stp_session_destroy(&run->twin);
    if (!stp_job_session(run, &run->session, false, true) || !stp_job_session(run, &run->twin, true, true) ||
        !stp_feed_set(run))
        return false;
    for (size_t i = 0; i < bench->n_takes; i++)
        if (!take_layers(bench, bench->takes + i))
            return false;
    return true;
}
