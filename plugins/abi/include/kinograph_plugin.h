/*
 * The C interface between Kinograph and a backend in a shared library of its own.
 *
 * A plugin exports one function, `kinograph_plugin_entry`, which gives the host a table of functions. A plugin lists devices,
 * opens them, says of each node of a graph whether a device takes it, compiles graphs, holds tensors in buffers, and runs what
 * it compiled. What the ops mean is in docs/ops.md of Kinograph; a device computes them exactly as said there, within the error
 * bound of each op, or refuses the node with a reason. It never approximates.
 *
 * Versions.
 * A host takes a plugin of its own major version only. Within a major version, fields and functions are only ever added, at
 * the end of a struct. Every struct that may grow starts with `struct_size`, its size in bytes as its writer knows it: who
 * reads a struct does not read beyond that, and a function that lies beyond it counts as NULL. Where a plugin writes to a
 * struct of the host (`KinographPluginError`, `KinographPluginDeviceInfo`, ...), the host has set `struct_size` and zeroed the rest, and
 * the plugin leaves `struct_size` alone. Arrays of structs are arrays of pointers for the same reason. `struct_size`, `abi_major`
 * and `abi_minor` are the first fields of `KinographPlugin` and of `KinographPluginHost` in every version that there will be.
 *
 * Threads.
 * The host calls any function from any thread, several at once, also on the same object. Two exceptions: an object is freed
 * when no other call on it is under way; and of `job_wait`, `job_outputs` and `job_free` of one job only one runs at a time.
 * `job_cancel` may run beside `job_wait`.
 *
 * Ownership.
 * What a function returns through a `KinographPluginDevice **`, `KinographPluginExecutable **`, `KinographPluginBuffer **` or `KinographPluginJob **`
 * belongs to the host until it gives it to the function that frees it, once. The same pointer is not handed out twice while
 * the first is in use. A device is closed after its executables and buffers are freed, an executable is freed after its jobs, and
 * `destroy` is called after all devices are closed. The library is unloaded after `destroy`, so no thread of the plugin may
 * run then, unless `KINOGRAPH_PLUGIN_KEEP_LOADED` is set.
 * What the host passes is borrowed: it is valid during the call and not after it, except for the data of weights
 * (`KinographPluginWeight`), the input buffers of a job (`run`) and the host's own table.
 *
 * Text.
 * Strings are UTF-8 and end in NUL. Those of a plugin are at most 4,095 bytes long and stay valid until `destroy`.
 *
 * Errors.
 * Functions that can fail return a status and describe the failure in `KinographPluginError`, which is the host's and may be NULL.
 * Where a function fails, its outputs are left as they were. No C++ exception and no unwinding may leave a function of a plugin,
 * nor a callback of the host.
 *
 * Units.
 * Sizes are in bytes, times in nanoseconds, shapes in elements, outermost dimension first. Tensors are dense, row-major and in
 * the byte order of the machine; weights are little-endian. `bool` is one byte, 0 or 1.
 *
 * Generated from the crate kinograph-plugin-abi; do not edit.
 */

#ifndef KINOGRAPH_PLUGIN_H
#define KINOGRAPH_PLUGIN_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define KINOGRAPH_PLUGIN_EXPORT __declspec(dllexport)
#elif defined(__GNUC__)
#define KINOGRAPH_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define KINOGRAPH_PLUGIN_EXPORT
#endif

/**
 * The major version of this interface. Another one is another interface.
 */
#define KINOGRAPH_PLUGIN_ABI_MAJOR 1

/**
 * The minor version: it grows when fields or functions are added.
 */
#define KINOGRAPH_PLUGIN_ABI_MINOR 1

/**
 * Done.
 */
#define KINOGRAPH_PLUGIN_OK 0

/**
 * Of `job_wait`: the time is up and the job still runs.
 */
#define KINOGRAPH_PLUGIN_PENDING 1

/**
 * The device does not take the node; `message` says what it lacks, such as `no kernel for f16`.
 */
#define KINOGRAPH_PLUGIN_UNSUPPORTED 2

/**
 * The job was cancelled.
 */
#define KINOGRAPH_PLUGIN_CANCELLED 3

/**
 * There is not enough memory; `bytes` says how much more is needed.
 */
#define KINOGRAPH_PLUGIN_OUT_OF_MEMORY 4

/**
 * The device is gone, and so is what it held.
 */
#define KINOGRAPH_PLUGIN_LOST 5

