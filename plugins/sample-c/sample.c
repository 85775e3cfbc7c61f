/*
 * A backend for Kinograph in one file, written from kinograph_plugin.h alone: the place to start for a backend in C.
 *
 * It computes Add, Sub, Mul, Relu, Sigmoid, Swish, Softmax and MatMul in f32, one loop each and one thread a job, and refuses
 * everything else with a reason. Of reproducible numerics it has exact.Flush, exact.Add, exact.Sub and exact.Mul, whose every bit
 * is specified. To build it and to see it:
 *
 *   cc -std=c99 -O2 -shared -fPIC -I ../abi/include sample.c -o libsample.so -lm -lpthread
 *   kinograph devices --plugins .
 */
#define _POSIX_C_SOURCE 200809L

#include "kinograph_plugin.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Objects. */

/* One use of this plugin: what kinograph_plugin_entry makes. */
typedef struct Sample {
  KinographPlugin table;
  const KinographPluginHost *host;
  pthread_mutex_t mutex;
  long objects; /* Not freed yet; guarded by `mutex`. */
} Sample;

struct KinographPluginDevice {
  Sample *sample;
};

typedef struct Shape {
  uint32_t rank;
  uint64_t dims[KINOGRAPH_PLUGIN_MAX_RANK];
} Shape;

struct KinographPluginBuffer {
  Sample *sample;
  KinographPluginDType dtype;
  Shape shape;
  uint64_t bytes;
  void *data;
};

typedef enum Op {
  ADD,
  SUB,
  MUL,
  RELU,
  SIGMOID,
  SWISH,
  EXACT_FLUSH,
  EXACT_ADD,
  EXACT_SUB,
  EXACT_MUL,
  SOFTMAX,
  MATMUL,
  OPS
} Op;

static const char *const OP_NAMES[OPS] = {"Add",         "Sub",       "Mul",       "Relu",      "Sigmoid", "Swish",
                                          "exact.Flush", "exact.Add", "exact.Sub", "exact.Mul", "Softmax", "MatMul"};
static const uint32_t OP_INPUTS[OPS] = {2, 2, 2, 1, 1, 1, 1, 2, 2, 2, 1, 2};

typedef struct Step {
  Op op;
  uint32_t inputs[2]; /* Positions of values. */
  uint32_t output;
  double alpha;  /* Of SWISH. */
  uint32_t axis; /* Of SOFTMAX. */
} Step;

typedef struct Value {
  KinographPluginDType dtype;
  Shape shape;
  uint64_t elements, bytes;
  const void *weight; /* NULL when it is none. */
  void *owned;        /* A copy of the weight, when it could not be used in place. */
} Value;

/* A graph is gone when `compile` returns, so this holds what a run needs of it. */
struct KinographPluginExecutable {
  Sample *sample;
  uint32_t value_count, step_count, input_count, output_count;
  Value *values;
  Step *steps;
  uint32_t *inputs, *outputs; /* Positions of values. */
  KinographPluginMemory memory;
};

struct KinographPluginJob {
  KinographPluginExecutable *executable;
  KinographPluginBuffer **inputs;
  pthread_t thread;
  pthread_mutex_t mutex; /* Guards what follows. */
  pthread_cond_t over;
  int cancelled;
  KinographPluginStatus status; /* KINOGRAPH_PLUGIN_PENDING while it runs. */
  KinographPluginBuffer **outputs;
};

/* Helpers. */

/* Describes a failure and returns its status. */
static KinographPluginStatus fail(KinographPluginError *error, KinographPluginStatus status, const char *format, ...) {
  if (error) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
  }
  return status;
}

static KinographPluginStatus out_of_memory(KinographPluginError *error, uint64_t bytes) {
  if (error) error->bytes = bytes;
  return fail(error, KINOGRAPH_PLUGIN_OUT_OF_MEMORY, "%llu bytes could not be allocated", (unsigned long long)bytes);
}

