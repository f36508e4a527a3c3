// SPDX-License-Identifier: Apache-2.0
#include "run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "npy.h"

// Metadata -----------------------------------------------------------------------------------------------------------

static bool read_task(struct stp_run *run, const char *task)
{
    run->task = STP_TASK_NONE;
    if (!task)
        return true;
    if (!strcmp(task, "detect"))
        return stp_error_set(&run->tool->error, "%s: the model's task is detect, which stipple cannot do yet",
                             run->model_path);
    if (strcmp(task, "classify") && strcmp(task, "segment"))
        return stp_error_set(&run->tool->error, "%s: metadata stipple.task is '%.60s', not classify, segment or detect",
                             run->model_path, task);
    run->task = task[0] == 'c' ? STP_TASK_CLASSIFY : STP_TASK_SEGMENT;
    return true;
}

static bool read_labels(struct stp_run *run, const char *text)
{
    if (!text)
        return true;
    run->labels = cJSON_Parse(text);
    bool ok = cJSON_IsArray(run->labels);
    for (const cJSON *label = ok ? run->labels->child : NULL; label; label = label->next)
        ok = ok && cJSON_IsString(label);
    return ok ||
           stp_error_set(&run->tool->error, "%s: metadata stipple.labels is not a JSON list of names", run->model_path);
}

int stp_feed_metadata(struct stp_run *run)
{
    const stp_model *model = run->loaded.model;
    struct stp_error *error = &run->tool->error;
    bool ok = read_task(run, stp_model_metadata(model, "stipple.task")) &&
              read_labels(run, stp_model_metadata(model, "stipple.labels")) &&
              stp_fit_rules_parse(&run->rules, stp_model_metadata(model, "stipple.image.order"),
                                  stp_model_metadata(model, "stipple.image.mean"),
                                  stp_model_metadata(model, "stipple.image.std"),
                                  stp_model_metadata(model, "stipple.image.resize"), error);
    return ok ? -1 : stp_tool_failure(run->tool);
}

// Which input gets what ----------------------------------------------------------------------------------------------

const stp_model_port *stp_feed_port(const stp_model *model, const char *name)
{
    const stp_model_port *port = NULL;
    for (size_t i = 0; (port = stp_model_input(model, i)); i++)
        if (!strcmp(port->name, name))
            break;
    return port;
}

static const struct stp_run_input *find_input(const struct stp_run *run, const stp_model_port *port)
{
    for (size_t i = 0; i < run->n_inputs; i++)
        if (run->inputs[i].port == port)
            return run->inputs + i;
    return NULL;
}

// Names may hold '=': the first one that ends the name of an input counts. Returns where the file's name starts, or
// NULL.
static const char *split_argument(const stp_model *model, struct stp_run_input *input)
{
    const char *file = NULL;
    for (size_t i = 0; (input->port = stp_model_input(model, i)); i++) {
        size_t length = strlen(input->port->name);
        if (!strncmp(input->argument, input->port->name, length) && input->argument[length] == '=') {
            file = input->argument + length + 1;
            break;
        }
    }
    return file;
}

