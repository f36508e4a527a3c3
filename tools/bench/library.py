# SPDX-License-Identifier: Apache-2.0
"""libstipple through ctypes: what include/stipple/*.h declares, as far as the comparison needs it."""

import ctypes
from ctypes import POINTER, c_bool, c_char_p, c_double, c_int, c_int64, c_size_t, c_void_p

import numpy as np

DTYPES = {np.dtype(np.float32): 1, np.dtype(np.int32): 2, np.dtype(np.int64): 3}


class StippleError(Exception):
    """What the library says; the message is for people."""


class Tensor(ctypes.Structure):
    _fields_ = [("dtype", c_int), ("rank", c_int), ("dims", c_int64 * 8), ("data", c_void_p)]


class ContextParams(ctypes.Structure):
    _fields_ = [("log", c_void_p), ("log_user", c_void_p), ("log_level", c_int)]


class DeviceInfo(ctypes.Structure):  # its beginning
    _fields_ = [("index", c_int), ("platform", c_char_p), ("platform_version", c_char_p), ("platform_vendor", c_char_p),
                ("name", c_char_p), ("vendor", c_char_p), ("device_version", c_char_p), ("driver_version", c_char_p)]


class DeviceSpeed(ctypes.Structure):
    _fields_ = [("flops", c_double), ("bytes", c_double)]


class SessionParams(ctypes.Structure):
    _fields_ = [("dense", c_bool), ("exact", c_bool), ("profile", c_bool), ("poison", c_bool), ("progress", c_void_p),
                ("progress_user", c_void_p)]


class SessionMask(ctypes.Structure):
    _fields_ = [("node", c_char_p), ("batch", c_int64), ("height", c_int64), ("width", c_int64), ("sampled", c_double),
                ("data", c_void_p)]


class SessionStats(ctypes.Structure):
    _fields_ = [("dense", c_double), ("done", c_double), ("masks", c_double), ("interpolation", c_double),
                ("prepare_ms", c_double), ("run_ms", c_double), ("device_ms", c_double), ("arena_bytes", c_size_t),
                ("weight_bytes", c_size_t)]


class Library:
    """The shared library, and a context and a device of it."""

    def __init__(self, path, device, log=None):
        self.functions = ctypes.CDLL(str(path))
        self.functions.stp_version.restype = c_char_p
        self.functions.stp_last_error.restype = c_char_p
        self.functions.stp_device_get_info.restype = POINTER(DeviceInfo)
        self.functions.stp_model_output_count.restype = c_size_t
        self.functions.stp_session_mask_count.restype = c_size_t
        self.version = self.functions.stp_version().decode()
        self.context = c_void_p()
        if self.functions.stp_context_create(ctypes.byref(self.context), ctypes.byref(log or ContextParams())):
            raise StippleError("out of memory")
        self.device = self.create("stp_device_open", self.context, device.encode() if device else None)

    def call(self, name, *arguments):
        if getattr(self.functions, name)(*arguments):
            raise StippleError(self.functions.stp_last_error(self.context).decode())

    def create(self, name, *arguments):
        made = c_void_p()
        self.call(name, ctypes.byref(made), *arguments)
        return made

    def device_name(self):
        info = self.functions.stp_device_get_info(self.device).contents
        return f"{info.name.decode()} ({info.platform.decode()}, driver {info.driver_version.decode()})"

    def measure(self):
        """The device's float32 fma per second, two operations each."""
        speed = DeviceSpeed()
        self.call("stp_device_measure", self.device, ctypes.byref(speed))
        return speed.flops


class Session:
    def __init__(self, library, path, exact, progress=None):
        self.library = library
        self.model = library.create("stp_model_load_file", library.context, str(path).encode())
        params = ctypes.byref(SessionParams(exact=exact, progress=ctypes.cast(progress, c_void_p)))
        self.handle = library.create("stp_session_create", self.model, library.device, params)

    def set_input(self, name, array):
        array = np.ascontiguousarray(array)
        dims = (c_int64 * 8)(*array.shape)
        tensor = Tensor(DTYPES[array.dtype], array.ndim, dims, array.ctypes.data)
        self.library.call("stp_session_set_input", self.handle, name.encode(), ctypes.byref(tensor))

    def prepare(self):
        self.library.call("stp_session_prepare", self.handle)

    def run(self):
        self.library.call("stp_session_run", self.handle)

    def outputs(self):
        """Copies of all outputs, float32, in the model's order."""
        result = []
        for index in range(self.library.functions.stp_model_output_count(self.model)):
            tensor = Tensor()
            self.library.call("stp_session_output", self.handle, c_size_t(index), ctypes.byref(tensor))
            data = ctypes.cast(tensor.data, POINTER(ctypes.c_float))
            result.append(np.ctypeslib.as_array(data, tensor.dims[:tensor.rank]).copy())
        return result

    def device_ms(self):
        """The last run's time on the device."""
        stats = SessionStats()
        self.library.call("stp_session_get_stats", self.handle, ctypes.byref(stats))
        return stats.device_ms

    def stats(self):
        """MACs as the theoretical factor counts them, and the mean share of sampled sites over the masks."""
        stats = SessionStats()
        self.library.call("stp_session_get_stats", self.handle, ctypes.byref(stats))
        shares = []
        for index in range(self.library.functions.stp_session_mask_count(self.handle)):
            mask = SessionMask()
            self.library.call("stp_session_mask_get", self.handle, c_size_t(index), ctypes.byref(mask))
            shares.append(mask.sampled)
        sampled = float(np.mean(shares)) if shares else 1.0
        return {"dense_macs": stats.dense, "done_macs": stats.done, "sampled": sampled}