/* Zeroed memory for so many elements; never of size 0, so that NULL always means that there is none. */
static void *allocate(uint64_t count, uint64_t size) {
  if (count > SIZE_MAX / size) return NULL;
  return calloc(count ? (size_t)count : 1, (size_t)size);
}

static void count_objects(Sample *sample, int change) {
  pthread_mutex_lock(&sample->mutex);
  sample->objects += change;
  pthread_mutex_unlock(&sample->mutex);
}

static uint64_t dtype_size(KinographPluginDType dtype) {
  switch (dtype) {
    case KINOGRAPH_PLUGIN_DTYPE_I64: return 8;
    case KINOGRAPH_PLUGIN_DTYPE_F32:
    case KINOGRAPH_PLUGIN_DTYPE_I32: return 4;
    case KINOGRAPH_PLUGIN_DTYPE_F16:
    case KINOGRAPH_PLUGIN_DTYPE_BF16: return 2;
    default: return 1;
  }
}

static Shape shape_of(const uint64_t *dims, uint32_t rank) {
  Shape shape = {rank, {0}};
  for (uint32_t d = 0; d < rank; d++) shape.dims[d] = dims[d];
  return shape;
}

static uint64_t elements_of(const uint64_t *dims, uint32_t rank) {
  uint64_t elements = 1;
  for (uint32_t d = 0; d < rank; d++) elements *= dims[d];
  return elements;
}

/* The position in a tensor that broadcasts to another one, for a position in that. Both shapes are of so many dimensions. */
static uint64_t broadcast(const uint64_t *dims, uint32_t rank, const uint64_t *to, uint32_t to_rank, uint64_t position) {
  uint64_t found = 0, stride = 1;
  for (uint32_t d = 0; d < rank; d++) {
    uint64_t own = dims[rank - 1 - d], other = to[to_rank - 1 - d];
    if (own != 1) found += position % other * stride;
    position /= other;
    stride *= own;
  }
  return found;
}

/* Devices. */

static KinographPluginStatus device_count(void *context, size_t *count, KinographPluginError *error) {
  (void)context, (void)error;
  *count = 1;
  return KINOGRAPH_PLUGIN_OK;
}

static KinographPluginStatus device_info(void *context, size_t index, KinographPluginDeviceInfo *info, KinographPluginError *error) {
  static const KinographPluginPair facts[] = {{"language", "C"}, {"threads", "1 a job"}};
  (void)context, (void)index, (void)error;
  info->id = "sample:0";
  info->name = "one thread of this machine's processor, plain loops";
  info->facts = facts;
  info->fact_count = sizeof facts / sizeof *facts;
  return KINOGRAPH_PLUGIN_OK;
}

static KinographPluginStatus device_open(void *context, const char *id, const KinographPluginDeviceOptions *options,
                                   KinographPluginDevice **device, KinographPluginError *error) {
  if (strcmp(id, "sample:0") != 0) return fail(error, KINOGRAPH_PLUGIN_INVALID, "there is no device `%s`", id);
  if (options->extra_count > 0)
    return fail(error, KINOGRAPH_PLUGIN_INVALID, "the sample device has no option `%s`", options->extra[0].key);
  KinographPluginDevice *made = allocate(1, sizeof *made);
  if (!made) return out_of_memory(error, sizeof *made);
  made->sample = context;
  count_objects(made->sample, 1);
  *device = made;
  return KINOGRAPH_PLUGIN_OK;
}

static void device_close(KinographPluginDevice *device) {
  count_objects(device->sample, -1);
  free(device);
}

/* Buffers. */

static void buffer_free(KinographPluginBuffer *buffer) {
  count_objects(buffer->sample, -1);
  free(buffer->data);
  free(buffer);
}

