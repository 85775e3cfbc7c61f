/*
 * Kinograph: video and images from a prompt, on a device that is chosen at run time. The C interface of libkinograph.
 *
 * Calls     Every call that can fail answers a KinographStatus and takes, last, a place for a KinographError, which may be NULL.
 *           It is set to NULL when the call succeeds, and else to an error that the caller frees. No call aborts the program or
 *           lets an exception out, and nothing is global to the process: no state, no signal handlers, and no threads but those
 *           of devices. They end by themselves shortly after the last that was made with their device is freed, so nobody can
 *           know when the library may be unloaded (dlclose): keep it loaded.
 *
 * Objects   A place for an object to be made is set to the object, which the caller frees by its kinograph_..._free, or to NULL
 *           when the call fails. Freeing NULL does nothing. Objects may be freed in any order: what was made with one keeps what
 *           it needs of it. Only calls that still run with an object must have ended.
 *
 * Threads   KinographRuntime, KinographDevice, KinographDeviceList, KinographModel, KinographExecutable, KinographTensor,
 *           KinographVideo, KinographPlan, KinographControl and KinographError may be used by several threads at once, and
 *           several jobs may run on one model at once. A KinographRequest is changed by one thread while no other uses it; jobs
 *           only read it. A KinographWriter belongs to one thread at a time. Any object may be freed by any thread.
 *           Callbacks are called in the thread of the call that they were given to.
 *
 * Texts     Are UTF-8 and end with a NUL, paths too, and have at most 4 MiB. Those given to a call are copied; those that a call
 *           answers belong to the object and live as long as it does.
 *
 * Structs   Begin with struct_size, which the caller sets to sizeof the struct, and all other fields may be zero:
 *           KinographDeviceOptions options = {.struct_size = sizeof options};
 *           Later versions add fields at the end; a library of another version treats what it was not given as
 *           zero, and refuses what it does not know.
 *
 * Pointers  NULL, where it is not said to be fine, is KINOGRAPH_STATUS_NULL. What cannot be checked is the caller's to see to:
 *           pointers are of living objects or of memory of the size that is said, and places to write to do not overlap.
 */


#ifndef KINOGRAPH_H
#define KINOGRAPH_H

/* Generated from the Rust sources of Kinograph by cbindgen: do not edit. */

#include <stddef.h>
#include <stdint.h>

/**
 * The version of the binary interface that this header describes. It grows when a program built against an older header
 * would no longer work; new functions, statuses and fields at the end of structs leave it as it is.
 */
#define KINOGRAPH_ABI_VERSION 1

/**
 * What a call answers. The numbers never change; new ones may be added, so treat an unknown one as a failure.
 */
enum KinographStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * It was done.
   */
  KINOGRAPH_STATUS_OK = 0,
  /**
   * A callback or a `KinographControl` ended it.
   */
  KINOGRAPH_STATUS_CANCELLED = 1,
  /**
   * A pointer that must not be null is null.
   */
  KINOGRAPH_STATUS_NULL = 2,
  /**
   * A text is not UTF-8.
   */
  KINOGRAPH_STATUS_UTF8 = 3,
  /**
   * An argument is out of range: a length, a position, a size, an alignment, a struct of a newer header.
   */
  KINOGRAPH_STATUS_ARGUMENT = 4,
  /**
   * This build leaves out what was asked for.
   */
  KINOGRAPH_STATUS_UNSUPPORTED = 5,
  /**
   * There is no such device.
   */
  KINOGRAPH_STATUS_UNKNOWN_DEVICE = 6,
  /**
   * The device is there but did not open, for example because of an option, or does not compute as its numerics say.
   */
  KINOGRAPH_STATUS_DEVICE_OPEN = 7,
  /**
   * A file of the package is missing or wrong.
   */
  KINOGRAPH_STATUS_PACKAGE = 8,
  /**
   * A graph is wrong, or does not take these sizes.
   */
  KINOGRAPH_STATUS_GRAPH = 9,
  /**
   * The device does not take a graph, or a weight is missing or does not fit.
   */
  KINOGRAPH_STATUS_COMPILE = 10,
  /**
   * The request asks for what the model does not do.
   */
  KINOGRAPH_STATUS_REQUEST = 11,
  /**
   * The job needs more memory than its limit.
   */
  KINOGRAPH_STATUS_MEMORY_LIMIT = 12,
  /**
   * A text was not tokenised.
   */
  KINOGRAPH_STATUS_TOKENIZE = 13,
  /**
   * Inputs do not fit the graph, or data is outside what an op takes.
   */
  KINOGRAPH_STATUS_RUN = 14,
  /**
   * The model gave a number that is none.
   */
  KINOGRAPH_STATUS_NOT_FINITE = 15,
  /**
   * The device or the host has no room.
   */
  KINOGRAPH_STATUS_OUT_OF_MEMORY = 16,
  /**
   * The device is gone.
   */
  KINOGRAPH_STATUS_DEVICE_LOST = 17,
  /**
   * The device failed.
   */
  KINOGRAPH_STATUS_DEVICE = 18,
  /**
   * A file of frames or latents could not be read or written.
   */
  KINOGRAPH_STATUS_MEDIA = 19,
  /**
   * A checkpoint cannot be used.
   */
  KINOGRAPH_STATUS_CHECKPOINT = 20,
  /**
   * A defect of Kinograph. Objects that took part may only be freed.
   */
  KINOGRAPH_STATUS_INTERNAL = 99,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum KinographStatus KinographStatus;
#else
typedef int32_t KinographStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * The type of a tensor's elements.
 */
