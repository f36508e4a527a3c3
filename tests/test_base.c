// SPDX-License-Identifier: Apache-2.0
// Work on several cores, large objects of an arena.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/parallel.h"

static void count_up(void *user, int64_t i)
{
    ((int *)user)[i]++;
}

static void test_parallel(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, 1, 2, 3, 17, 1000};
    for (size_t c = 0; c < STP_LENGTH(counts); c++) {
        int times[1001] = {0};
        stp_parallel(counts[c], count_up, times);
        for (int64_t i = 0; i <= 1000; i++)
            assert_int_equal(times[i], i < counts[c]);
    }
}

// At and around the borders of the parts that cores take, aligned or not.
static void test_find_not_finite(void **state)
{
    (void)state;
    static const int64_t counts[] = {0, 1, 1 << 18, (1 << 18) + 1, 3 << 18};
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    char *memory = malloc((3u << 20) + 8);
    assert_non_null(memory);
    for (size_t offset = 0; offset < 2; offset++)
        for (size_t c = 0; c < STP_LENGTH(counts); c++) {
            char *floats = memory + offset;
            int64_t count = counts[c];
            for (int64_t i = 0; i < count; i++)
                memcpy(floats + i * 4, &(float){3.4e38f}, 4);
            assert_int_equal(stp_find_not_finite(floats, count), count);
            const int64_t places[] = {count - 1, count / 2, (1 << 18) - 1, 1 << 18, 0};
            for (size_t p = 0; p < STP_LENGTH(places); p++) {
                if (places[p] < 0 || places[p] >= count)
                    continue;
                memcpy(floats + places[p] * 4, &bad[p % 3], 4);
                int64_t found = stp_find_not_finite(floats, count);
                assert_true(found <= places[p] && !isfinite(stp_float_at(floats, found)));
                for (int64_t i = 0; i < found; i++)
                    assert_true(isfinite(stp_float_at(floats, i)));
            }
        }
    free(memory);
}

static void test_arena(void **state)
{
    (void)state;
    struct stp_arena arena = {0};
    static const size_t sizes[] = {0, 1, 63, 64, 1000, 16 << 10, 64 << 10, 1 << 20, (1 << 20) + 1, 9000001};
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < STP_LENGTH(sizes); i++) {
            unsigned char *bytes = stp_arena_alloc(&arena, sizes[i]);
            assert_non_null(bytes);
            assert_int_equal((uintptr_t)bytes % (sizes[i] >= 64 ? 64 : 16), 0);
            for (size_t k = 0; k < sizes[i]; k++)
                assert_int_equal(bytes[k], 0);
            memset(bytes, 0xaa, sizes[i]);
        }
    assert_null(stp_arena_alloc(&arena, SIZE_MAX - 10));
    stp_arena_free(&arena);
    stp_arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parallel),
        cmocka_unit_test(test_find_not_finite),
        cmocka_unit_test(test_arena),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