/* A buffer with a copy of so many bytes, or NULL when there is no memory. */
static KinographPluginBuffer *buffer_new(Sample *sample, KinographPluginDType dtype, Shape shape, const void *data, uint64_t bytes) {
  KinographPluginBuffer *buffer = allocate(1, sizeof *buffer);
  void *copy = allocate(bytes, 1);
  if (!buffer || !copy) {
    free(buffer);
    free(copy);
    return NULL;
  }
  if (bytes > 0) memcpy(copy, data, (size_t)bytes);
  buffer->sample = sample;
  buffer->dtype = dtype;
  buffer->shape = shape;
  buffer->bytes = bytes;
  buffer->data = copy;
  count_objects(sample, 1);
  return buffer;
}

static KinographPluginStatus upload(KinographPluginDevice *device, const KinographPluginTensor *tensor, KinographPluginBuffer **buffer,
                              KinographPluginError *error) {
  Shape shape = shape_of(tensor->shape, tensor->rank);
  KinographPluginBuffer *made = buffer_new(device->sample, tensor->dtype, shape, tensor->data, tensor->bytes);
  if (!made) return out_of_memory(error, tensor->bytes);
  *buffer = made;
  return KINOGRAPH_PLUGIN_OK;
}

static KinographPluginStatus download(KinographPluginDevice *device, KinographPluginBuffer *buffer, void *data, uint64_t bytes,
                                KinographPluginError *error) {
  (void)device;
  if (bytes != buffer->bytes) return fail(error, KINOGRAPH_PLUGIN_INVALID, "the buffer has another size");
  if (bytes > 0) memcpy(data, buffer->data, (size_t)bytes);
  return KINOGRAPH_PLUGIN_OK;
}

static KinographPluginStatus buffer_info(KinographPluginBuffer *buffer, KinographPluginBufferInfo *info, KinographPluginError *error) {
  (void)error;
  info->dtype = buffer->dtype;
  info->rank = buffer->shape.rank;
  memcpy(info->shape, buffer->shape.dims, sizeof info->shape);
  info->bytes = buffer->bytes;
  return KINOGRAPH_PLUGIN_OK;
}

/* Support and compilation. */

/* Reads a node, or says why the device does not take it. */
static KinographPluginStatus step_of(const KinographPluginGraph *graph, uint32_t position, Step *step, KinographPluginError *error) {
  const KinographPluginNode *node = graph->nodes[position];
  memset(step, 0, sizeof *step);
  while (step->op < OPS && strcmp(node->op, OP_NAMES[step->op]) != 0) step->op++;
  if (step->op == OPS) return fail(error, KINOGRAPH_PLUGIN_UNSUPPORTED, "no kernel for this op");
  if (node->input_count != OP_INPUTS[step->op] || node->output_count != 1)
    return fail(error, KINOGRAPH_PLUGIN_UNSUPPORTED, "no kernel for %u inputs", (unsigned)node->input_count);
  for (uint32_t i = 0; i < node->input_count; i++) {
    if (graph->values[node->inputs[i]]->dtype != KINOGRAPH_PLUGIN_DTYPE_F32)
      return fail(error, KINOGRAPH_PLUGIN_UNSUPPORTED, "only f32 is computed");
    step->inputs[i] = node->inputs[i];
  }
  step->output = node->outputs[0];
  for (uint32_t i = 0; i < node->attr_count; i++) {
    const KinographPluginAttr *attr = node->attrs[i];
    if (step->op == SWISH && strcmp(attr->name, "alpha") == 0 && attr->kind == KINOGRAPH_PLUGIN_ATTR_FLOAT) {
      step->alpha = attr->real;
    } else if (step->op == SOFTMAX && strcmp(attr->name, "axis") == 0 && attr->kind == KINOGRAPH_PLUGIN_ATTR_INT) {
      uint32_t rank = graph->values[step->inputs[0]]->rank;
      step->axis = (uint32_t)(attr->integer < 0 ? attr->integer + rank : attr->integer);
    } else {
      /* An attribute of a newer version of the op: its meaning is not known here. */
      return fail(error, KINOGRAPH_PLUGIN_UNSUPPORTED, "the attribute `%s` is not known", attr->name);
    }
  }
  return KINOGRAPH_PLUGIN_OK;
}

