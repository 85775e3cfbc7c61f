/*
 * Plugins that are broken in one way each: the sample backend with one defect, chosen by -DKIND=... and, for some, by -DINDEX=n,
 * the position of a function in the table, and -DSTATUS=n, what it returns.
 */
#define kinograph_plugin_entry sample_entry
#include "../../sample-c/sample.c"
#undef kinograph_plugin_entry

#ifndef KIND
#define KIND NONE
#endif
#ifndef INDEX
#define INDEX 0
#endif
#ifndef STATUS
#define STATUS KINOGRAPH_PLUGIN_INTERNAL
#endif

enum {
  NONE,
  /* The table. */
  DECLINES, MISALIGNED, WRONG_MAJOR, SMALL_TABLE, HUGE_TABLE, NEWER, NULL_FUNCTION,
  NULL_NAME, LONG_NAME, UNTERMINATED_NAME, PATH_NAME, NOT_UTF8_NAME, NULL_VERSION,
  /* Devices. */
  MANY_DEVICES, SAME_IDS, NULL_ID, LONG_ID, FOREIGN_ID, UNTERMINATED_LABEL, NOT_UTF8_LABEL, MANY_FACTS, NULL_FACTS, NULL_FACT,
  /* Calls that fail, or succeed and do nothing. */
  STUBBED, UNTERMINATED_MESSAGE,
  /* Buffers. */
  UNKNOWN_DTYPE, OTHER_DTYPE, HUGE_RANK, OTHER_SHAPE, OTHER_BYTES, OVERRUN, CORRUPTS, NO_TRUTH, SAME_BUFFER,
  /* Results. */
  WRONG_SUM, NAN_GATE, UNCOMPILED, HUGE_MEMORY,
  /* Jobs. */
  FEW_OUTPUTS, MANY_OUTPUTS, DOUBLE_OUTPUT, INPUT_AS_OUTPUT, CANCELLED_UNASKED, NEVER_ENDS, NEVER_RETURNS, NEVER_ENDS_LATER
};

/* Stubs for STUBBED, in the order of the table. */
static KinographPluginStatus said(KinographPluginError *e) { return fail(e, STATUS, "told to fail"); }
static KinographPluginStatus s_device_count(void *c, size_t *n, KinographPluginError *e) { (void)c, (void)n; return said(e); }
static KinographPluginStatus s_device_info(void *c, size_t i, KinographPluginDeviceInfo *o, KinographPluginError *e) { (void)c, (void)i, (void)o; return said(e); }
static KinographPluginStatus s_open(void *c, const char *i, const KinographPluginDeviceOptions *p, KinographPluginDevice **d, KinographPluginError *e) { (void)c, (void)i, (void)p, (void)d; return said(e); }
static KinographPluginStatus s_support(KinographPluginDevice *d, const KinographPluginGraph *g, uint32_t n, KinographPluginError *e) { (void)d, (void)g, (void)n; return said(e); }
static KinographPluginStatus s_plan(KinographPluginDevice *d, const KinographPluginGraph *g, KinographPluginMemory *m, KinographPluginError *e) { (void)d, (void)g, (void)m; return said(e); }
static KinographPluginStatus s_compile(KinographPluginDevice *d, const KinographPluginGraph *g, KinographPluginExecutable **x, KinographPluginError *e) { (void)d, (void)g, (void)x; return said(e); }
static KinographPluginStatus s_memory(KinographPluginExecutable *x, KinographPluginMemory *m, KinographPluginError *e) { (void)x, (void)m; return said(e); }
static KinographPluginStatus s_upload(KinographPluginDevice *d, const KinographPluginTensor *t, KinographPluginBuffer **b, KinographPluginError *e) { (void)d, (void)t, (void)b; return said(e); }
static KinographPluginStatus s_download(KinographPluginDevice *d, KinographPluginBuffer *b, void *p, uint64_t n, KinographPluginError *e) { (void)d, (void)b, (void)p, (void)n; return said(e); }
static KinographPluginStatus s_info(KinographPluginBuffer *b, KinographPluginBufferInfo *i, KinographPluginError *e) { (void)b, (void)i; return said(e); }
static KinographPluginStatus s_run(KinographPluginExecutable *x, KinographPluginBuffer *const *i, size_t n, KinographPluginJob **j, KinographPluginError *e) { (void)x, (void)i, (void)n, (void)j; return said(e); }
static KinographPluginStatus s_wait(KinographPluginJob *j, uint64_t t, KinographPluginError *e) { (void)j, (void)t; return said(e); }
static KinographPluginStatus s_outputs(KinographPluginJob *j, KinographPluginBuffer **o, size_t c, size_t *n, KinographPluginError *e) { (void)j, (void)o, (void)c, (void)n; return said(e); }

