// SPDX-License-Identifier: Apache-2.0
// The selftest's models: each can be read and computed by the reference, and together they hold every operator.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stipple/model.h>

#include "ops/registry.h"
#include "run/model.h"
#include "selftest/cases.h"
#include "selftest/script.h"

static bool holds(const char *type)
{
    char statement[64];
    snprintf(statement, sizeof statement, "%s ", type);
    for (size_t g = 0; g < stp_selftest_group_count; g++)
        for (const char *const *text = stp_selftest_groups[g].models; *text; text++)
            for (const char *at = *text; (at = strstr(at, statement)); at++)
                if (at == *text || at[-1] == ';' || at[-1] == ' ')
                    return true;
    return false;
}

static void test_operators(void **state)
{
    (void)state;
#define CHECK(name)            \
    print_message(#name "\n"); \
    assert_true(holds(#name));
    STP_OPS(CHECK)
#undef CHECK
}

static void test_models(void **state)
{
    (void)state;
    stp_context *context;
    assert_int_equal(stp_context_create(&context, NULL), STP_OK);
    for (size_t g = 0; g < stp_selftest_group_count; g++)
        for (const char *const *text = stp_selftest_groups[g].models; *text; text++) {
            struct stp_script script;
            stp_model *model;
            print_message("%s: %.60s\n", stp_selftest_groups[g].name, *text);
            assert_int_equal(stp_script_read(&script, context, *text), STP_OK);
            assert_int_equal(stp_model_load_memory(&model, context, script.bytes, script.size), STP_OK);
            assert_int_equal(model->graph->n_inputs, script.n_inputs);
            assert_true(model->graph->n_outputs > 0);
            stp_model_destroy(&model);
            free(script.bytes);
        }
    stp_context_destroy(&context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_operators), cmocka_unit_test(test_models)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