enum KinographDtype
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * `float`.
   */
  KINOGRAPH_DTYPE_F32 = 0,
  /**
   * IEEE 754 binary16, 2 bytes.
   */
  KINOGRAPH_DTYPE_F16 = 1,
  /**
   * bfloat16, 2 bytes.
   */
  KINOGRAPH_DTYPE_BF16 = 2,
  /**
   * `int8_t`.
   */
  KINOGRAPH_DTYPE_I8 = 3,
  /**
   * `uint8_t`.
   */
  KINOGRAPH_DTYPE_U8 = 4,
  /**
   * `int32_t`.
   */
  KINOGRAPH_DTYPE_I32 = 5,
  /**
   * `int64_t`.
   */
  KINOGRAPH_DTYPE_I64 = 6,
  /**
   * One byte, 0 or 1.
   */
  KINOGRAPH_DTYPE_BOOL = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum KinographDtype KinographDtype;
#else
typedef int32_t KinographDtype;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A stage of a job.
 */
enum KinographStage
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /**
   * One that this header does not know.
   */
  KINOGRAPH_STAGE_OTHER = 0,
  /**
   * The text encoders; a step is one encoder.
   */
  KINOGRAPH_STAGE_TEXT = 1,
  /**
   * The sampler; a step is one step of the schedule, or of an adaptive solver a thousandth of the way.
   */
  KINOGRAPH_STAGE_SAMPLE = 2,
  /**
   * The encoder of the autoencoder; a step is one tile.
   */
  KINOGRAPH_STAGE_ENCODE = 3,
  /**
   * The decoder of the autoencoder; a step is one tile.
   */
  KINOGRAPH_STAGE_DECODE = 4,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum KinographStage KinographStage;
#else
typedef int32_t KinographStage;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/**
 * A handle by which a job is cancelled: from any thread, by several at once. Requests and calls that were given it keep what
 * they need, so it may be freed at any time. Once cancelled it stays so: take a new one for a new job.
 */
typedef struct KinographControl KinographControl;

/**
 * An open device, or what a `kinograph_device_with_...` made of some. Several threads may use it at once. What is made with it
 * keeps it open, so it may be freed at any time.
 */
typedef struct KinographDevice KinographDevice;

/**
 * The devices that there were when it was made. Several threads may read it at once; its texts live as long as it does.
 */
typedef struct KinographDeviceList KinographDeviceList;

/**
 * Why a call failed. May be read by several threads at once; freed with `kinograph_error_free`.
 */
typedef struct KinographError KinographError;

/**
 * A graph compiled for a device. Several threads may run it at once.
 */
typedef struct KinographExecutable KinographExecutable;

/**
 * A model on a device. Several threads may use it at once, and generate at once.
 */
typedef struct KinographModel KinographModel;

/**
 * What a job will need. Several threads may read it at once.
 */
typedef struct KinographPlan KinographPlan;

/**
 * What to generate; what is left open is as the model's package says. One thread at a time may change it; several may generate
 * from it at once while nobody does.
 */
typedef struct KinographRequest KinographRequest;

/**
 * The backends that a host has. Nothing in Kinograph is process-global: a host may make several. Several threads may use one
 * at once; devices do not need it once they are open.
 */
typedef struct KinographRuntime KinographRuntime;

/**
 * A tensor in host memory that never changes. Several threads may read it at once; what was given it keeps what it needs, so it
 * may be freed at any time.
 */
typedef struct KinographTensor KinographTensor;

/**
 * What a job made: frames, latents, and how long it took. Never changes; several threads may read it at once.
 */
typedef struct KinographVideo KinographVideo;

/**
 * A file of frames that is being written, for frames as a callback gives them. One thread at a time.
 */
typedef struct KinographWriter KinographWriter;

/**
 * An option of one backend, by name. Both texts are copied.
 */
typedef struct KinographOption {
  /**
   * Such as "simd" of the cpu.
   */
  const char *name;
  /**
   * Such as "avx2".
   */
  const char *value;
} KinographOption;

/**
 * How a device is opened. All zeros but the size mean: as the device likes best.
 */
typedef struct KinographDeviceOptions {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * Threads that it may use; 0 leaves it to the device.
   */
  size_t threads;
  /**
   * Options of the one backend; unknown ones are refused.
   */
  const struct KinographOption *options;
  /**
   * How many there are.
   */
  size_t option_count;
  /**
   * A directory of the host's own in which a device may keep, from one process to the next, what takes long to find again:
   * compiled kernels, measurements. It is made when something is kept, and trusted as much as the program's own files. Null
   * keeps nothing.
   */
  const char *cache;
} KinographDeviceOptions;

/**
 * A plugin that was refused, for the time of the call.
 */
typedef struct KinographRefusedPlugin {
  /**
   * The size of this struct as the library knows it.
   */
  size_t struct_size;
  /**
   * The file, or a directory that could not be searched.
   */
  const char *path;
  /**
   * Why.
   */
  const char *reason;
} KinographRefusedPlugin;

/**
 * Which plugins are loaded, and who hears of the others. All zeros but the size: all, and nobody.
 */
typedef struct KinographPluginOptions {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * BLAKE3 digests of files that may be loaded, each 64 hexadecimal digits as b3sum prints them.
   */
  const char *const *digests;
  /**
   * How many.
   */
  size_t digest_count;
  /**
   * 1: files without such a digest are refused, all of them when there are no digests. 0: none is, and giving digests is an
   * error.
   */
  uint32_t listed_only;
  /**
   * Zero.
   */
  uint32_t reserved;
  /**
   * Given to the callback as it is.
   */
  void *user;
  /**
   * Called for each plugin that was refused, in the thread of the call and before it returns; may be null. It may use other
   * objects and this runtime, but must not free it, throw, or leave by `longjmp`.
   */
  void (*refused)(void *user, const struct KinographRefusedPlugin *plugin);
} KinographPluginOptions;

