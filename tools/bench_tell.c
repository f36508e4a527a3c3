// SPDX-License-Identifier: Apache-2.0
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <math.h>
#include <sys/resource.h>

const char *const stp_bench_modes[STP_MODES] = {"sparse", "dense"};

// What is told -------------------------------------------------------------------------------------------------------

// The most memory that the process had in RAM so far.
static double peak_bytes(void)
{
    struct rusage usage;
    return getrusage(RUSAGE_SELF, &usage) ? NAN : (double)usage.ru_maxrss * 1024; // in KiB, except on macOS
}

// In operations per second, over the least time.
static double flops(const double *figures)
{
    return 2 * figures[STP_MACS] / (figures[STP_MIN_MS] * 1e-3);
}

static double bytes_per_second(const double *figures)
{
    return figures[STP_BYTES] / (figures[STP_MIN_MS] * 1e-3);
}

// NaN if the device was never measured.
static double share(double reached, double most)
{
    return most > 0 ? reached / most : NAN;
}

// The means over all photos.
static struct stp_bench_take average(const struct stp_bench *bench)
{
    struct stp_bench_take mean = {0};
    double weight = 1 / (double)bench->n_takes;
    for (size_t i = 0; i < bench->n_takes; i++) {
        const struct stp_bench_take *take = bench->takes + i;
        for (int mode = 0; mode < STP_MODES; mode++)
            for (int f = 0; f < STP_FIGURES; f++)
                mean.figures[mode][f] += weight * take->figures[mode][f];
        mean.theoretical += weight * take->theoretical;
        mean.factor += weight * take->factor;
        mean.factor_median += weight * take->factor_median;
    }
    return mean;
}

// For people ---------------------------------------------------------------------------------------------------------

static void print_percent(int width, double part)
{
    if (isnan(part))
        printf("  %*s", width, "-");
    else
        printf("  %*.1f %%", width - 2, 100 * part);
}

static void print_figures(const struct stp_bench *bench, const struct stp_bench_take *take)
{
    puts("              min     median       mean        max   GFLOP/s   of peak      GB/s   of most");
    for (int mode = 0; mode < STP_MODES; mode++) {
        const double *figures = take->figures[mode];
        printf("%-6s ", stp_bench_modes[mode]);
        for (int f = STP_MIN_MS; f <= STP_MAX_MS; f++)
            printf(" %10.3f", figures[f]);
        printf("  %8.1f", flops(figures) * 1e-9);
        print_percent(8, share(flops(figures), bench->speed.flops));
        printf("  %8.2f", bytes_per_second(figures) * 1e-9);
        print_percent(8, share(bytes_per_second(figures), bench->speed.bytes));
        putchar('\n');
    }
    printf("factor   %.2f by the least times, %.2f by the medians", take->factor, take->factor_median);
    if (!isnan(take->theoretical))
        printf("; theoretical %.2f, of which %.1f %% are realised", take->theoretical,
               100 * take->factor / take->theoretical);
    putchar('\n');
    if (bench->speed.flops > 0 && bench->speed.bytes > 0)
        printf("device   measured at %.1f GFLOP/s (fp32 fma) and %.1f GB/s\n", bench->speed.flops * 1e-9,
               bench->speed.bytes * 1e-9);
    else
        puts("device   its peak and its memory's were never measured: stipple devices --measure does that");
}

static void print_costs(const struct stp_bench *bench, const struct stp_bench_take *take)
{
    const double *sparse = take->figures[STP_SPARSE], *dense = take->figures[STP_DENSE];
    printf("start    load %.1f ms; compile sparse %.1f ms, then dense %.1f ms; first runs %.1f and %.1f ms\n",
           bench->run.load_ms, sparse[STP_COMPILE_MS], dense[STP_COMPILE_MS], sparse[STP_FIRST_MS],
           dense[STP_FIRST_MS]);
    printf("memory   sparse %.1f MiB for activations and %.1f MiB for weights, dense %.1f and %.1f MiB; peak resident "
           "%.1f MiB, with both\n",
           sparse[STP_ARENA_BYTES] / (1 << 20), sparse[STP_WEIGHT_BYTES] / (1 << 20),
           dense[STP_ARENA_BYTES] / (1 << 20), dense[STP_WEIGHT_BYTES] / (1 << 20), peak_bytes() / (1 << 20));
}

static void print_runs(const struct stp_bench *bench)
{
    printf("runs     %d of each mode%s, in turns; ms below; all outputs equal to the bit\n", bench->run.runs,
           bench->n_takes > 1 ? " and photo" : "");
}

static bool print_one(struct stp_bench *bench, const struct stp_bench_take *take)
{
    if (!stp_report_head(&bench->run, &take->shot))
        return false;
    stp_report_macs(&take->shot.stats.macs);
    print_costs(bench, take);
    print_runs(bench);
    print_figures(bench, take);
    return true;
}

static bool print_line(struct stp_bench *bench, const struct stp_bench_take *take)
{
    if (take == bench->takes) {
        stp_report_model(&bench->run);
        puts(" sparse min     median  dense min     median    factor    theory  realised  photo");
    }
    const double *sparse = take->figures[STP_SPARSE], *dense = take->figures[STP_DENSE];
    printf(" %10.3f %10.3f %10.3f %10.3f  %8.2f", sparse[STP_MIN_MS], sparse[STP_MEDIAN_MS], dense[STP_MIN_MS],
           dense[STP_MEDIAN_MS], take->factor);
    if (isnan(take->theoretical))
        printf("  %8s", "-");
    else
        printf("  %8.2f", take->theoretical);
    print_percent(8, take->factor / take->theoretical);
    fputs("  ", stdout);
    stp_put_text(stdout, take->shot.source->path);
    putchar('\n');
    fflush(stdout);
    return true;
}