static void stub(KinographPlugin *table) {
  switch (INDEX) {
    case 1: table->device_count = s_device_count; break;
    case 2: table->device_info = s_device_info; break;
    case 3: table->device_open = s_open; break;
    case 6: table->support = s_support; break;
    case 7: table->plan = s_plan; break;
    case 8: table->compile = s_compile; break;
    case 9: table->executable_memory = s_memory; break;
    case 11: table->upload = s_upload; break;
    case 12: table->download = s_download; break;
    case 13: table->buffer_info = s_info; break;
    case 15: table->run = s_run; break;
    case 16: table->job_wait = s_wait; break;
    case 17: table->job_outputs = s_outputs; break;
  }
}

/* The sample's functions with a defect. */

static const char *long_text(int terminated) {
  static char text[8192];
  memset(text, 'a', sizeof text);
  if (terminated) text[sizeof text - 1] = 0;
  return text;
}

static KinographPluginStatus bad_device_count(void *context, size_t *count, KinographPluginError *error) {
  (void)context, (void)error;
  *count = KIND == MANY_DEVICES ? SIZE_MAX : 2;
  return KINOGRAPH_PLUGIN_OK;
}

static KinographPluginStatus bad_device_info(void *context, size_t index, KinographPluginDeviceInfo *info, KinographPluginError *error) {
  static const KinographPluginPair no_value[] = {{"speed", NULL}};
  KinographPluginStatus status = device_info(context, index, info, error);
  switch (KIND) {
    case NULL_ID: info->id = NULL; break;
    case LONG_ID: info->id = long_text(1); break;
    case FOREIGN_ID: info->id = "cpu"; break;
    case UNTERMINATED_LABEL: info->name = long_text(0); break;
    case NOT_UTF8_LABEL: info->name = "caf\xe9\x1b[2J"; break;
    case MANY_FACTS: info->fact_count = UINT32_MAX; break;
    case NULL_FACTS: info->facts = NULL; break;
    case NULL_FACT: info->facts = no_value; info->fact_count = 1; break;
  }
  return status;
}

static KinographPluginStatus bad_support(KinographPluginDevice *device, const KinographPluginGraph *graph, uint32_t node, KinographPluginError *error) {
  (void)device, (void)graph, (void)node;
  memset(error->message, 'x', sizeof error->message);
  return KINOGRAPH_PLUGIN_INTERNAL;
}

static KinographPluginStatus bad_upload(KinographPluginDevice *device, const KinographPluginTensor *tensor, KinographPluginBuffer **buffer, KinographPluginError *error) {
  static KinographPluginBuffer *last;
  KinographPluginBuffer *made = NULL;
  KinographPluginStatus status = upload(device, tensor, &made, error);
  /* The first vector is the second operand of a sum, while the first one is in use. */
  *buffer = last && tensor->rank == 1 ? last : made;
  last = *buffer;
  return status;
}

static KinographPluginStatus bad_buffer_info(KinographPluginBuffer *buffer, KinographPluginBufferInfo *info, KinographPluginError *error) {
  KinographPluginStatus status = buffer_info(buffer, info, error);
  switch (KIND) {
    case UNKNOWN_DTYPE: info->dtype = 77; break;
    case OTHER_DTYPE: info->dtype = KINOGRAPH_PLUGIN_DTYPE_I32; break;
    case HUGE_RANK: info->rank = 1000000; break;
    case OTHER_SHAPE: info->shape[0]++; break;
    case OTHER_BYTES: info->bytes = (uint64_t)1 << 60; break;
  }
  return status;
}

static KinographPluginStatus bad_download(KinographPluginDevice *device, KinographPluginBuffer *buffer, void *data, uint64_t bytes, KinographPluginError *error) {
  KinographPluginStatus status = download(device, buffer, data, bytes, error);
  if (KIND == OVERRUN) ((char *)data)[bytes] = 1;
  if (KIND == CORRUPTS && bytes > 0) ((char *)data)[bytes - 1] ^= 1;
  if (KIND == NO_TRUTH && bytes > 0 && buffer->dtype == KINOGRAPH_PLUGIN_DTYPE_BOOL) *(char *)data = 2;
  return status;
}

static KinographPluginStatus bad_compile(KinographPluginDevice *device, const KinographPluginGraph *graph, KinographPluginExecutable **executable, KinographPluginError *error) {
  if (KIND == UNCOMPILED && strcmp(graph->nodes[0]->op, "Softmax") == 0) {
    error->node = 1;
    return fail(error, KINOGRAPH_PLUGIN_UNSUPPORTED, "changed its mind");
  }
  KinographPluginStatus status = compile(device, graph, executable, error);
  for (uint32_t i = 0; status == KINOGRAPH_PLUGIN_OK && i < (*executable)->step_count; i++) {
    Step *step = &(*executable)->steps[i];
    if (KIND == WRONG_SUM && step->op == ADD) step->op = SUB;
    if (KIND == NAN_GATE && step->op == SWISH) step->alpha = NAN;
  }
  return status;
}