/**
 * What a tensor holds. The pointers live as long as the tensor.
 */
typedef struct KinographTensorView {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * A `KinographDtype`.
   */
  int32_t dtype;
  /**
   * Dimensions.
   */
  uint32_t rank;
  /**
   * The dimensions, outermost first.
   */
  const size_t *shape;
  /**
   * The elements, row by row, aligned to their type.
   */
  const void *data;
  /**
   * Bytes of them.
   */
  size_t size;
} KinographTensorView;

/**
 * Frames of one size, one after another.
 */
typedef struct KinographFrames {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * How many frames.
   */
  size_t count;
  /**
   * Pixels across.
   */
  size_t width;
  /**
   * Pixels down.
   */
  size_t height;
  /**
   * Red, green and blue of each pixel, rows from the top, without gaps; null without frames.
   */
  const uint8_t *data;
  /**
   * Bytes of it: 3 times width times height times count.
   */
  size_t size;
} KinographFrames;

/**
 * A file of a package in memory.
 */
typedef struct KinographFile {
  /**
   * Its name in the package, such as "model.toml".
   */
  const char *name;
  /**
   * Its bytes.
   */
  const uint8_t *data;
  /**
   * How many.
   */
  size_t size;
} KinographFile;

/**
 * What a model makes.
 */
typedef struct KinographModelInfo {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * Pixels across, unless a request says otherwise.
   */
  size_t width;
  /**
   * Pixels down, unless a request says otherwise.
   */
  size_t height;
  /**
   * Frames, unless a request says otherwise.
   */
  size_t frames;
  /**
   * The most pixels across.
   */
  size_t max_width;
  /**
   * The most pixels down.
   */
  size_t max_height;
  /**
   * The most frames.
   */
  size_t max_frames;
  /**
   * Width and height are multiples of this.
   */
  size_t multiple;
  /**
   * Steps of the sampler, unless a request says otherwise.
   */
  size_t steps;
  /**
   * Channels of a latent.
   */
  size_t latent_channels;
  /**
   * Frames, rows and columns of video in a latent position.
   */
  size_t compression[3];
  /**
   * Frames per second, unless a request says otherwise.
   */
  uint32_t fps;
  /**
   * 1 when it can encode a video, 0 when not.
   */
  uint32_t has_encoder;
} KinographModelInfo;

/**
 * Which package: one by its path, or files in memory. All zeros but the size: flipbook, the small model inside the library.
 */
typedef struct KinographPackage {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * A path as `kinograph_model_load` takes it, or null.
   */
  const char *path;
  /**
   * Files as `kinograph_model_load_memory` takes them, or null.
   */
  const struct KinographFile *files;
  /**
   * How many.
   */
  size_t file_count;
} KinographPackage;

/**
 * What a job will need. Memory is in bytes and counts what grows with model and job, not the program around it.
 */
typedef struct KinographPlanInfo {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * Frames of the video.
   */
  size_t frames;
  /**
   * Pixels across.
   */
  size_t width;
  /**
   * Pixels down.
   */
  size_t height;
  /**
   * Channels, frames, rows and columns of the latent.
   */
  size_t latent[4];
  /**
   * The most memory that the job needs at a time.
   */
  uint64_t peak;
  /**
   * Bytes of all weights as they are stored.
   */
  uint64_t weight_bytes;
  /**
   * Numbers in all weights.
   */
  uint64_t parameters;
  /**
   * Floating-point operations; negative when that is not known, as with an adaptive solver.
   */
  double flops;
  /**
   * Tiles in rows and columns that the frames are decoded in, in latent positions; 0: whole frames.
   */
  size_t spatial_size;
  /**
   * 1 when a stage's memory is given back before the next begins.
   */
  uint32_t release;
  /**
   * 1 when prompt and negative prompt run one after the other.
   */
  uint32_t split_guidance;
  /**
   * 1 when what depends on the text alone is computed in every step and not kept.
   */
  uint32_t recompute_text;
  /**
   * Zero.
   */
  uint32_t reserved;
} KinographPlanInfo;

/**
 * What one component of a job does and needs.
 */
typedef struct KinographStagePlan {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * The component; lives as long as the plan.
   */
  const char *component;
  /**
   * Numbers in its weights.
   */
  uint64_t parameters;
  /**
   * Bytes of its weights as they are stored.
   */
  uint64_t weight_bytes;
  /**
   * Floating-point operations of one forward: one text, one state, or the largest tile.
   */
  uint64_t flops;
  /**
   * Forwards in all; 0 when that is not known, as with an adaptive solver.
   */
  uint64_t forwards;
  /**
   * Bytes of one run on the device at its peak.
   */
  uint64_t run;
  /**
   * Bytes of weights that the device reads in place.
   */
  uint64_t weights_in_place;
  /**
   * Bytes of weights that the device keeps as its own copy.
   */
  uint64_t weights_copied;
  /**
   * Bytes of tensors of the host beside the run.
   */
  uint64_t host;
  /**
   * The longest sequence that attends to itself; 0 when none does.
   */
  size_t tokens;
  /**
   * Tiles of the whole stage, in time times in space.
   */
  size_t tiles;
  /**
   * A `KinographStage`.
   */
  int32_t stage;
  /**
   * Zero.
   */
  int32_t reserved;
  /**
   * Floating-point operations before the first forward, once for the whole job: what depends on the texts alone.
   */
  uint64_t flops_once;
} KinographStagePlan;