static int unknown_input(struct stp_run *run, const char *argument)
{
    char names[400] = "";
    size_t used = 0;
    const stp_model_port *port;
    for (size_t i = 0; (port = stp_model_input(run->loaded.model, i)) && used < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", i ? ", " : "", port->name);
    return stp_tool_usage(run->tool, run->verb, "--input %s names no input of the model; its inputs are: %s", argument,
                          names);
}

static bool read_tensor(struct stp_tool *tool, stp_tensor *out, const char *path)
{
    struct stp_bytes bytes;
    if (!stp_read_file(&bytes, path, &tool->error))
        return false;
    size_t length = strlen(path);
    bool ok;
    if (stp_npy_is(bytes.data, bytes.size))
        ok = stp_npy_parse(out, bytes.data, bytes.size, path, &tool->error);
    else if (length > 3 && !strcmp(path + length - 3, ".pb"))
        ok = stp_tensor_parse(out, tool->context, bytes.data, bytes.size) == STP_OK ||
             stp_error_library(&tool->error, tool->context, path);
    else
        ok = stp_error_set(&tool->error, "%s is neither a .npy file nor named .pb (an ONNX TensorProto)", path);
    free(bytes.data);
    return ok;
}

// The first float input of rank 4. Old files list weights among the inputs, with defaults: one without comes first.
static const stp_model_port *find_photo_port(const stp_model *model)
{
    const stp_model_port *found = NULL, *port;
    for (size_t i = 0; (port = stp_model_input(model, i)); i++)
        if (port->dtype == STP_F32 && port->rank == 4 && (!found || (found->has_default && !port->has_default)))
            found = port;
    return found;
}

static int check_photo_port(struct stp_run *run)
{
    if (!run->photos.count && !run->stand_in)
        return -1;
    const stp_model_port *photo_port = find_photo_port(run->loaded.model);
    const bool wants_one = photo_port && !photo_port->has_default && !find_input(run, photo_port) &&
                           (photo_port->dims[1] < 0 || photo_port->dims[1] == 3);
    if (!run->photos.count && !wants_one) // nothing to stand in for
        return -1;
    run->photo_port = photo_port;
    if (!run->photo_port) {
        stp_error_set(&run->tool->error, "%s has no float input of rank 4 that a photo could feed", run->model_path);
        return stp_tool_failure(run->tool);
    }
    const stp_model_port *port = run->photo_port;
    if (find_input(run, port))
        return stp_tool_usage(run->tool, run->verb, "input '%s' gets the photo, so --input %s= cannot go with one",
                              port->name, port->name);
    if (port->dims[1] >= 0 && port->dims[1] != 3) {
        stp_error_set(&run->tool->error, "input '%s' has %lld channels, a photo has 3", port->name,
                      (long long)port->dims[1]);
        return stp_tool_failure(run->tool);
    }
    if (port->dims[2] > STP_IMAGE_MAX_PIXELS || port->dims[3] > STP_IMAGE_MAX_PIXELS) {
        stp_error_set(&run->tool->error, "input '%s' wants %lld×%lld pixels, more than a photo can have", port->name,
                      (long long)port->dims[3], (long long)port->dims[2]);
        return stp_tool_failure(run->tool);
    }
    return -1;
}

static int check_seed(struct stp_run *run)
{
    const stp_model_port *port = stp_feed_port(run->loaded.model, "seed");
    if (!run->has_seed)
        return -1;
    if (port && find_input(run, port))
        return stp_tool_usage(run->tool, run->verb, "--seed and --input seed= cannot go together");
    if (!port) {
        stp_tool_say(run->tool, STP_LOG_WARN, "the model has no input 'seed', so --seed changes nothing");
        run->has_seed = false;
    }
    return -1;
}

static int check_complete(struct stp_run *run)
{
    const stp_model_port *port;
    for (size_t i = 0; (port = stp_model_input(run->loaded.model, i)); i++) {
        bool seeded = run->has_seed && !strcmp(port->name, "seed");
        if (port->has_default || port == run->photo_port || seeded || find_input(run, port))
            continue;
        bool photo = !run->photos.count && port == find_photo_port(run->loaded.model);
        return stp_tool_usage(run->tool, run->verb, "input '%s' gets no value: give %s--input %s=FILE%s", port->name,
                              photo ? "a photo or " : "", port->name, strcmp(port->name, "seed") ? "" : " or --seed");
    }
    return -1;
}

int stp_feed_read(struct stp_run *run)
{
    for (size_t i = 0; i < run->n_inputs; i++) {
        struct stp_run_input *input = run->inputs + i;
        const char *path = split_argument(run->loaded.model, input);
        if (!path)
            return unknown_input(run, input->argument);
        if (find_input(run, input->port) != input)
            return stp_tool_usage(run->tool, run->verb, "--input %s= is given twice", input->port->name);
        if (!read_tensor(run->tool, &input->tensor, path))
            return stp_tool_failure(run->tool);
    }
    int status = check_photo_port(run);
    status = status < 0 ? check_seed(run) : status;
    return status < 0 ? check_complete(run) : status;
}

// Setting ------------------------------------------------------------------------------------------------------------

static bool set_input(struct stp_run *run, const char *name, const stp_tensor *tensor, const char *what)
{
    return (stp_session_set_input(run->session, name, tensor) == STP_OK &&
            (!run->twin || stp_session_set_input(run->twin, name, tensor) == STP_OK)) ||
           stp_error_library(&run->tool->error, run->tool->context, what);
}

// The size that a given tensor, or the photo, gives to the free dimension `name`; 1 if none does.
static int64_t free_size(const struct stp_run *run, const char *name)
{
    for (size_t i = 0; name && i < run->n_inputs; i++) {
        const struct stp_run_input *input = run->inputs + i;
        for (int axis = 0; axis < input->port->rank && axis < input->tensor.rank; axis++)
            if (input->port->dim_names[axis] && !strcmp(input->port->dim_names[axis], name))
                return input->tensor.dims[axis];
    }
    return 1;
}

// --seed for every image: the input is [1] or [N].
static bool set_seed(struct stp_run *run)
{
    const stp_model_port *port = stp_feed_port(run->loaded.model, "seed");
    stp_tensor tensor = {.dtype = STP_I64, .rank = port->rank < 0 ? 1 : port->rank, .dims = {1}};
    for (int i = 0; i < port->rank; i++)
        tensor.dims[i] = port->dims[i] >= 0 ? port->dims[i] : free_size(run, port->dim_names[i]);
    int64_t count = stp_tensor_elements(&tensor);
    if (count < 0 || count > 1 << 20)
        return stp_error_set(&run->tool->error, "input 'seed' has a shape that --seed cannot fill");
    int64_t *values = malloc((size_t)(count + 1) * sizeof *values);
    if (!values)
        return stp_error_set(&run->tool->error, "out of memory");
    for (int64_t i = 0; i < count; i++)
        values[i] = run->seed;
    tensor.data = values;
    bool ok = set_input(run, "seed", &tensor, NULL);
    free(values);
    return ok;
}

bool stp_feed_set(struct stp_run *run)
{
    for (size_t i = 0; i < run->n_inputs; i++)
        if (!set_input(run, run->inputs[i].port->name, &run->inputs[i].tensor, NULL))
            return false;
    return !run->has_seed || set_seed(run);
}

// Waves of several lengths and colours: what a time depends on of a photo is where masks have structure.
static bool paint(struct stp_image *out, struct stp_error *error)
{
    enum { WIDTH = 640, HEIGHT = 480 };
    if (!stp_image_alloc(out, WIDTH, HEIGHT, STP_IMAGE_MAX_PIXELS, "a picture", error))
        return false;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++) {
                const double wave = sin(x * 0.011 * (c + 1)) * cos(y * 0.017) + 0.5 * sin((x + 2 * y) * 0.05) * (x > WIDTH / 2);
                out->rgb[(y * WIDTH + x) * 3 + c] = (uint16_t)(32768 + 20000 * wave);
            }
    return true;
}