static KinographPluginStatus support(KinographPluginDevice *device, const KinographPluginGraph *graph, uint32_t node,
                               KinographPluginError *error) {
  Step step;
  (void)device;
  return step_of(graph, node, &step, error);
}

/* True when a weight can be read where it is. */
static int is_in_place(const KinographPluginWeight *weight, const KinographPluginValue *value) {
  if (weight->dtype != value->dtype) return 0;
  return value->dtype != KINOGRAPH_PLUGIN_DTYPE_F32 || (uintptr_t)weight->data % sizeof(float) == 0;
}

/* What a graph needs. Every value lives from the start of a run to its end: simple, and not sparing. */
static KinographPluginMemory memory_of(const KinographPluginGraph *graph) {
  KinographPluginMemory memory = {sizeof memory, 0, 0, 0, 0};
  for (uint32_t i = 0; i < graph->value_count; i++) {
    const KinographPluginValue *value = graph->values[i];
    if (value->source == KINOGRAPH_PLUGIN_SOURCE_NODE)
      memory.run += elements_of(value->shape, value->rank) * dtype_size(value->dtype);
  }
  for (uint32_t i = 0; i < graph->output_count; i++) {
    const KinographPluginValue *value = graph->values[graph->outputs[i]->value];
    memory.run += elements_of(value->shape, value->rank) * dtype_size(value->dtype);
  }
  for (uint32_t i = 0; i < graph->weight_count; i++) {
    const KinographPluginWeight *weight = graph->weights[i];
    const KinographPluginValue *value = graph->values[weight->value];
    if (is_in_place(weight, value))
      memory.weights_in_place += weight->bytes;
    else
      memory.weights_copied += elements_of(value->shape, value->rank) * dtype_size(value->dtype);
  }
  return memory;
}

static KinographPluginStatus plan(KinographPluginDevice *device, const KinographPluginGraph *graph, KinographPluginMemory *memory,
                            KinographPluginError *error) {
  (void)device, (void)error;
  KinographPluginMemory found = memory_of(graph);
  found.struct_size = memory->struct_size; /* The host's: it may know more fields. */
  memcpy(memory, &found, sizeof found);
  return KINOGRAPH_PLUGIN_OK;
}

static float from_f16(uint16_t bits) {
  int exponent = bits >> 10 & 31, fraction = bits & 1023;
  float magnitude = exponent == 0 ? ldexpf((float)fraction, -24) : ldexpf((float)(1024 + fraction), exponent - 25);
  if (exponent == 31) magnitude = fraction ? NAN : INFINITY;
  return bits >> 15 ? -magnitude : magnitude;
}

static float from_bf16(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float number;
  memcpy(&number, &wide, sizeof number);
  return number;
}

/* The weight as f32. Its data need not be aligned, hence the copies. */
static void *widened(const KinographPluginWeight *weight, uint64_t elements) {
  float *copy = allocate(elements, sizeof *copy);
  if (!copy) return NULL;
  if (weight->dtype == KINOGRAPH_PLUGIN_DTYPE_F32) {
    if (elements > 0) memcpy(copy, weight->data, (size_t)elements * sizeof *copy);
    return copy;
  }
  for (uint64_t i = 0; i < elements; i++) {
    uint16_t bits;
    memcpy(&bits, (const char *)weight->data + 2 * i, sizeof bits);
    copy[i] = weight->dtype == KINOGRAPH_PLUGIN_DTYPE_F16 ? from_f16(bits) : from_bf16(bits);
  }
  return copy;
}