/**
 * How far a job is. Read `struct_size` before fields that later headers add.
 */
typedef struct KinographProgress {
  /**
   * The size of this struct as the library knows it.
   */
  size_t struct_size;
  /**
   * A `KinographStage`.
   */
  int32_t stage;
  /**
   * Zero.
   */
  int32_t reserved;
  /**
   * Steps of the stage that are done.
   */
  size_t step;
  /**
   * Steps of the stage; 0 when nobody knows.
   */
  size_t of;
  /**
   * Seconds since the job began.
   */
  double elapsed;
  /**
   * Seconds that the rest of the job will take at the present pace; negative when that is not known.
   */
  double remaining;
} KinographProgress;

/**
 * A finished frame, for the time of the call.
 */
typedef struct KinographFrame {
  /**
   * The size of this struct as the library knows it.
   */
  size_t struct_size;
  /**
   * Its position in the video, from 0.
   */
  size_t index;
  /**
   * Pixels across.
   */
  size_t width;
  /**
   * Pixels down.
   */
  size_t height;
  /**
   * Red, green and blue of each pixel, rows from the top, without gaps.
   */
  const uint8_t *data;
  /**
   * Bytes of it: 3 times width times height.
   */
  size_t size;
} KinographFrame;

/**
 * What a host hears of a job, and by which it may end it. All are called in the thread of the job, while it runs; what they are
 * shown lives until they return. Any answer but 0 ends the job with `KINOGRAPH_STATUS_CANCELLED`. They may use other
 * objects, but must not free those of the job or change its request, throw, or leave by `longjmp`.
 */
typedef struct KinographCallbacks {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * Given to each callback as it is.
   */
  void *user;
  /**
   * At the start of each stage and after each of its steps; may be null.
   */
  int32_t (*progress)(void *user, const struct KinographProgress *progress);
  /**
   * For each frame as soon as it is decoded, in order; may be null.
   */
  int32_t (*frame)(void *user, const struct KinographFrame *frame);
  /**
   * A small picture of the latent, one pixel a latent position and one frame a latent frame, before the progress of the
   * steps that `kinograph_request_preview_every` chose; may be null.
   */
  int32_t (*preview)(void *user, const struct KinographFrames *preview);
} KinographCallbacks;

/**
 * How the autoencoder is to work. All zeros but the size mean: as the package says.
 */
typedef struct KinographCodecOptions {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * Tiles along time, in frames of what is read: of video for the encoder, of the latent for the decoder. 0: the package's.
   */
  size_t tile_size;
  /**
   * How much of a tile the next shares: at most half.
   */
  size_t tile_overlap;
  /**
   * Tiles along rows and columns, in latent positions. 0: the whole frame.
   */
  size_t spatial_size;
  /**
   * How much of a tile the next shares: at most half.
   */
  size_t spatial_overlap;
  /**
   * Decoding keeps so many columns of each frame, from the left. 0: all.
   */
  size_t width;
  /**
   * Decoding keeps so many rows of each frame, from the top. 0: all.
   */
  size_t height;
  /**
   * Decoding keeps so many frames. 0: all.
   */
  size_t frames;
  /**
   * The most bytes that the job may need, weights included. 0: no limit.
   */
  uint64_t memory_limit;
  /**
   * A handle by which another thread may cancel the job; may be null.
   */
  const struct KinographControl *control;
} KinographCodecOptions;

/**
 * The size of a symbol.
 */
typedef struct KinographSymbol {
  /**
   * The symbol.
   */
  const char *name;
  /**
   * Its size.
   */
  size_t size;
} KinographSymbol;

/**
 * The value of a parameter.
 */
typedef struct KinographParam {
  /**
   * The parameter.
   */
  const char *name;
  /**
   * Its value; a whole number below 2^53 counts as an integer.
   */
  double value;
} KinographParam;

/**
 * A tensor under a name.
 */
typedef struct KinographNamedTensor {
  /**
   * The name in the graph.
   */
  const char *name;
  /**
   * The tensor.
   */
  const struct KinographTensor *tensor;
} KinographNamedTensor;

/**
 * What a graph leaves open. All zeros but the size: nothing, so the graph's own sizes hold and it has no weights.
 */
typedef struct KinographBindings {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * Sizes of symbols; the others are as the graph says.
   */
  const struct KinographSymbol *symbols;
  /**
   * How many.
   */
  size_t symbol_count;
  /**
   * Values of parameters; the others are as the graph says.
   */
  const struct KinographParam *params;
  /**
   * How many.
   */
  size_t param_count;
  /**
   * The weights of the graph.
   */
  const struct KinographNamedTensor *weights;
  /**
   * How many.
   */
  size_t weight_count;
} KinographBindings;

/**
 * What a compiled graph holds and needs, in bytes.
 */
typedef struct KinographMemory {
  /**
   * The size of this struct.
   */
  size_t struct_size;
  /**
   * Activations, outputs and scratch of one run, at the peak.
   */
  uint64_t run;
  /**
   * Weights that are read in place.
   */
  uint64_t weights_in_place;
  /**
   * Weights that the device keeps as its own copy.
   */
  uint64_t weights_copied;
} KinographMemory;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The version of the binary interface of the library that is loaded. A host compares it with `KINOGRAPH_ABI_VERSION`.
 */
uint32_t kinograph_abi_version(void);

/**
 * The version of Kinograph, such as "0.1.0"; never null.
 */
const char *kinograph_version(void);

