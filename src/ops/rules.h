// SPDX-License-Identifier: Apache-2.0
// What the operators' checks and shape rules share: types, axes, broadcasting, integers known on the host.
#ifndef STP_OPS_RULES_H
#define STP_OPS_RULES_H

#include "graph/op.h"

// Sets of types.
#define STP_TYPE(dtype) (1u << (dtype))
#define STP_TYPES_INT (STP_TYPE(STP_I32) | STP_TYPE(STP_I64))
#define STP_TYPES_NUMBER (STP_TYPE(STP_F32) | STP_TYPES_INT)
#define STP_TYPES_ALL (STP_TYPES_NUMBER | STP_TYPE(STP_BOOL))

// Error unless input `index` is present and of one of `types`.
stp_status stp_check_type(struct stp_graph *graph, const struct stp_node *node, int index, unsigned types);

// Error unless all present inputs from `first` on have the type of input `first`, and that is one of `types`.
stp_status stp_check_same_type(struct stp_graph *graph, const struct stp_node *node, int first, unsigned types);

// Sets the type of every output.
void stp_set_type(struct stp_node *node, stp_dtype dtype);

// Allocates node->params (zeroed) in the graph's arena; NULL, reported, when memory is short.
void *stp_node_params(struct stp_graph *graph, struct stp_node *node, size_t size);

// As stp_attr_int(), where the schema requires the attribute.
stp_status stp_attr_required_int(stp_context *context, const struct stp_node *node, const char *name, int64_t *out);

// As stp_attr_int(), for a flag: 0 or 1.
stp_status stp_attr_flag(stp_context *context, const struct stp_node *node, const char *name, bool fallback, bool *out);

// *out = axis, counted from the back if negative. Error unless -rank ≤ axis < limit; limit is rank, or rank + 1 for
// Flatten.
stp_status stp_axis(stp_context *context, const struct stp_node *node, int64_t axis, int rank, int limit, int *out);

// Numpy's broadcasting over inputs first … n - 1 (all present): sets rank and dims of *out.
stp_status stp_broadcast(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, int first,
                         int n, stp_tensor *out);

// The at most STP_MAX_RANK integers of input `index`, a vector of int32 or int64 whose value must be known on the host.
// `what` names the input in errors.
stp_status stp_host_ints(stp_context *context, const struct stp_node *node, const stp_tensor *const *in, int index,
                         const char *what, int64_t *out, int *count);

#endif