static void executable_free(KinographPluginExecutable *executable) {
  count_objects(executable->sample, -1);
  for (uint32_t i = 0; executable->values && i < executable->value_count; i++) free(executable->values[i].owned);
  free(executable->values);
  free(executable->steps);
  free(executable->inputs);
  free(executable->outputs);
  free(executable);
}

static KinographPluginStatus fill(KinographPluginExecutable *made, const KinographPluginGraph *graph, KinographPluginError *error) {
  for (uint32_t i = 0; i < made->value_count; i++) {
    const KinographPluginValue *from = graph->values[i];
    Value *value = &made->values[i];
    value->dtype = from->dtype;
    value->shape = shape_of(from->shape, from->rank);
    value->elements = elements_of(from->shape, from->rank);
    value->bytes = value->elements * dtype_size(from->dtype);
  }
  for (uint32_t i = 0; i < graph->weight_count; i++) {
    const KinographPluginWeight *weight = graph->weights[i];
    Value *value = &made->values[weight->value];
    value->weight = weight->data;
    if (is_in_place(weight, graph->values[weight->value])) continue;
    if (value->dtype != KINOGRAPH_PLUGIN_DTYPE_F32)
      return fail(error, KINOGRAPH_PLUGIN_INVALID, "the weight `%s` is neither f32 nor stored as it is computed in",
                  graph->values[weight->value]->name);
    value->owned = widened(weight, value->elements);
    if (!value->owned) return out_of_memory(error, value->bytes);
    value->weight = value->owned;
  }
  for (uint32_t i = 0; i < made->step_count; i++) {
    KinographPluginStatus status = step_of(graph, i, &made->steps[i], error);
    if (status != KINOGRAPH_PLUGIN_OK) {
      if (error) error->node = i + 1;
      return status;
    }
  }
  for (uint32_t i = 0; i < made->input_count; i++) made->inputs[i] = graph->inputs[i];
  for (uint32_t i = 0; i < made->output_count; i++) made->outputs[i] = graph->outputs[i]->value;
  made->memory = memory_of(graph);
  return KINOGRAPH_PLUGIN_OK;
}

static KinographPluginStatus compile(KinographPluginDevice *device, const KinographPluginGraph *graph, KinographPluginExecutable **executable,
                               KinographPluginError *error) {
  KinographPluginExecutable *made = allocate(1, sizeof *made);
  if (!made) return out_of_memory(error, sizeof *made);
  made->sample = device->sample;
  count_objects(made->sample, 1);
  made->value_count = graph->value_count;
  made->step_count = graph->node_count;
  made->input_count = graph->input_count;
  made->output_count = graph->output_count;
  made->values = allocate(made->value_count, sizeof *made->values);
  made->steps = allocate(made->step_count, sizeof *made->steps);
  made->inputs = allocate(made->input_count, sizeof *made->inputs);
  made->outputs = allocate(made->output_count, sizeof *made->outputs);
  KinographPluginStatus status = made->values && made->steps && made->inputs && made->outputs
                               ? fill(made, graph, error)
                               : out_of_memory(error, graph->value_count * sizeof *made->values);
  if (status != KINOGRAPH_PLUGIN_OK) {
    executable_free(made);
    return status;
  }
  *executable = made;
  return KINOGRAPH_PLUGIN_OK;
}

static KinographPluginStatus executable_memory(KinographPluginExecutable *executable, KinographPluginMemory *memory,
                                         KinographPluginError *error) {
  (void)error;
  memory->run = executable->memory.run;
  memory->weights_in_place = executable->memory.weights_in_place;
  memory->weights_copied = executable->memory.weights_copied;
  return KINOGRAPH_PLUGIN_OK;
}

/* Kernels. Each returns 0 when the job was cancelled. */

static int goes_on(KinographPluginJob *job) {
  pthread_mutex_lock(&job->mutex);
  int cancelled = job->cancelled;
  pthread_mutex_unlock(&job->mutex);
  return !cancelled;
}

static float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }

static float swish(float x, float alpha) {
  float gate = sigmoid(alpha * x);
  /* Where the gate is closed the limit is 0; the product would be inf * 0. */
  return gate == 0.0f && !isnan(x) ? 0.0f : x * gate;
}

/* A number of reproducible numerics: finite, not subnormal, and no negative zero. */
static float flush(float x) {
  if (isnan(x) || fabsf(x) < 0x1p-125f) return 0.0f;
  return fminf(fmaxf(x, -FLT_MAX), FLT_MAX);
}

static int elementwise(KinographPluginJob *job, const Step *step, const Value *values, const float *a, const float *b,
                       float *out) {
  const Shape *to = &values[step->output].shape;
  const Shape *a_shape = &values[step->inputs[0]].shape, *b_shape = &values[step->inputs[1]].shape;
  for (uint64_t i = 0; i < values[step->output].elements; i++) {
    if (i % 4096 == 0 && !goes_on(job)) return 0;
    float x = a[broadcast(a_shape->dims, a_shape->rank, to->dims, to->rank, i)];
    float y = b ? b[broadcast(b_shape->dims, b_shape->rank, to->dims, to->rank, i)] : 0.0f;
    switch (step->op) {
      case ADD: out[i] = x + y; break;
      case SUB: out[i] = x - y; break;
      case MUL: out[i] = x * y; break;
      /* In this order NaN stays NaN. */
      case RELU: out[i] = x < 0.0f ? 0.0f : x; break;
      case SIGMOID: out[i] = sigmoid(x); break;
      case EXACT_FLUSH: out[i] = flush(x); break;
      case EXACT_ADD: out[i] = flush(x + y); break;
      case EXACT_SUB: out[i] = flush(x - y); break;
      case EXACT_MUL: out[i] = flush(x * y); break;
      default: out[i] = swish(x, (float)step->alpha); break;
    }
  }
  return 1;
}

static int softmax(KinographPluginJob *job, const Step *step, const Value *values, const float *in, float *out) {
  const Value *value = &values[step->output];
  if (value->elements == 0) return 1;
  uint64_t length = value->shape.dims[step->axis];
  uint64_t inner = elements_of(value->shape.dims + step->axis + 1, value->shape.rank - step->axis - 1);
  for (uint64_t row = 0; row < value->elements / length; row++) {
    if (!goes_on(job)) return 0;
    uint64_t start = row / inner * inner * length + row % inner;
    float max = -INFINITY;
    double sum = 0.0;
    for (uint64_t i = 0; i < length; i++) max = fmaxf(max, in[start + i * inner]);
    for (uint64_t i = 0; i < length; i++) sum += out[start + i * inner] = expf(in[start + i * inner] - max);
    for (uint64_t i = 0; i < length; i++) out[start + i * inner] /= (float)sum;
  }
  return 1;
}

static int matmul(KinographPluginJob *job, const Step *step, const Value *values, const float *a, const float *b, float *out) {
  const Shape *to = &values[step->output].shape;
  const Shape *a_shape = &values[step->inputs[0]].shape, *b_shape = &values[step->inputs[1]].shape;
  uint32_t lead = to->rank - 2;
  uint64_t rows = to->dims[lead], columns = to->dims[lead + 1], inner = a_shape->dims[a_shape->rank - 1];
  for (uint64_t product = 0; product < elements_of(to->dims, lead); product++) {
    const float *left = a + broadcast(a_shape->dims, a_shape->rank - 2, to->dims, lead, product) * rows * inner;
    const float *right = b + broadcast(b_shape->dims, b_shape->rank - 2, to->dims, lead, product) * inner * columns;
    for (uint64_t row = 0; row < rows; row++) {
      if (!goes_on(job)) return 0;
      for (uint64_t column = 0; column < columns; column++) {
        double sum = 0.0;
        for (uint64_t i = 0; i < inner; i++) sum += (double)left[row * inner + i] * right[i * columns + column];
        out[(product * rows + row) * columns + column] = (float)sum;
      }
    }
  }
  return 1;
}