/**
 * A few words for a status, for logs; never null. An unknown number gives "unknown status".
 */
const char *kinograph_status_text(int32_t status);

/**
 * The status that the failed call answered; `KINOGRAPH_STATUS_OK` of null.
 */
KinographStatus kinograph_error_status(const struct KinographError *error);

/**
 * What went wrong, and what to do: UTF-8 that lives as long as the error. Never null: empty of null.
 */
const char *kinograph_error_message(const struct KinographError *error);

/**
 * Frees an error; null is fine.
 */
void kinograph_error_free(struct KinographError *error);

/**
 * Makes a handle that is not cancelled.
 */
KinographStatus kinograph_control_new(struct KinographControl **control, struct KinographError **error);

/**
 * Asks the jobs that have this handle to stop at the next kernel or frame; they answer `KINOGRAPH_STATUS_CANCELLED`. Not for
 * signal handlers, as it may take a lock and tell the library of a device: let one set a flag of your own, for a thread or
 * the progress callback to read. Null does nothing.
 */
void kinograph_control_cancel(const struct KinographControl *control);

/**
 * 1 once it was cancelled, else 0; 0 of null.
 */
int32_t kinograph_control_is_cancelled(const struct KinographControl *control);

/**
 * Frees a handle; null is fine.
 */
void kinograph_control_free(struct KinographControl *control);

/**
 * Makes a runtime with the built-in backends.
 */
KinographStatus kinograph_runtime_new(struct KinographRuntime **runtime, struct KinographError **error);

/**
 * Frees a runtime; null is fine.
 */
void kinograph_runtime_free(struct KinographRuntime *runtime);

/**
 * Lists the devices that are there now, without opening them.
 */
KinographStatus kinograph_runtime_devices(const struct KinographRuntime *runtime,
                                          struct KinographDeviceList **devices,
                                          struct KinographError **error);

/**
 * How many devices there are; 0 of null.
 */
size_t kinograph_device_list_count(const struct KinographDeviceList *devices);

/**
 * The id of a device, by which it is opened, such as "cpu"; null beyond the last.
 */
const char *kinograph_device_list_id(const struct KinographDeviceList *devices, size_t index);

/**
 * The name of a device for people; null beyond the last.
 */
const char *kinograph_device_list_name(const struct KinographDeviceList *devices, size_t index);

/**
 * How many facts of a device are known.
 */
size_t kinograph_device_list_fact_count(const struct KinographDeviceList *devices, size_t index);

/**
 * What a fact is about, such as "simd"; null beyond the last.
 */
const char *kinograph_device_list_fact_key(const struct KinographDeviceList *devices, size_t index, size_t fact);

/**
 * What a fact says, such as "avx2"; null beyond the last.
 */
const char *kinograph_device_list_fact_value(const struct KinographDeviceList *devices, size_t index, size_t fact);

/**
 * Frees a list and its texts; null is fine.
 */
void kinograph_device_list_free(struct KinographDeviceList *devices);

/**
 * Opens a device by its id. `options` may be null.
 */
KinographStatus kinograph_runtime_open(const struct KinographRuntime *runtime,
                                       const char *id,
                                       const struct KinographDeviceOptions *options,
                                       struct KinographDevice **device,
                                       struct KinographError **error);

/**
 * The id of a device, such as "cpu"; null of null. One with a fallback has the first one's, and one with devices for single
 * components that of the device for the others. Lives as long as the device.
 */
const char *kinograph_device_id(const struct KinographDevice *device);

/**
 * Gives back memory that the device keeps for later runs; null does nothing.
 */
void kinograph_device_trim(const struct KinographDevice *device);

/**
 * Frees a device; null is fine. It closes when nothing that was made with it is left.
 */
void kinograph_device_free(struct KinographDevice *device);

/**
 * Loads the plugins of these directories, whose devices are then those of the runtime too. Nothing is searched but the
 * directories themselves, for files with the ending of shared libraries. A plugin is native code: whoever may write there may
 * run code in this process, unless `options`, which may be null, names digests. Each plugin must pass a self-test; one that does
 * not, or whose name is taken, is refused, which is no failure of the call. Files that this runtime has tried before are left
 * alone. Other calls with the runtime wait meanwhile; a plugin that does not end its test within a minute or two is refused, and
 * its thread left to itself. `KINOGRAPH_STATUS_UNSUPPORTED` in a build without plugins.
 */
KinographStatus kinograph_runtime_load_plugins(const struct KinographRuntime *runtime,
                                               const char *const *directories,
                                               size_t directory_count,
                                               const struct KinographPluginOptions *options,
                                               struct KinographError **error);

/**
 * Makes a device that computes with another arithmetic: "native", which is the device as it is; "reproducible" (r16), which
 * gives the same bits on every device; "reproducible-r8", which is faster and less precise. docs/reproducible.md tells more. A
 * test of some milliseconds refuses a device that gives other bits with `KINOGRAPH_STATUS_DEVICE_OPEN`. Add fallbacks and
 * devices of components first: all of them are changed.
 */
KinographStatus kinograph_device_with_numerics(const struct KinographDevice *device,
                                               const char *numerics,
                                               struct KinographDevice **made,
                                               struct KinographError **error);

/**
 * Makes a device that leaves to `fallback` what `device` does not take, which is an error otherwise. Graphs are cut into parts,
 * and tensors move between the two through the host. Both have the same numerics.
 */
KinographStatus kinograph_device_with_fallback(const struct KinographDevice *device,
                                               const struct KinographDevice *fallback,
                                               struct KinographDevice **made,
                                               struct KinographError **error);