static void print_mean(const struct stp_bench *bench)
{
    const struct stp_bench_take mean = average(bench);
    printf("\nmeans over %zu photos\n", bench->n_takes);
    printf("MACs     %.3f G sparse, %.3f G dense\n", mean.figures[STP_SPARSE][STP_MACS] * 1e-9,
           mean.figures[STP_DENSE][STP_MACS] * 1e-9);
    print_costs(bench, &mean);
    print_runs(bench);
    print_figures(bench, &mean);
}

// JSON ---------------------------------------------------------------------------------------------------------------

static void add_mode(const struct stp_bench *bench, const struct stp_bench_take *take, int mode, cJSON *object)
{
    static const char *const keys[] = {"compile", "first", "warm_min", "warm_median", "warm_mean", "warm_max"};
    const double *figures = take->figures[mode];
    cJSON *side = stp_json_object(object, stp_bench_modes[mode]), *ms = stp_json_object(side, "ms");
    for (size_t i = 0; i < STP_COUNT(keys); i++)
        stp_json_number(ms, keys[i], figures[i]);
    cJSON *memory = stp_json_object(side, "memory");
    stp_json_number(memory, "arena_bytes", figures[STP_ARENA_BYTES]);
    stp_json_number(memory, "weight_bytes", figures[STP_WEIGHT_BYTES]);
    stp_json_number(side, "macs_done", figures[STP_MACS]);
    stp_json_number(side, "bytes", figures[STP_BYTES]);
    stp_json_number(side, "gflop_per_s", flops(figures) * 1e-9);
    stp_json_number(side, "flop_share", share(flops(figures), bench->speed.flops));
    stp_json_number(side, "gbyte_per_s", bytes_per_second(figures) * 1e-9);
    stp_json_number(side, "byte_share", share(bytes_per_second(figures), bench->speed.bytes));
}

static void add_figures(const struct stp_bench *bench, const struct stp_bench_take *take, cJSON *object)
{
    stp_json_number(object, "theoretical_factor", take->theoretical);
    stp_json_number(object, "factor", take->factor);
    stp_json_number(object, "factor_median", take->factor_median);
    stp_json_number(object, "realised", take->factor / take->theoretical);
    for (int mode = 0; mode < STP_MODES; mode++)
        add_mode(bench, take, mode, object);
}

static void add_speed(const struct stp_bench *bench, cJSON *object)
{
    cJSON *speed = stp_json_object(object, "speed");
    stp_json_number(speed, "gflop_per_s", bench->speed.flops > 0 ? bench->speed.flops * 1e-9 : NAN);
    stp_json_number(speed, "gbyte_per_s", bench->speed.bytes > 0 ? bench->speed.bytes * 1e-9 : NAN);
}

static bool add_one(struct stp_bench *bench, struct stp_bench_take *take)
{
    struct stp_run *run = &bench->run;
    cJSON *runs = cJSON_GetObjectItem(bench->object, "runs");
    if (!runs && bench->n_takes > 1)
        runs = stp_json_array(bench->object, "runs");
    take->object = runs ? stp_json_object(runs, NULL) : bench->object;
    if (!stp_report_json_head(run, &take->shot, take->object))
        return false;
    stp_json_number(stp_json_object(take->object, "ms"), "load", run->load_ms);
    stp_json_number(stp_report_json_memory(&take->shot.stats, take->object), "peak_resident_bytes", peak_bytes());
    if (!stp_report_json_outputs(run, take->object))
        return false;
    stp_json_number(take->object, "repeats", run->runs);
    add_speed(bench, take->object);
    add_figures(bench, take, take->object);
    return true;
}

// CSV ----------------------------------------------------------------------------------------------------------------

void stp_bench_csv_text(FILE *file, const char *text)
{
    if (!text)
        return;
    putc('"', file);
    for (; *text; text++) {
        char piece[2] = {*text};
        if (*text == '"')
            putc('"', file);
        stp_put_text(file, piece);
    }
    putc('"', file);
}

static void write_runs(const struct stp_bench *bench, const struct stp_bench_take *take)
{
    if (take == bench->takes)
        fputs("photo,mode,run,ms\n", bench->rows);
    for (int i = 0; i < bench->run.runs; i++)
        for (int mode = 0; mode < STP_MODES; mode++) {
            stp_bench_csv_text(bench->rows, take->shot.source ? take->shot.source->path : NULL);
            fprintf(bench->rows, ",%s,%d,%.6f\n", stp_bench_modes[mode], i + 1, take->ms[mode][i]);
        }
}

// All ----------------------------------------------------------------------------------------------------------------

bool stp_bench_tell(struct stp_bench *bench, struct stp_bench_take *take)
{
    if (bench->object)
        return add_one(bench, take);
    if (!bench->rows)
        return bench->n_takes > 1 ? print_line(bench, take) : print_one(bench, take);
    if (!bench->layers)
        write_runs(bench, take);
    return true;
}

void stp_bench_tell_all(struct stp_bench *bench)
{
    if (bench->n_takes == 1 || bench->rows)
        return;
    if (!bench->object) {
        print_mean(bench);
        return;
    }
    const struct stp_bench_take mean = average(bench);
    add_figures(bench, &mean, stp_json_object(bench->object, "mean"));
}