/**
 * An argument is wrong, such as an option that the device does not have.
 */
#define KINOGRAPH_PLUGIN_INVALID 6

/**
 * The data of an input are outside what an op takes, such as an index beyond a table; `node` says which.
 */
#define KINOGRAPH_PLUGIN_DATA 7

/**
 * Anything else.
 */
#define KINOGRAPH_PLUGIN_INTERNAL 8

/**
 * Not known: of a weight, as long as only support is asked for.
 */
#define KINOGRAPH_PLUGIN_DTYPE_NONE 0

/**
 * IEEE 754 binary32.
 */
#define KINOGRAPH_PLUGIN_DTYPE_F32 1

/**
 * IEEE 754 binary16.
 */
#define KINOGRAPH_PLUGIN_DTYPE_F16 2

/**
 * bfloat16: the upper half of a binary32.
 */
#define KINOGRAPH_PLUGIN_DTYPE_BF16 3

/**
 * Signed 8-bit integer.
 */
#define KINOGRAPH_PLUGIN_DTYPE_I8 4

/**
 * Unsigned 8-bit integer.
 */
#define KINOGRAPH_PLUGIN_DTYPE_U8 5

/**
 * Signed 32-bit integer.
 */
#define KINOGRAPH_PLUGIN_DTYPE_I32 6

/**
 * Signed 64-bit integer.
 */
#define KINOGRAPH_PLUGIN_DTYPE_I64 7

/**
 * A truth value, stored as one byte, 0 or 1.
 */
#define KINOGRAPH_PLUGIN_DTYPE_BOOL 8

/**
 * The most dimensions of a tensor.
 */
#define KINOGRAPH_PLUGIN_MAX_RANK 8

/**
 * The size of the text in a `KinographPluginError`, its NUL included.
 */
#define KINOGRAPH_PLUGIN_MESSAGE_BYTES 512

/**
 * An input of a node that is left out, where the position of a value would stand.
 */
#define KINOGRAPH_PLUGIN_NO_VALUE 4294967295

/**
 * A value is an input of the graph.
 */
#define KINOGRAPH_PLUGIN_SOURCE_INPUT 0

/**
 * A value is a weight.
 */
#define KINOGRAPH_PLUGIN_SOURCE_WEIGHT 1

/**
 * A value is made by a node.
 */
#define KINOGRAPH_PLUGIN_SOURCE_NODE 2

/**
 * An attribute is an integer: `integer`.
 */
#define KINOGRAPH_PLUGIN_ATTR_INT 0

/**
 * An attribute is a real number: `real`.
 */
#define KINOGRAPH_PLUGIN_ATTR_FLOAT 1

/**
 * An attribute is a truth value, 0 or 1: `integer`.
 */
#define KINOGRAPH_PLUGIN_ATTR_BOOL 2

/**
 * An attribute is a word: `text`.
 */
#define KINOGRAPH_PLUGIN_ATTR_TEXT 3

/**
 * An attribute is a list of integers: `integers` and `count`.
 */
#define KINOGRAPH_PLUGIN_ATTR_INTS 4

/**
 * An attribute is a list of real numbers: `reals` and `count`.
 */
#define KINOGRAPH_PLUGIN_ATTR_FLOATS 5

/**
 * A message about what went wrong.
 */
#define KINOGRAPH_PLUGIN_LOG_ERROR 1

/**
 * A message about what may go wrong.
 */
#define KINOGRAPH_PLUGIN_LOG_WARN 2

/**
 * A message about what happens.
 */
#define KINOGRAPH_PLUGIN_LOG_INFO 3

/**
 * A message for the plugin's developer.
 */
#define KINOGRAPH_PLUGIN_LOG_DEBUG 4

/**
 * A message for each small step.
 */
#define KINOGRAPH_PLUGIN_LOG_TRACE 5

/**
 * A bit of `flags` of `KinographPlugin`: the library must not be unloaded, because threads or thread-local state of it may
 * outlive `destroy`.
 */
#define KINOGRAPH_PLUGIN_KEEP_LOADED 1

/**
 * A tensor on a device.
 */
typedef struct KinographPluginBuffer KinographPluginBuffer;

/**
 * An opened device; what is in it is the plugin's affair.
 */
typedef struct KinographPluginDevice KinographPluginDevice;

/**
 * A graph compiled for a device.
 */
typedef struct KinographPluginExecutable KinographPluginExecutable;

/**
 * A run of an executable.
 */