/**
 * Makes a device on which one component of a model runs on a device of its own, and all else as before: `component` is "text"
 * for all text encoders, or one by its name, "backbone", "decoder" or "encoder". Loading a model that has no such component
 * fails.
 */
KinographStatus kinograph_device_with_component(const struct KinographDevice *device,
                                                const char *component,
                                                const struct KinographDevice *own,
                                                struct KinographDevice **made,
                                                struct KinographError **error);

/**
 * Makes a tensor of a copy of `size` bytes, which must be those of the shape. `dtype` is a `KinographDtype`, `shape` has `rank`
 * dimensions, outermost first; none is a single value. `data` needs no alignment.
 */
KinographStatus kinograph_tensor_new(int32_t dtype,
                                     const size_t *shape,
                                     size_t rank,
                                     const void *data,
                                     size_t size,
                                     struct KinographTensor **tensor,
                                     struct KinographError **error);

/**
 * Says what a tensor holds; set `view->struct_size` first.
 */
KinographStatus kinograph_tensor_view(const struct KinographTensor *tensor,
                                      struct KinographTensorView *view,
                                      struct KinographError **error);

/**
 * Reads latents from a `.safetensors` file: to begin from as noise, or to decode.
 */
KinographStatus kinograph_latents_read(const char *path,
                                       struct KinographTensor **latents,
                                       struct KinographError **error);

/**
 * Writes latents, `f32`, to a `.safetensors` file, which appears only when it is complete.
 */
KinographStatus kinograph_latents_write(const char *path,
                                        const struct KinographTensor *latents,
                                        struct KinographError **error);

/**
 * Frees a tensor; null is fine.
 */
void kinograph_tensor_free(struct KinographTensor *tensor);

/**
 * Says which frames a video has; set `frames->struct_size` first. `frames->data` lives as long as the video. A job that
 * streamed its frames has none.
 */
KinographStatus kinograph_video_frames(const struct KinographVideo *video,
                                       struct KinographFrames *frames,
                                       struct KinographError **error);

/**
 * The latents at the end of sampling, `f32` of [1, channels, frames, rows, columns]; free them on their own. What was decoded
 * from latents of the caller has none, which is `KINOGRAPH_STATUS_ARGUMENT`.
 */
KinographStatus kinograph_video_latents(const struct KinographVideo *video,
                                        struct KinographTensor **latents,
                                        struct KinographError **error);

/**
 * Seconds that a stage took; `stage` is a `KinographStage`. Negative when the job had no such stage.
 */
double kinograph_video_seconds(const struct KinographVideo *video, int32_t stage);

/**
 * Writes the frames to a file whose ending chooses the format: `.mp4`, `.gif`, `.png` (one frame, or a numbered set
 * `name-0001.png` ...) or `.y4m`, as far as this build has them. `fps / fps_denominator` frames a second; a denominator of 0
 * is 1. Files appear only when they are complete.
 */
KinographStatus kinograph_video_write(const struct KinographVideo *video,
                                      const char *path,
                                      uint32_t fps,
                                      uint32_t fps_denominator,
                                      struct KinographError **error);

/**
 * Frees a video with its frames; null is fine.
 */
void kinograph_video_free(struct KinographVideo *video);

/**
 * Loads a package, a directory with a `model.toml` or a manifest of another name, for a device. Its weight files are mapped for as
 * long as the model lives: nobody may change them in place meanwhile.
 */
KinographStatus kinograph_model_load(const struct KinographDevice *device,
                                     const char *path,
                                     struct KinographModel **model,
                                     struct KinographError **error);

/**
 * Loads a package whose files are in memory, for hosts that keep models in archives of their own. The files are copied.
 */
KinographStatus kinograph_model_load_memory(const struct KinographDevice *device,
                                            const struct KinographFile *files,
                                            size_t count,
                                            struct KinographModel **model,
                                            struct KinographError **error);

/**
 * Loads flipbook, the small model inside the library; `KINOGRAPH_STATUS_UNSUPPORTED` in a build without it.
 */
KinographStatus kinograph_model_load_flipbook(const struct KinographDevice *device,
                                              struct KinographModel **model,
                                              struct KinographError **error);

/**
 * The model's name; null of null. Lives as long as the model.
 */
const char *kinograph_model_name(const struct KinographModel *model);

/**
 * The model's version; null of null. Lives as long as the model.
 */
const char *kinograph_model_version(const struct KinographModel *model);

/**
 * Says what a model makes; set `info->struct_size` first.
 */
KinographStatus kinograph_model_info(const struct KinographModel *model,
                                     struct KinographModelInfo *info,
                                     struct KinographError **error);

/**
 * Gives back what the model keeps for later jobs: compiled graphs, buffers of the device, pages of weights. Null does nothing.
 */
void kinograph_model_release(const struct KinographModel *model);

/**
 * Frees a model; null is fine. Jobs that run on it must have ended.
 */
void kinograph_model_free(struct KinographModel *model);

/**
 * Opens the best device for a package among those that take all of it: by "auto" the first graphics processor, else the cpu; by
 * "fastest" the one that runs a short probe in the least time; by "least-memory" the one whose plan for a default job needs the
 * least. `options`, which may be null, are given to each device, and one that has no such option is out. The times of "fastest"
 * are kept in `options->cache`. Where no device takes the package, `KINOGRAPH_STATUS_COMPILE` comes with the reason of each;
 * `kinograph_device_id` says which was chosen. The package is only looked at: load it as usual.
 */
KinographStatus kinograph_runtime_choose(const struct KinographRuntime *runtime,
                                         const char *policy,
                                         const struct KinographPackage *package,
                                         const struct KinographDeviceOptions *options,
                                         struct KinographDevice **device,
                                         struct KinographError **error);

