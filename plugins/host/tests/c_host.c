/* A host in C that takes the sample backend through its paces, for the tools that watch memory: it is linked to sample.c. */
#include "kinograph_plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHECK(condition)                                                     \
  do {                                                                       \
    if (!(condition)) {                                                      \
      fprintf(stderr, "line %d: %s: %s\n", __LINE__, #condition, error.message); \
      exit(1);                                                               \
    }                                                                        \
  } while (0)

static KinographError error = {sizeof error, 0, 0, {0}};
static int complaints;

static void take_log(void *context, int32_t level, const char *message) {
  (void)context;
  if (level <= KINOGRAPH_LOG_WARN) {
    fprintf(stderr, "%s\n", message);
    complaints++;
  }
}

/* y = softmax(x * w), z = swish(x); w is stored in bf16 and x is an output too. */
static const uint64_t x_shape[] = {2, 2}, w_shape[] = {2, 3}, y_shape[] = {2, 3};
static const unsigned char w_data[] = {0, 0x80, 0x3f, 0, 0, 0x80, 0xbf, 0, 0x40, 0x80, 0x3f, 0, 0};
static const uint32_t first[] = {0}, product_in[] = {0, 1}, product_out[] = {2}, y_out[] = {3}, z_out[] = {4};

#define VALUE(name, shape, source) {sizeof(KinographValue), KINOGRAPH_DTYPE_F32, name, shape, 2, source}
static const KinographValue values[] = {
    VALUE("x", x_shape, KINOGRAPH_SOURCE_INPUT), VALUE("w", w_shape, KINOGRAPH_SOURCE_WEIGHT),
    VALUE("p", y_shape, KINOGRAPH_SOURCE_NODE), VALUE("y", y_shape, KINOGRAPH_SOURCE_NODE),
    VALUE("z", x_shape, KINOGRAPH_SOURCE_NODE)};
static const KinographValue *const value_list[] = {&values[0], &values[1], &values[2], &values[3], &values[4]};
static const KinographAttr axis = {sizeof axis, KINOGRAPH_ATTR_INT, "axis", -1, 0, NULL, NULL, NULL, 0};
static const KinographAttr alpha = {sizeof alpha, KINOGRAPH_ATTR_FLOAT, "alpha", 0, 1, NULL, NULL, NULL, 0};
static const KinographAttr *const axis_list[] = {&axis}, *const alpha_list[] = {&alpha};
static const KinographNode nodes[] = {
    {sizeof(KinographNode), 2, "product", "MatMul", product_in, product_out, 1, 0, NULL},
    {sizeof(KinographNode), 1, "softmax", "Softmax", product_out, y_out, 1, 1, axis_list},
    {sizeof(KinographNode), 1, "swish", "Swish", first, z_out, 1, 1, alpha_list}};
static const KinographNode *const node_list[] = {&nodes[0], &nodes[1], &nodes[2]};
/* Not aligned: files promise nothing. */
static const KinographWeight weight = {sizeof weight, 1, KINOGRAPH_DTYPE_BF16, 0, w_data + 1, 12};
static const KinographWeight *const weight_list[] = {&weight};
static const KinographOutput outputs[] = {
    {sizeof(KinographOutput), 3, "y"}, {sizeof(KinographOutput), 4, "z"}, {sizeof(KinographOutput), 0, "x"}};
static const KinographOutput *const output_list[] = {&outputs[0], &outputs[1], &outputs[2]};
static const KinographGraph graph = {sizeof graph, 5, "graph", value_list, node_list, first, weight_list, output_list,
                                     3, 1, 1, 3};

static void run_once(const KinographPlugin *plugin, KinographDevice *device, KinographExecutable *executable, int cancel) {
  const float x[] = {1, 2, 3, 4};
  KinographTensor tensor = {sizeof tensor, KINOGRAPH_DTYPE_F32, x_shape, 2, 0, x, sizeof x};
  KinographBuffer *input = NULL, *made[3] = {NULL, NULL, NULL};
  KinographJob *job = NULL;
  size_t count = 0;
  CHECK(plugin->upload(device, &tensor, &input, &error) == KINOGRAPH_OK);
  CHECK(plugin->run(executable, &input, 1, &job, &error) == KINOGRAPH_OK);
  if (cancel) plugin->job_cancel(job);
  KinographStatus status;
  while ((status = plugin->job_wait(job, 1000000, &error)) == KINOGRAPH_PENDING) {
  }
  /* A cancelled job may have been done already; its outputs are left to the plugin. */
  CHECK(status == KINOGRAPH_OK || (cancel && status == KINOGRAPH_CANCELLED));
  if (!cancel) {
    float back[4], y[6];
    CHECK(plugin->job_outputs(job, made, 3, &count, &error) == KINOGRAPH_OK && count == 3);
    CHECK(plugin->download(device, made[2], back, sizeof back, &error) == KINOGRAPH_OK);
    CHECK(memcmp(back, x, sizeof x) == 0);
    CHECK(plugin->download(device, made[0], y, sizeof y, &error) == KINOGRAPH_OK);
    CHECK(y[0] + y[1] + y[2] > 0.999f && y[0] + y[1] + y[2] < 1.001f);
    CHECK(plugin->download(device, made[0], y, 1, &error) == KINOGRAPH_INVALID);
  }
  plugin->job_free(job);
  for (size_t i = 0; i < count; i++) plugin->buffer_free(made[i]);
  plugin->buffer_free(input);
}

int main(void) {
  KinographHost host = {sizeof host, KINOGRAPH_ABI_MAJOR, KINOGRAPH_ABI_MINOR, 0, NULL, take_log};
  const KinographPlugin *plugin = kinograph_plugin_entry(&host);
  CHECK(plugin);
  KinographOptions options = {sizeof options, 0, NULL, 0};
  KinographDevice *device = NULL;
  KinographExecutable *executable = NULL;
  KinographMemory memory = {sizeof memory, 0, 0, 0, 0};
  CHECK(plugin->device_open(plugin->context, "sample:9", &options, &device, &error) == KINOGRAPH_INVALID);
  CHECK(plugin->device_open(plugin->context, "sample:0", &options, &device, &error) == KINOGRAPH_OK);
  for (uint32_t i = 0; i < graph.node_count; i++) CHECK(plugin->support(device, &graph, i, &error) == KINOGRAPH_OK);
  CHECK(plugin->plan(device, &graph, &memory, &error) == KINOGRAPH_OK && memory.weights_copied == 24);
  CHECK(plugin->compile(device, &graph, &executable, &error) == KINOGRAPH_OK);
  for (int i = 0; i < 20; i++) run_once(plugin, device, executable, i % 2);
  plugin->executable_free(executable);
  plugin->device_close(device);
  plugin->destroy(plugin->context);
  CHECK(complaints == 0);
  puts("all as it should be");
  return 0;
}