typedef struct KinographPluginJob KinographPluginJob;

/**
 * The outcome of a call, one of the `KINOGRAPH_` codes below it. A host treats a code that it does not know
 * as `KINOGRAPH_PLUGIN_INTERNAL`.
 */
typedef int32_t KinographPluginStatus;

/**
 * What went wrong in a call. The host zeroes it before; the plugin fills it in when the call returns something else than
 * `KINOGRAPH_PLUGIN_OK`.
 */
typedef struct KinographPluginError {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * Of `KINOGRAPH_PLUGIN_DATA`, and of `KINOGRAPH_PLUGIN_UNSUPPORTED` from `compile` and `plan`: one more than the position of the node; 0 when
   * there is none.
   */
  uint32_t node;
  /**
   * Of `KINOGRAPH_PLUGIN_OUT_OF_MEMORY`: the bytes that are lacking.
   */
  uint64_t bytes;
  /**
   * What is wrong, in words for the user, NUL-terminated.
   */
  char message[KINOGRAPH_PLUGIN_MESSAGE_BYTES];
} KinographPluginError;

/**
 * A name and what it stands for. This struct never grows.
 */
typedef struct KinographPluginPair {
  /**
   * The name.
   */
  const char *key;
  /**
   * What it stands for.
   */
  const char *value;
} KinographPluginPair;

/**
 * What is known of a device without opening it.
 */
typedef struct KinographPluginDeviceInfo {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The number of facts, at most 64.
   */
  uint32_t fact_count;
  /**
   * The id by which a user chooses it: the plugin's name, or that with a colon and more behind it, such as `sample:0`. At most 127
   * bytes.
   */
  const char *id;
  /**
   * Its name for people.
   */
  const char *name;
  /**
   * Facts for people, such as driver and memory.
   */
  const struct KinographPluginPair *facts;
} KinographPluginDeviceInfo;

/**
 * How a device is opened.
 */
typedef struct KinographPluginDeviceOptions {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * Threads that the device may use; 0 leaves it to the device.
   */
  uint32_t threads;
  /**
   * Options of this plugin alone; one that it does not know is `KINOGRAPH_PLUGIN_INVALID`.
   */
  const struct KinographPluginPair *extra;
  /**
   * The number of them.
   */
  size_t extra_count;
} KinographPluginDeviceOptions;

/**
 * The type of a tensor's elements, one of the `KINOGRAPH_PLUGIN_DTYPE_` codes below it.
 */
typedef int32_t KinographPluginDType;

/**
 * A value of a graph: a tensor that flows through it.
 */
typedef struct KinographPluginValue {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The type of its elements; of a weight, the type that it is computed in.
   */
  KinographPluginDType dtype;
  /**
   * Its name; of a weight, the name in the weight files. Others may repeat.
   */
  const char *name;
  /**
   * Its dimensions, outermost first; NULL when `rank` is 0.
   */
  const uint64_t *shape;
  /**
   * The number of dimensions, at most `KINOGRAPH_PLUGIN_MAX_RANK`; 0 is a scalar. A dimension may be 0.
   */
  uint32_t rank;
  /**
   * Where it comes from: `KINOGRAPH_PLUGIN_SOURCE_INPUT`, `_WEIGHT` or `_NODE`.
   */
  int32_t source;
} KinographPluginValue;

/**
 * A checked attribute of a node. Which field holds it follows from `kind`; the others are 0 or NULL.
 */
typedef struct KinographPluginAttr {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * `KINOGRAPH_PLUGIN_ATTR_INT`, `_FLOAT`, `_BOOL`, `_TEXT`, `_INTS` or `_FLOATS`.
   */
  int32_t kind;
  /**
   * Its name in docs/ops.md.
   */
  const char *name;
  /**
   * An integer, or a truth value as 0 or 1.
   */
  int64_t integer;
  /**
   * A real number.
   */
  double real;
  /**
   * A word.
   */
  const char *text;
  /**
   * Integers, `count` of them; NULL when there are none.
   */
  const int64_t *integers;
  /**
   * Real numbers, `count` of them; NULL when there are none.
   */
  const double *reals;
  /**
   * The length of the list.
   */
  size_t count;
} KinographPluginAttr;

/**
 * One operation.
 */