/**
 * Makes a request for this prompt, with seed 0.
 */
KinographStatus kinograph_request_new(const char *prompt,
                                      struct KinographRequest **request,
                                      struct KinographError **error);

/**
 * Makes a request like another one, for batches. They share the other one's control.
 */
KinographStatus kinograph_request_clone(const struct KinographRequest *request,
                                        struct KinographRequest **clone,
                                        struct KinographError **error);

/**
 * What to show, in place of the prompt that it was made with.
 */
KinographStatus kinograph_request_prompt(struct KinographRequest *request,
                                         const char *prompt,
                                         struct KinographError **error);

/**
 * What to steer away from; empty at first.
 */
KinographStatus kinograph_request_negative(struct KinographRequest *request,
                                           const char *prompt,
                                           struct KinographError **error);

/**
 * The seed of the noise. The same seed gives the same video.
 */
KinographStatus kinograph_request_seed(struct KinographRequest *request, uint64_t seed, struct KinographError **error);

/**
 * The number of frames; 1 makes an image.
 */
KinographStatus kinograph_request_frames(struct KinographRequest *request,
                                         size_t frames,
                                         struct KinographError **error);

/**
 * Width and height in pixels.
 */
KinographStatus kinograph_request_size(struct KinographRequest *request,
                                       size_t width,
                                       size_t height,
                                       struct KinographError **error);

/**
 * Frames per second: the model is told, so that motion has the right speed.
 */
KinographStatus kinograph_request_fps(struct KinographRequest *request, uint32_t fps, struct KinographError **error);

/**
 * Steps of the sampler. An adaptive solver takes as many as it needs.
 */
KinographStatus kinograph_request_steps(struct KinographRequest *request, size_t steps, struct KinographError **error);

/**
 * How a step is taken: `euler`, `midpoint`, `heun`, `rk4`, `dopri5` or `dopri5:RTOL:ATOL`.
 */
KinographStatus kinograph_request_solver(struct KinographRequest *request,
                                         const char *solver,
                                         struct KinographError **error);

/**
 * How the steps are spaced: `linear`, `linear-quadratic`, `linear-quadratic:250`, `shifted:3` or `explicit:0,0.25,0.5,1`.
 */
KinographStatus kinograph_request_schedule(struct KinographRequest *request,
                                           const char *schedule,
                                           struct KinographError **error);

/**
 * Classifier-free guidance: a scale such as `3`, or `7.5@0.1-0.8` for one that holds in an interval of time. `1` is none, and
 * halves the work.
 */
KinographStatus kinograph_request_guidance(struct KinographRequest *request,
                                           const char *guidance,
                                           struct KinographError **error);

/**
 * Starts from this noise, `f32` of [channels, frames, rows, columns] in latent sizes, instead of the seed's.
 */
KinographStatus kinograph_request_latents(struct KinographRequest *request,
                                          const struct KinographTensor *noise,
                                          struct KinographError **error);

/**
 * The decoder's tiles along time, in latent frames, and how much of each the next shares: at most half.
 */
KinographStatus kinograph_request_tiles(struct KinographRequest *request,
                                        size_t size,
                                        size_t overlap,
                                        struct KinographError **error);

/**
 * Decodes each frame in tiles of so many latent rows and columns, which changes the result a little.
 */
KinographStatus kinograph_request_spatial_tiles(struct KinographRequest *request,
                                                size_t size,
                                                size_t overlap,
                                                struct KinographError **error);

/**
 * The most bytes that the job may need, weights included. It chooses how to stay below, or fails before any work.
 */
KinographStatus kinograph_request_memory_limit(struct KinographRequest *request,
                                               uint64_t bytes,
                                               struct KinographError **error);

/**
 * Keeps the state of sampling in this file: after a step when `every` seconds have passed since the last time, and at the end of
 * sampling. When the file is there, the job goes on from it; a file of another job is an error. The caller removes it when the
 * job is done.
 */
KinographStatus kinograph_request_checkpoint(struct KinographRequest *request,
                                             const char *path,
                                             double every,
                                             struct KinographError **error);

/**
 * Calls the preview callback at every so manyth step of sampling, when the package has a preview; 0 is never.
 */
KinographStatus kinograph_request_preview_every(struct KinographRequest *request,
                                                size_t steps,
                                                struct KinographError **error);

/**
 * A handle by which another thread may cancel the job.
 */
KinographStatus kinograph_request_control(struct KinographRequest *request,
                                          const struct KinographControl *control,
                                          struct KinographError **error);

/**
 * Frees a request; null is fine. Jobs that run from it must have ended.
 */
void kinograph_request_free(struct KinographRequest *request);

/**
 * Says what a request would need on a model, without running it.
 */
KinographStatus kinograph_model_plan(const struct KinographModel *model,
                                     const struct KinographRequest *request,
                                     struct KinographPlan **plan,
                                     struct KinographError **error);

/**
 * Says what the whole job needs; set `info->struct_size` first.
 */
KinographStatus kinograph_plan_info(const struct KinographPlan *plan,
                                    struct KinographPlanInfo *info,
                                    struct KinographError **error);

/**
 * How many components the job runs, in their order; 0 of null.
 */
size_t kinograph_plan_stage_count(const struct KinographPlan *plan);

/**
 * Says what one component needs; set `stage->struct_size` first.
 */
KinographStatus kinograph_plan_stage(const struct KinographPlan *plan,
                                     size_t index,
                                     struct KinographStagePlan *stage,
                                     struct KinographError **error);