bool stp_feed_photo(struct stp_run *run, struct stp_shot *shot)
{
    struct stp_error *error = &run->tool->error;
    const char *name = shot->source ? shot->source->path : "a picture";
    const stp_model_port *port = run->photo_port;
    int height = port->dims[2] > 0 ? (int)port->dims[2] : 0, width = port->dims[3] > 0 ? (int)port->dims[3] : 0;
    stp_tensor tensor;
    if (!(shot->source ? stp_image_load(&shot->image, name, error) : paint(&shot->image, error)) ||
        !stp_fit_size(&shot->fit, &run->rules, &shot->image, height, width, name, error) ||
        !stp_fit_photo(&tensor, &run->rules, &shot->fit, &shot->image, error))
        return false;
    bool ok = set_input(run, port->name, &tensor, name);
    free(tensor.data);
    return ok;
}

const stp_tensor *stp_feed_seed(const struct stp_run *run, stp_tensor *tensor, int64_t *value)
{
    const stp_model_port *port = stp_feed_port(run->loaded.model, "seed");
    if (!port)
        return NULL;
    const struct stp_run_input *input = find_input(run, port);
    *value = run->seed;
    *tensor = run->has_seed ? (stp_tensor){.dtype = STP_I64, .rank = 1, .dims = {1}, .data = value}
              : input       ? input->tensor
                            : port->default_value;
    return tensor->dtype == STP_I64 && tensor->data ? tensor : NULL;
}