typedef struct KinographPluginNode {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The number of inputs; those left out at the end may not be counted.
   */
  uint32_t input_count;
  /**
   * Its name, unique in the graph; for messages.
   */
  const char *name;
  /**
   * Its op, a name in docs/ops.md.
   */
  const char *op;
  /**
   * What it reads, as positions in `values` of the graph; `KINOGRAPH_PLUGIN_NO_VALUE` where an optional input is left out.
   */
  const uint32_t *inputs;
  /**
   * What it makes, as positions in `values`.
   */
  const uint32_t *outputs;
  /**
   * The number of outputs.
   */
  uint32_t output_count;
  /**
   * The number of attributes.
   */
  uint32_t attr_count;
  /**
   * Its attributes in the order of names, defaults filled in.
   */
  const struct KinographPluginAttr *const *attrs;
} KinographPluginNode;

/**
 * A weight as it is stored: dense, row-major, little-endian.
 */
typedef struct KinographPluginWeight {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The position in `values` of the graph, where its name and shape stand.
   */
  uint32_t value;
  /**
   * The type that it is stored in: that of its value or, where that is a float, any float type. For `support` it is
   * `KINOGRAPH_PLUGIN_DTYPE_NONE`.
   */
  KinographPluginDType dtype;
  /**
   * Always 0.
   */
  uint32_t reserved;
  /**
   * Its elements, not necessarily aligned to their type. For `compile` they stay valid and unchanged until `executable_free`
   * returns: a device may read them in place. For `support` and `plan` it is NULL. A weight without elements may be NULL too.
   */
  const void *data;
  /**
   * The size of its elements in bytes; for `support` 0.
   */
  uint64_t bytes;
} KinographPluginWeight;

/**
 * An output of a graph.
 */
typedef struct KinographPluginOutput {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The position in `values` of the graph. It may also be an input, a weight, or the value of another output.
   */
  uint32_t value;
  /**
   * The name by which the host asks for it.
   */
  const char *name;
} KinographPluginOutput;

/**
 * A static graph: all shapes are known. It was checked: positions are within their arrays, types and shapes follow docs/ops.md, and
 * a node reads only what stands before it.
 */
typedef struct KinographPluginGraph {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The number of values.
   */
  uint32_t value_count;
  /**
   * Its name; for messages.
   */
  const char *name;
  /**
   * The values.
   */
  const struct KinographPluginValue *const *values;
  /**
   * The nodes, in an order in which they can run.
   */
  const struct KinographPluginNode *const *nodes;
  /**
   * The inputs in order, as positions in `values`.
   */
  const uint32_t *inputs;
  /**
   * The weights in order.
   */
  const struct KinographPluginWeight *const *weights;
  /**
   * The outputs in order.
   */
  const struct KinographPluginOutput *const *outputs;
  /**
   * The number of nodes.
   */
  uint32_t node_count;
  /**
   * The number of inputs.
   */
  uint32_t input_count;
  /**
   * The number of weights.
   */
  uint32_t weight_count;
  /**
   * The number of outputs.
   */
  uint32_t output_count;
} KinographPluginGraph;

/**
 * What a compiled graph holds and needs, in bytes.
 */
typedef struct KinographPluginMemory {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * Always 0.
   */
  uint32_t reserved;
  /**
   * Activations, outputs and scratch of one run, at the peak; inputs are the caller's.
   */
  uint64_t run;
  /**
   * Weights that are read where the host has them.
   */
  uint64_t weights_in_place;
  /**
   * Weights that the device keeps as its own copy.
   */
  uint64_t weights_copied;
} KinographPluginMemory;

/**
 * A tensor in the host's memory, to be copied.
 */
typedef struct KinographPluginTensor {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The type of its elements.
   */
  KinographPluginDType dtype;
  /**
   * Its dimensions, outermost first; NULL when `rank` is 0.
   */
  const uint64_t *shape;
  /**
   * The number of dimensions, at most `KINOGRAPH_PLUGIN_MAX_RANK`.
   */
  uint32_t rank;
  /**
   * Always 0.
   */
  uint32_t reserved;
  /**
   * Its elements, aligned to their type; may be NULL when there is none.
   */
  const void *data;
  /**
   * The size of its elements in bytes.
   */
  uint64_t bytes;
} KinographPluginTensor;

/**
 * What a buffer holds.
 */
typedef struct KinographPluginBufferInfo {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The type of its elements.
   */
  KinographPluginDType dtype;
  /**
   * The number of dimensions.
   */
  uint32_t rank;
  /**
   * Always 0.
   */
  uint32_t reserved;
  /**
   * The dimensions, outermost first; those beyond `rank` are 0.
   */
  uint64_t shape[KINOGRAPH_PLUGIN_MAX_RANK];
  /**
   * The size of its elements in bytes, stored densely.
   */
  uint64_t bytes;
} KinographPluginBufferInfo;

