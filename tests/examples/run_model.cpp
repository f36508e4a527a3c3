// SPDX-License-Identifier: Apache-2.0
// The same from C++: run_model MODEL HEIGHT WIDTH [DEVICE]. Handles in unique_ptr, statuses as exceptions.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <vector>

#include <stipple/stipple.h>

namespace {

// What the interface's destroy functions want is a pointer to the handle.
template <typename T, void (*destroy)(T **)> struct Destroy {
    void operator()(T *handle) const { destroy(&handle); }
};
using Context = std::unique_ptr<stp_context, Destroy<stp_context, stp_context_destroy>>;
using Model = std::unique_ptr<stp_model, Destroy<stp_model, stp_model_destroy>>;
using Device = std::unique_ptr<stp_device, Destroy<stp_device, stp_device_destroy>>;
using Session = std::unique_ptr<stp_session, Destroy<stp_session, stp_session_destroy>>;

void check(stp_status status, const stp_context *context)
{
    if (status != STP_OK)
        throw std::runtime_error(stp_last_error(context));
}

void set_image(stp_session *session, const stp_model_port *port, int64_t height, int64_t width, const stp_context *context)
{
    stp_tensor image = {};
    image.dtype = STP_F32;
    image.rank = 4;
    for (int d = 0; d < 4; d++)
        image.dims[d] = port->dims[d] >= 0 ? port->dims[d] : d == 2 ? height : d == 3 ? width : 1;
    std::vector<float> data(static_cast<size_t>(stp_tensor_elements(&image)));
    for (size_t i = 0; i < data.size(); i++)
        data[i] = static_cast<float>(i % 97) / 97;
    image.data = data.data();
    check(stp_session_set_input(session, port->name, &image), context);
}

void run(const char *path, int64_t height, int64_t width, const char *selector)
{
    stp_context *context_handle = nullptr;
    if (stp_context_create(&context_handle, nullptr) != STP_OK)
        throw std::runtime_error("out of memory");
    Context context(context_handle);
    stp_model *model_handle = nullptr;
    check(stp_model_load_file(&model_handle, context.get(), path), context.get());
    Model model(model_handle);
    stp_device *device_handle = nullptr;
    check(stp_device_open(&device_handle, context.get(), selector), context.get());
    Device device(device_handle);
    stp_session *session_handle = nullptr;
    check(stp_session_create(&session_handle, model.get(), device.get(), nullptr), context.get());
    Session session(session_handle);

    for (size_t i = 0; i < stp_model_input_count(model.get()); i++) {
        const stp_model_port *port = stp_model_input(model.get(), i);
        if (!port->has_default && port->dtype == STP_F32 && port->rank == 4)
            set_image(session.get(), port, height, width, context.get());
    }
    check(stp_session_run(session.get()), context.get());
    for (size_t i = 0; i < stp_model_output_count(model.get()); i++) {
        stp_tensor output;
        check(stp_session_output(session.get(), i, &output), context.get());
        std::printf("%s: %lld elements of %s\n", stp_model_output(model.get(), i)->name,
                    static_cast<long long>(stp_tensor_elements(&output)), stp_dtype_name(output.dtype));
    }
}

} // namespace

int main(int argc, char **argv)
{
    if (argc < 4) {
        std::fprintf(stderr, "usage: run_model MODEL HEIGHT WIDTH [DEVICE]\n");
        return 2;
    }
    try {
        run(argv[1], std::atoll(argv[2]), std::atoll(argv[3]), argc > 4 ? argv[4] : nullptr);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