/* Runs. */

/* Runs the steps; `data` has room for a pointer to the elements of each value, and gets those that are made here. */
static KinographPluginStatus run_steps(KinographPluginJob *job, void **data) {
  const KinographPluginExecutable *executable = job->executable;
  const Value *values = executable->values;
  for (uint32_t i = 0; i < executable->step_count; i++) {
    const Step *step = &executable->steps[i];
    const float *a = data[step->inputs[0]], *b = OP_INPUTS[step->op] > 1 ? data[step->inputs[1]] : NULL;
    float *out = allocate(values[step->output].bytes, 1);
    if (!out) return KINOGRAPH_PLUGIN_OUT_OF_MEMORY;
    data[step->output] = out;
    int done;
    switch (step->op) {
      case SOFTMAX: done = softmax(job, step, values, a, out); break;
      case MATMUL: done = matmul(job, step, values, a, b, out); break;
      default: done = elementwise(job, step, values, a, b, out); break;
    }
    if (!done) return KINOGRAPH_PLUGIN_CANCELLED;
  }
  for (uint32_t i = 0; i < executable->output_count; i++) {
    const Value *value = &values[executable->outputs[i]];
    job->outputs[i] = buffer_new(executable->sample, value->dtype, value->shape, data[executable->outputs[i]], value->bytes);
    if (!job->outputs[i]) return KINOGRAPH_PLUGIN_OUT_OF_MEMORY;
  }
  return KINOGRAPH_PLUGIN_OK;
}

static void *job_main(void *argument) {
  KinographPluginJob *job = argument;
  const KinographPluginExecutable *executable = job->executable;
  KinographPluginStatus status = KINOGRAPH_PLUGIN_OUT_OF_MEMORY;
  void **data = allocate(executable->value_count, sizeof *data);
  if (data) {
    for (uint32_t i = 0; i < executable->value_count; i++) data[i] = (void *)executable->values[i].weight;
    for (uint32_t i = 0; i < executable->input_count; i++) data[executable->inputs[i]] = job->inputs[i]->data;
    status = run_steps(job, data);
    for (uint32_t i = 0; i < executable->step_count; i++) free(data[executable->steps[i].output]);
    free(data);
  }
  pthread_mutex_lock(&job->mutex);
  job->status = status;
  pthread_cond_broadcast(&job->over);
  pthread_mutex_unlock(&job->mutex);
  return NULL;
}

static void job_discard(KinographPluginJob *job) {
  for (uint32_t i = 0; job->outputs && i < job->executable->output_count; i++)
    if (job->outputs[i]) buffer_free(job->outputs[i]);
  count_objects(job->executable->sample, -1);
  pthread_cond_destroy(&job->over);
  pthread_mutex_destroy(&job->mutex);
  free(job->outputs);
  free(job->inputs);
  free(job);
}

static KinographPluginStatus run(KinographPluginExecutable *executable, KinographPluginBuffer *const *inputs, size_t input_count,
                           KinographPluginJob **job, KinographPluginError *error) {
  KinographPluginJob *made = allocate(1, sizeof *made);
  if (!made) return out_of_memory(error, sizeof *made);
  made->executable = executable;
  made->status = KINOGRAPH_PLUGIN_PENDING;
  pthread_mutex_init(&made->mutex, NULL);
  pthread_cond_init(&made->over, NULL);
  count_objects(executable->sample, 1);
  made->inputs = allocate(input_count, sizeof *made->inputs);
  made->outputs = allocate(executable->output_count, sizeof *made->outputs);
  if (!made->inputs || !made->outputs) {
    job_discard(made);
    return out_of_memory(error, input_count * sizeof *made->inputs);
  }
  /* The array is borrowed for this call; the buffers in it stay. */
  for (size_t i = 0; i < input_count; i++) made->inputs[i] = inputs[i];
  if (pthread_create(&made->thread, NULL, job_main, made) != 0) {
    job_discard(made);
    return fail(error, KINOGRAPH_PLUGIN_INTERNAL, "no thread could be started");
  }
  *job = made;
  return KINOGRAPH_PLUGIN_OK;
}