/**
 * A plugin: what it is, and its functions. A function may be NULL only where it is said.
 */
typedef struct KinographPlugin {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * `KINOGRAPH_PLUGIN_ABI_MAJOR` of the header that the plugin was compiled with.
   */
  uint32_t abi_major;
  /**
   * `KINOGRAPH_PLUGIN_ABI_MINOR` of it.
   */
  uint32_t abi_minor;
  /**
   * Always 0.
   */
  uint32_t reserved;
  /**
   * Bits: `KINOGRAPH_PLUGIN_KEEP_LOADED`; others are 0.
   */
  uint64_t flags;
  /**
   * The first part of the ids of its devices: 1 to 32 of `a` to `z`, `0` to `9`, `_` and `-`, a letter first.
   */
  const char *name;
  /**
   * Its version for people.
   */
  const char *version;
  /**
   * To be passed to the functions that have no other object. May be NULL.
   */
  void *context;
  /**
   * The end of this use of the plugin: frees what `kinograph_plugin_entry` made. Called once for each call of that.
   */
  void (*destroy)(void *context);
  /**
   * Counts the devices that are there now, at most 64, without opening them. None is an answer, not an error.
   */
  KinographPluginStatus (*device_count)(void *context, size_t *count, struct KinographPluginError *error);
  /**
   * Describes the device at a position below the count.
   */
  KinographPluginStatus (*device_info)(void *context,
                                       size_t index,
                                       struct KinographPluginDeviceInfo *info,
                                       struct KinographPluginError *error);
  /**
   * Opens the device of that id. It may be opened several times.
   */
  KinographPluginStatus (*device_open)(void *context,
                                       const char *id,
                                       const struct KinographPluginDeviceOptions *options,
                                       struct KinographPluginDevice **device,
                                       struct KinographPluginError *error);
  /**
   * Closes a device.
   */
  void (*device_close)(struct KinographPluginDevice *device);
  /**
   * Gives back memory that the device keeps for later runs, such as buffers that are not in use. May be NULL.
   */
  void (*device_trim)(struct KinographPluginDevice *device);
  /**
   * Whether the device takes the node at a position in `nodes`: `KINOGRAPH_PLUGIN_OK`, or `KINOGRAPH_PLUGIN_UNSUPPORTED` with the reason. The
   * graph holds that node and those that feed it and read nothing themselves, such as `Constant`; everything else that the
   * node reads is an input or a weight of it. The answer depends on nothing else: the same question always gives the same one.
   */
  KinographPluginStatus (*support)(struct KinographPluginDevice *device,
                                   const struct KinographPluginGraph *graph,
                                   uint32_t node,
                                   struct KinographPluginError *error);
  /**
   * What `compile` and a run of this graph would need. May be NULL; then the host estimates.
   */
  KinographPluginStatus (*plan)(struct KinographPluginDevice *device,
                                const struct KinographPluginGraph *graph,
                                struct KinographPluginMemory *memory,
                                struct KinographPluginError *error);
  /**
   * Compiles a graph, all of whose nodes the device takes.
   */
  KinographPluginStatus (*compile)(struct KinographPluginDevice *device,
                                   const struct KinographPluginGraph *graph,
                                   struct KinographPluginExecutable **executable,
                                   struct KinographPluginError *error);
  /**
   * What the executable holds and needs.
   */
  KinographPluginStatus (*executable_memory)(struct KinographPluginExecutable *executable,
                                             struct KinographPluginMemory *memory,
                                             struct KinographPluginError *error);
  /**
   * Frees an executable.
   */
  void (*executable_free)(struct KinographPluginExecutable *executable);
  /**
   * Makes a buffer with a copy of a tensor. A device holds tensors of every type, also of those that it does not compute in.
   */
  KinographPluginStatus (*upload)(struct KinographPluginDevice *device,
                                  const struct KinographPluginTensor *tensor,
                                  struct KinographPluginBuffer **buffer,
                                  struct KinographPluginError *error);
  /**
   * Copies a buffer to the host's memory, where `bytes` is the size that `buffer_info` tells; waits for what still writes it.
   */
  KinographPluginStatus (*download)(struct KinographPluginDevice *device,
                                    struct KinographPluginBuffer *buffer,
                                    void *data,
                                    uint64_t bytes,
                                    struct KinographPluginError *error);
  /**
   * What a buffer holds.
   */
  KinographPluginStatus (*buffer_info)(struct KinographPluginBuffer *buffer,
                                       struct KinographPluginBufferInfo *info,
                                       struct KinographPluginError *error);
  /**
   * Frees a buffer.
   */
  void (*buffer_free)(struct KinographPluginBuffer *buffer);
  /**
   * Starts a run and returns without waiting for it. The inputs are in the order of the graph's, checked by the host, of the
   * executable's device, and stay valid and unchanged until `job_free` returns. Runs of one executable may overlap.
   */
  KinographPluginStatus (*run)(struct KinographPluginExecutable *executable,
                               struct KinographPluginBuffer *const *inputs,
                               size_t input_count,
                               struct KinographPluginJob **job,
                               struct KinographPluginError *error);
  /**
   * Waits for a job, at most so many nanoseconds; 0 only looks. `KINOGRAPH_PLUGIN_OK` when it is done, `KINOGRAPH_PLUGIN_PENDING` when it is
   * not, `KINOGRAPH_PLUGIN_CANCELLED` when it was cancelled, or what it failed with. Once it is over, the answer stays the same.
   */
  KinographPluginStatus (*job_wait)(struct KinographPluginJob *job,
                                    uint64_t timeout,
                                    struct KinographPluginError *error);
  /**
   * Hands the outputs of a job that is done to the host, once: writes as many buffers as the graph has outputs, in that order,
   * to `outputs`, which has room for `capacity` of them, and their number to `count`. Each is a buffer of its own and none is
   * an input of the job, also where two outputs are the same value.
   */
  KinographPluginStatus (*job_outputs)(struct KinographPluginJob *job,
                                       struct KinographPluginBuffer **outputs,
                                       size_t capacity,
                                       size_t *count,
                                       struct KinographPluginError *error);
  /**
   * Asks a job to stop as soon as it can, between two kernels or earlier, and returns without waiting. `job_wait` then gives
   * `KINOGRAPH_PLUGIN_CANCELLED`, unless the job was done first. A host that has waited long for this calls the device lost.
   */
  void (*job_cancel)(struct KinographPluginJob *job);
  /**
   * Frees a job that is over, and outputs that were not handed out. Nothing of the job runs any more when it returns.
   */
  void (*job_free)(struct KinographPluginJob *job);
  /**
   * Since 1.1. As `compile`, but each node is computed by itself: nothing is fused, and what is rounded after each node stays so, as
   * reproducible numerics need it of ordinary ops. May be NULL; then the host calls `compile`, and its self-test shows whether that will do.
   */
  KinographPluginStatus (*compile_separately)(struct KinographPluginDevice *device,
                                              const struct KinographPluginGraph *graph,
                                              struct KinographPluginExecutable **executable,
                                              struct KinographPluginError *error);
} KinographPlugin;

