// SPDX-License-Identifier: Apache-2.0
// The whole of stipple's C interface.
#ifndef STIPPLE_H
#define STIPPLE_H

#include <stipple/cache.h>
#include <stipple/context.h>
#include <stipple/device.h>
#include <stipple/model.h>
#include <stipple/selftest.h>
#include <stipple/session.h>
#include <stipple/status.h>
#include <stipple/tensor.h>
#include <stipple/tune.h>

#endif