/**
 * Frees a plan; null is fine.
 */
void kinograph_plan_free(struct KinographPlan *plan);

/**
 * Makes a video, or an image when it has one frame, in this thread. `callbacks` may be null.
 */
KinographStatus kinograph_model_generate(const struct KinographModel *model,
                                         const struct KinographRequest *request,
                                         const struct KinographCallbacks *callbacks,
                                         struct KinographVideo **video,
                                         struct KinographError **error);

/**
 * Makes a video whose frames go to the frame callback alone: no more than a tile of them is in memory. `video` has latents and
 * timings, and no frames.
 */
KinographStatus kinograph_model_stream(const struct KinographModel *model,
                                       const struct KinographRequest *request,
                                       const struct KinographCallbacks *callbacks,
                                       struct KinographVideo **video,
                                       struct KinographError **error);

/**
 * Makes several videos as one job: `requests` and `videos` have `count` entries. The requests may differ in prompt, negative
 * prompt, seed and noise; checkpoint, previews and control are the first one's. The frame callback hears nothing. Where it
 * fails, all of `videos` are null.
 */
KinographStatus kinograph_model_generate_batch(const struct KinographModel *model,
                                               const struct KinographRequest *const *requests,
                                               size_t count,
                                               const struct KinographCallbacks *callbacks,
                                               struct KinographVideo **videos,
                                               struct KinographError **error);

/**
 * Samples without decoding: the latents that `kinograph_model_generate` would decode.
 */
KinographStatus kinograph_model_sample(const struct KinographModel *model,
                                       const struct KinographRequest *request,
                                       const struct KinographCallbacks *callbacks,
                                       struct KinographTensor **latents,
                                       struct KinographError **error);

/**
 * Encodes frames to latents, `f32` of [1, channels, frames, rows, columns]. Set `frames->struct_size`; `options` and
 * `callbacks` may be null.
 */
KinographStatus kinograph_model_encode(const struct KinographModel *model,
                                       const struct KinographFrames *frames,
                                       const struct KinographCodecOptions *options,
                                       const struct KinographCallbacks *callbacks,
                                       struct KinographTensor **latents,
                                       struct KinographError **error);

/**
 * Decodes latents, `f32` of [1, channels, frames, rows, columns], to frames. `options` and `callbacks` may be null.
 */
KinographStatus kinograph_model_decode(const struct KinographModel *model,
                                       const struct KinographTensor *latents,
                                       const struct KinographCodecOptions *options,
                                       const struct KinographCallbacks *callbacks,
                                       struct KinographVideo **video,
                                       struct KinographError **error);

/**
 * Compiles a graph for a device: `toml` is the text of a graph file, as docs/graph-format.md teaches it. Included files are
 * not read. `bindings` may be null. Devices that components of models have for themselves are not used.
 */
KinographStatus kinograph_device_compile(const struct KinographDevice *device,
                                         const char *toml,
                                         const struct KinographBindings *bindings,
                                         struct KinographExecutable **executable,
                                         struct KinographError **error);

/**
 * How many inputs the graph takes; 0 of null.
 */
size_t kinograph_executable_input_count(const struct KinographExecutable *executable);

/**
 * The name of an input, which lives as long as the executable; null beyond the last.
 */
const char *kinograph_executable_input_name(const struct KinographExecutable *executable, size_t index);

/**
 * How many outputs the graph gives; 0 of null.
 */
size_t kinograph_executable_output_count(const struct KinographExecutable *executable);

/**
 * The name of an output, which lives as long as the executable; null beyond the last.
 */
const char *kinograph_executable_output_name(const struct KinographExecutable *executable, size_t index);

/**
 * Says what a compiled graph holds and needs; set `memory->struct_size` first.
 */
KinographStatus kinograph_executable_memory(const struct KinographExecutable *executable,
                                            struct KinographMemory *memory,
                                            struct KinographError **error);

/**
 * Runs a graph: every input by its name, in any order; `outputs` has room for all `output_count` outputs and gets them in the
 * graph's order. `control` may be null. Where it fails, all of `outputs` are null.
 */
KinographStatus kinograph_executable_run(const struct KinographExecutable *executable,
                                         const struct KinographNamedTensor *inputs,
                                         size_t input_count,
                                         const struct KinographControl *control,
                                         struct KinographTensor **outputs,
                                         size_t output_count,
                                         struct KinographError **error);

/**
 * Frees an executable; null is fine. Runs of it must have ended.
 */
void kinograph_executable_free(struct KinographExecutable *executable);

/**
 * Begins a file for frames of that size; its ending chooses the format, see `kinograph_video_write`. Nothing appears under that
 * name before `kinograph_writer_finish`.
 */
KinographStatus kinograph_writer_new(const char *path,
                                     size_t width,
                                     size_t height,
                                     uint32_t fps,
                                     uint32_t fps_denominator,
                                     struct KinographWriter **writer,
                                     struct KinographError **error);

/**
 * Adds a frame: red, green and blue of each pixel, rows from the top, without gaps. After a failure the writer may only be
 * freed.
 */
KinographStatus kinograph_writer_frame(struct KinographWriter *writer,
                                       const uint8_t *data,
                                       size_t size,
                                       struct KinographError **error);

/**
 * Completes the file and gives it its name. The writer may then only be freed.
 */
KinographStatus kinograph_writer_finish(struct KinographWriter *writer, struct KinographError **error);

/**
 * Frees a writer; null is fine. One that was not finished leaves no file behind.
 */
void kinograph_writer_free(struct KinographWriter *writer);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* KINOGRAPH_H */