static KinographPluginStatus bad_executable_memory(KinographPluginExecutable *executable, KinographPluginMemory *memory, KinographPluginError *error) {
  KinographPluginStatus status = executable_memory(executable, memory, error);
  memory->run = UINT64_MAX;
  return status;
}

/* True for a job that this plugin never calls over. */
static int never_ends(const KinographPluginJob *job) {
  if (KIND == NEVER_ENDS) return 1;
  return KIND == NEVER_ENDS_LATER && job->executable->step_count > 0 && job->executable->steps[0].op == RELU;
}

static KinographPluginStatus bad_job_wait(KinographPluginJob *job, uint64_t timeout, KinographPluginError *error) {
  if (KIND == CANCELLED_UNASKED) return KINOGRAPH_PLUGIN_CANCELLED;
  while (KIND == NEVER_RETURNS) {
    struct timespec second = {1, 0};
    nanosleep(&second, NULL);
  }
  KinographPluginStatus status = job_wait(job, timeout, error);
  return never_ends(job) ? KINOGRAPH_PLUGIN_PENDING : status;
}

static KinographPluginStatus bad_job_outputs(KinographPluginJob *job, KinographPluginBuffer **outputs, size_t capacity, size_t *count, KinographPluginError *error) {
  KinographPluginStatus status = job_outputs(job, outputs, capacity, count, error);
  if (KIND == FEW_OUTPUTS) *count = 0;
  if (KIND == MANY_OUTPUTS) *count = 1000000;
  if (KIND == DOUBLE_OUTPUT && *count > 1) {
    buffer_free(outputs[1]);
    outputs[1] = outputs[0];
  }
  if (KIND == INPUT_AS_OUTPUT) {
    buffer_free(outputs[0]);
    outputs[0] = job->inputs[0];
  }
  return status;
}

static void replace(KinographPlugin *table) {
  if (KIND == MANY_DEVICES || KIND == SAME_IDS) table->device_count = bad_device_count;
  if (KIND > SAME_IDS && KIND <= NULL_FACT) table->device_info = bad_device_info;
  if (KIND == UNTERMINATED_MESSAGE) table->support = bad_support;
  if (KIND >= UNKNOWN_DTYPE && KIND <= OTHER_BYTES) table->buffer_info = bad_buffer_info;
  if (KIND >= OVERRUN && KIND <= NO_TRUTH) table->download = bad_download;
  if (KIND == SAME_BUFFER) table->upload = bad_upload;
  if (KIND >= WRONG_SUM && KIND <= UNCOMPILED) table->compile = bad_compile;
  if (KIND == HUGE_MEMORY) table->executable_memory = bad_executable_memory;
  if (KIND >= FEW_OUTPUTS && KIND <= INPUT_AS_OUTPUT) table->job_outputs = bad_job_outputs;
  if (KIND >= CANCELLED_UNASKED) table->job_wait = bad_job_wait;
  if (KIND == STUBBED) stub(table);
}

#ifndef NO_ENTRY
/* A table of a version to come, with a function that this host does not know. */
static struct {
  KinographPlugin known;
  void (*unknown)(void);
} newer;

KINOGRAPH_PLUGIN_EXPORT const KinographPlugin *kinograph_plugin_entry(const KinographPluginHost *host);

const KinographPlugin *kinograph_plugin_entry(const KinographPluginHost *host) {
  const KinographPlugin *made = sample_entry(host);
  KinographPlugin *table = (KinographPlugin *)made;
  replace(table);
  switch (KIND) {
    case DECLINES:
      host->log(host->context, KINOGRAPH_PLUGIN_LOG_WARN, "there is no driver");
      destroy(made->context);
      return NULL;
    case MISALIGNED: return (const KinographPlugin *)((const char *)made + 2);
    case WRONG_MAJOR: table->abi_major = 2; break;
    case SMALL_TABLE: table->struct_size = 16; break;
    case HUGE_TABLE: table->struct_size = UINT32_MAX; break;
    case NEWER:
      newer.known = *table;
      newer.known.struct_size = sizeof newer;
      newer.known.abi_minor = 9;
      return &newer.known;
    case NULL_FUNCTION: {
      size_t offset = offsetof(KinographPlugin, destroy) + INDEX * sizeof table->destroy;
      memset((char *)table + offset, 0, sizeof table->destroy);
      break;
    }
    case NULL_NAME: table->name = NULL; break;
    case LONG_NAME: table->name = long_text(1); break;
    case UNTERMINATED_NAME: table->name = long_text(0); break;
    case PATH_NAME: table->name = "../sample"; break;
    case NOT_UTF8_NAME: table->name = "s\xff"; break;
    case NULL_VERSION: table->version = NULL; break;
  }
  return table;
}
#endif