static KinographPluginStatus job_wait(KinographPluginJob *job, uint64_t timeout, KinographPluginError *error) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  uint64_t nanoseconds = (uint64_t)until.tv_nsec + timeout % 1000000000u;
  until.tv_sec += (time_t)(timeout / 1000000000u + nanoseconds / 1000000000u);
  until.tv_nsec = (long)(nanoseconds % 1000000000u);
  pthread_mutex_lock(&job->mutex);
  while (job->status == KINOGRAPH_PLUGIN_PENDING && pthread_cond_timedwait(&job->over, &job->mutex, &until) == 0) {
  }
  KinographPluginStatus status = job->status;
  pthread_mutex_unlock(&job->mutex);
  if (status == KINOGRAPH_PLUGIN_OUT_OF_MEMORY) return out_of_memory(error, job->executable->memory.run);
  return status;
}

static KinographPluginStatus job_outputs(KinographPluginJob *job, KinographPluginBuffer **outputs, size_t capacity, size_t *count,
                                   KinographPluginError *error) {
  uint32_t own = job->executable->output_count;
  if (capacity < own) return fail(error, KINOGRAPH_PLUGIN_INVALID, "there are %u outputs", (unsigned)own);
  for (uint32_t i = 0; i < own; i++) {
    outputs[i] = job->outputs[i];
    job->outputs[i] = NULL;
  }
  *count = own;
  return KINOGRAPH_PLUGIN_OK;
}

static void job_cancel(KinographPluginJob *job) {
  pthread_mutex_lock(&job->mutex);
  job->cancelled = 1;
  pthread_mutex_unlock(&job->mutex);
}

static void job_free(KinographPluginJob *job) {
  pthread_join(job->thread, NULL);
  job_discard(job);
}

/* The entry. */

static void destroy(void *context) {
  Sample *sample = context;
  if (sample->objects != 0) {
    char message[64];
    snprintf(message, sizeof message, "%ld objects were not freed", sample->objects);
    sample->host->log(sample->host->context, KINOGRAPH_PLUGIN_LOG_ERROR, message);
  }
  pthread_mutex_destroy(&sample->mutex);
  free(sample);
}

const KinographPlugin *kinograph_plugin_entry(const KinographPluginHost *host) {
  if (host->abi_major != KINOGRAPH_PLUGIN_ABI_MAJOR) return NULL;
  Sample *sample = allocate(1, sizeof *sample);
  if (!sample) return NULL;
  sample->host = host;
  pthread_mutex_init(&sample->mutex, NULL);
  KinographPlugin *table = &sample->table;
  table->struct_size = sizeof *table;
  table->abi_major = KINOGRAPH_PLUGIN_ABI_MAJOR;
  table->abi_minor = KINOGRAPH_PLUGIN_ABI_MINOR;
  table->name = "sample";
  table->version = "1.0";
  table->context = sample;
  table->destroy = destroy;
  table->device_count = device_count;
  table->device_info = device_info;
  table->device_open = device_open;
  table->device_close = device_close;
  table->support = support;
  table->plan = plan;
  table->compile = compile;
  table->executable_memory = executable_memory;
  table->executable_free = executable_free;
  table->upload = upload;
  table->download = download;
  table->buffer_info = buffer_info;
  table->buffer_free = buffer_free;
  table->run = run;
  table->job_wait = job_wait;
  table->job_outputs = job_outputs;
  table->job_cancel = job_cancel;
  table->job_free = job_free;
  host->log(host->context, KINOGRAPH_PLUGIN_LOG_DEBUG, "the sample backend is ready");
  return table;
}