/**
 * The host, as a plugin sees it.
 */
typedef struct KinographPluginHost {
  /**
   * The size of this struct.
   */
  uint32_t struct_size;
  /**
   * The host's `KINOGRAPH_PLUGIN_ABI_MAJOR`.
   */
  uint32_t abi_major;
  /**
   * The host's `KINOGRAPH_PLUGIN_ABI_MINOR`; it may be smaller or larger than the plugin's.
   */
  uint32_t abi_minor;
  /**
   * Always 0.
   */
  uint32_t reserved;
  /**
   * To be passed to each callback.
   */
  void *context;
  /**
   * Tells the host's log a message of a level (`KINOGRAPH_PLUGIN_LOG_ERROR` to `KINOGRAPH_PLUGIN_LOG_TRACE`). Any thread may call it until
   * `destroy` returns. Never NULL.
   */
  void (*log)(void *context, int32_t level, const char *message);
} KinographPluginHost;

#endif  /* KINOGRAPH_PLUGIN_H */

#ifdef __cplusplus
extern "C" {
#endif

/**
 * The one symbol that a plugin exports. Called once each time that a host loads the plugin, before anything else.
 * `host` and what it points to stay valid until `destroy` returns. Returns the plugin's table, which stays valid
 * and unchanged until then too, or NULL when the plugin cannot work with this host; say why through `log`.
 */
KINOGRAPH_PLUGIN_EXPORT const KinographPlugin *kinograph_plugin_entry(const KinographPluginHost *host);

#ifdef __cplusplus
}
#endif
