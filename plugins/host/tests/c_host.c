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

static KinographPluginError error = {sizeof error, 0, 0, {0}};
static int complaints;

static void take_log(void *context, int32_t level, const char *message) {
  (void)context;
  if (level <= KINOGRAPH_PLUGIN_LOG_WARN) {
    fprintf(stderr, "%s\n", message);
    complaints++;
  }
}

/* y = softmax(x * w), z = swish(x); w is stored in bf16 and x is an output too. */
static const uint64_t x_shape[] = {2, 2}, w_shape[] = {2, 3}, y_shape[] = {2, 3};
static const unsigned char w_data[] = {0, 0x80, 0x3f, 0, 0, 0x80, 0xbf, 0, 0x40, 0x80, 0x3f, 0, 0};
static const uint32_t first[] = {0}, product_in[] = {0, 1}, product_out[] = {2}, y_out[] = {3}, z_out[] = {4};

#define VALUE(name, shape, source) {sizeof(KinographPluginValue), KINOGRAPH_PLUGIN_DTYPE_F32, name, shape, 2, source}
static const KinographPluginValue values[] = {
    VALUE("x", x_shape, KINOGRAPH_PLUGIN_SOURCE_INPUT), VALUE("w", w_shape, KINOGRAPH_PLUGIN_SOURCE_WEIGHT),
    VALUE("p", y_shape, KINOGRAPH_PLUGIN_SOURCE_NODE), VALUE("y", y_shape, KINOGRAPH_PLUGIN_SOURCE_NODE),
    VALUE("z", x_shape, KINOGRAPH_PLUGIN_SOURCE_NODE)};
static const KinographPluginValue *const value_list[] = {&values[0], &values[1], &values[2], &values[3], &values[4]};
static const KinographPluginAttr axis = {sizeof axis, KINOGRAPH_PLUGIN_ATTR_INT, "axis", -1, 0, NULL, NULL, NULL, 0};
static const KinographPluginAttr alpha = {sizeof alpha, KINOGRAPH_PLUGIN_ATTR_FLOAT, "alpha", 0, 1, NULL, NULL, NULL, 0};
static const KinographPluginAttr *const axis_list[] = {&axis}, *const alpha_list[] = {&alpha};
static const KinographPluginNode nodes[] = {
    {sizeof(KinographPluginNode), 2, "product", "MatMul", product_in, product_out, 1, 0, NULL},
    {sizeof(KinographPluginNode), 1, "softmax", "Softmax", product_out, y_out, 1, 1, axis_list},
    {sizeof(KinographPluginNode), 1, "swish", "Swish", first, z_out, 1, 1, alpha_list}};
static const KinographPluginNode *const node_list[] = {&nodes[0], &nodes[1], &nodes[2]};
/* Not aligned: files promise nothing. */
static const KinographPluginWeight weight = {sizeof weight, 1, KINOGRAPH_PLUGIN_DTYPE_BF16, 0, w_data + 1, 12};
static const KinographPluginWeight *const weight_list[] = {&weight};
static const KinographPluginOutput outputs[] = {
    {sizeof(KinographPluginOutput), 3, "y"}, {sizeof(KinographPluginOutput), 4, "z"}, {sizeof(KinographPluginOutput), 0, "x"}};
static const KinographPluginOutput *const output_list[] = {&outputs[0], &outputs[1], &outputs[2]};
static const KinographPluginGraph graph = {sizeof graph, 5, "graph", value_list, node_list, first, weight_list, output_list,
                                     3, 1, 1, 3};

static void run_once(const KinographPlugin *plugin, KinographPluginDevice *device, KinographPluginExecutable *executable, int cancel) {
  const float x[] = {1, 2, 3, 4};
  KinographPluginTensor tensor = {sizeof tensor, KINOGRAPH_PLUGIN_DTYPE_F32, x_shape, 2, 0, x, sizeof x};
  KinographPluginBuffer *input = NULL, *made[3] = {NULL, NULL, NULL};
  KinographPluginJob *job = NULL;
  size_t count = 0;
  CHECK(plugin->upload(device, &tensor, &input, &error) == KINOGRAPH_PLUGIN_OK);
  CHECK(plugin->run(executable, &input, 1, &job, &error) == KINOGRAPH_PLUGIN_OK);
  if (cancel) plugin->job_cancel(job);
  KinographPluginStatus status;
  while ((status = plugin->job_wait(job, 1000000, &error)) == KINOGRAPH_PLUGIN_PENDING) {
  }
  /* A cancelled job may have been done already; its outputs are left to the plugin. */
  CHECK(status == KINOGRAPH_PLUGIN_OK || (cancel && status == KINOGRAPH_PLUGIN_CANCELLED));
  if (!cancel) {
    float back[4], y[6];
    CHECK(plugin->job_outputs(job, made, 3, &count, &error) == KINOGRAPH_PLUGIN_OK && count == 3);
    CHECK(plugin->download(device, made[2], back, sizeof back, &error) == KINOGRAPH_PLUGIN_OK);
    CHECK(memcmp(back, x, sizeof x) == 0);
    CHECK(plugin->download(device, made[0], y, sizeof y, &error) == KINOGRAPH_PLUGIN_OK);
    CHECK(y[0] + y[1] + y[2] > 0.999f && y[0] + y[1] + y[2] < 1.001f);
    CHECK(plugin->download(device, made[0], y, 1, &error) == KINOGRAPH_PLUGIN_INVALID);
  }
  plugin->job_free(job);
  for (size_t i = 0; i < count; i++) plugin->buffer_free(made[i]);
  plugin->buffer_free(input);
}

int main(void) {
  KinographPluginHost host = {sizeof host, KINOGRAPH_PLUGIN_ABI_MAJOR, KINOGRAPH_PLUGIN_ABI_MINOR, 0, NULL, take_log};
  const KinographPlugin *plugin = kinograph_plugin_entry(&host);
  CHECK(plugin);
  KinographPluginDeviceOptions options = {sizeof options, 0, NULL, 0};
  KinographPluginDevice *device = NULL;
  KinographPluginExecutable *executable = NULL;
  KinographPluginMemory memory = {sizeof memory, 0, 0, 0, 0};
  CHECK(plugin->device_open(plugin->context, "sample:9", &options, &device, &error) == KINOGRAPH_PLUGIN_INVALID);
  CHECK(plugin->device_open(plugin->context, "sample:0", &options, &device, &error) == KINOGRAPH_PLUGIN_OK);
  for (uint32_t i = 0; i < graph.node_count; i++) CHECK(plugin->support(device, &graph, i, &error) == KINOGRAPH_PLUGIN_OK);
  CHECK(plugin->plan(device, &graph, &memory, &error) == KINOGRAPH_PLUGIN_OK && memory.weights_copied == 24);
  CHECK(plugin->compile(device, &graph, &executable, &error) == KINOGRAPH_PLUGIN_OK);
  for (int i = 0; i < 20; i++) run_once(plugin, device, executable, i % 2);
  plugin->executable_free(executable);
  plugin->device_close(device);
  plugin->destroy(plugin->context);
  CHECK(complaints == 0);
  puts("all as it should be");
  return 0;
}
