/*
 * A host in C99: lists the devices, makes a video from a prompt, and writes its frames as PNG files.
 * Ctrl-C cancels the job when it next tells its progress. A host that can cancel from another thread ends it sooner, at the
 * next kernel: kinograph_control_cancel.
 *
 *   embed [-d DEVICE] [-t THREADS] [-x NAME=VALUE] [-m PACKAGE] [-f FRAMES] [-s STEPS] PROMPT OUT.png
 *
 * Every call answers a status; where it is not KINOGRAPH_STATUS_OK, the error object has the words.
 */
#define _POSIX_C_SOURCE 200809L

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kinograph.h>

/* What the command line says. */
struct settings {
    const char *device, *package, *prompt, *output;
    KinographOption option;
    size_t threads, frames, steps;
};

/* Set by the signal handler, which may do no more; the progress callback cancels. */
static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

/*
 * Says what failed, frees the error, and answers whether it went well. It takes the place of the error, not the error: C may
 * look at one argument before it makes the call that is the other.
 */
static int went_well(KinographStatus status, KinographError **error)
{
    if (status != KINOGRAPH_STATUS_OK) {
        fprintf(stderr, "%s: %s\n", kinograph_status_text(status), kinograph_error_message(*error));
        kinograph_error_free(*error);
        *error = NULL;
    }
    return status == KINOGRAPH_STATUS_OK;
}

static int32_t on_progress(void *user, const KinographProgress *progress)
{
    static const char *const stages[] = {"working", "text", "sample", "encode", "decode"};
    int known = progress->stage >= 0 && progress->stage <= KINOGRAPH_STAGE_DECODE;
    (void)user;
    fprintf(stderr, "%s %zu/%zu", stages[known ? progress->stage : 0], progress->step, progress->of);
    if (progress->remaining >= 0.0) {
        fprintf(stderr, ", %.1f s left", progress->remaining);
    }
    fputc('\n', stderr);
    return interrupted; /* anything but 0 cancels */
}

static int list_devices(const KinographRuntime *runtime)
{
    KinographDeviceList *devices = NULL;
    KinographError *error = NULL;
    if (!went_well(kinograph_runtime_devices(runtime, &devices, &error), &error)) {
        return 0;
    }
    for (size_t i = 0; i < kinograph_device_list_count(devices); i++) {
        printf("%s: %s\n", kinograph_device_list_id(devices, i), kinograph_device_list_name(devices, i));
        for (size_t j = 0; j < kinograph_device_list_fact_count(devices, i); j++) {
            printf("    %s: %s\n", kinograph_device_list_fact_key(devices, i, j),
                   kinograph_device_list_fact_value(devices, i, j));
        }
    }
    kinograph_device_list_free(devices);
    return 1;
}

static KinographDevice *open_device(const KinographRuntime *runtime, const struct settings *settings)
{
    KinographDeviceOptions options = {.struct_size = sizeof options};
    KinographDevice *device = NULL;
    KinographError *error = NULL;
    options.threads = settings->threads;
    options.options = &settings->option;
    options.option_count = settings->option.name != NULL;
    went_well(kinograph_runtime_open(runtime, settings->device, &options, &device, &error), &error);
    return device;
}

/* The package of the command line, or the small model inside the library. */
static KinographModel *load_model(const KinographDevice *device, const char *package)
{
    KinographModel *model = NULL;
    KinographError *error = NULL;
    KinographStatus status = package != NULL ? kinograph_model_load(device, package, &model, &error)
                                             : kinograph_model_load_flipbook(device, &model, &error);
    went_well(status, &error);
    return model;
}

/* A null request or value is an error of its own, so one check at the end is enough. */
static KinographRequest *make_request(const struct settings *settings)
{
    KinographRequest *request = NULL;
    KinographError *error = NULL;
    KinographStatus status = kinograph_request_new(settings->prompt, &request, &error);
    if (status == KINOGRAPH_STATUS_OK && settings->frames > 0) {
        status = kinograph_request_frames(request, settings->frames, &error);
    }
    if (status == KINOGRAPH_STATUS_OK && settings->steps > 0) {
        status = kinograph_request_steps(request, settings->steps, &error);
    }
    if (!went_well(status, &error)) {
        kinograph_request_free(request);
        return NULL;
    }
    return request;
}

static int write_video(const KinographVideo *video, const char *path, uint32_t fps)
{
    KinographFrames frames = {.struct_size = sizeof frames};
    KinographError *error = NULL;
    if (!went_well(kinograph_video_frames(video, &frames, &error), &error)
        || !went_well(kinograph_video_write(video, path, fps, 1, &error), &error)) {
        return 0;
    }
    printf("%s: %zu frames of %zux%zu\n", path, frames.count, frames.width, frames.height);
    return 1;
}

static int generate(const KinographModel *model, const KinographRequest *request, const char *path)
{
    KinographCallbacks callbacks = {.struct_size = sizeof callbacks, .progress = on_progress};
    KinographModelInfo info = {.struct_size = sizeof info};
    KinographVideo *video = NULL;
    KinographError *error = NULL;
    int done = went_well(kinograph_model_info(model, &info, &error), &error)
               && went_well(kinograph_model_generate(model, request, &callbacks, &video, &error), &error)
               && write_video(video, path, info.fps);
    kinograph_video_free(video);
    return done;
}

/* Reads the command line; false when it is wrong. */
static int read_settings(int argc, char **argv, struct settings *settings)
{
    int flag;
    while ((flag = getopt(argc, argv, "d:t:x:m:f:s:")) != -1) {
        switch (flag) {
        case 'd': settings->device = optarg; break;
        case 't': settings->threads = strtoul(optarg, NULL, 10); break;
        case 'm': settings->package = optarg; break;
        case 'f': settings->frames = strtoul(optarg, NULL, 10); break;
        case 's': settings->steps = strtoul(optarg, NULL, 10); break;
        case 'x': {
            char *equals = strchr(optarg, '=');
            if (equals == NULL) {
                return 0;
            }
            *equals = '\0';
            settings->option.name = optarg;
            settings->option.value = equals + 1;
            break;
        }
        default: return 0;
        }
    }
    if (argc - optind != 2) {
        return 0;
    }
    settings->prompt = argv[optind];
    settings->output = argv[optind + 1];
    return 1;
}

static int run(const struct settings *settings)
{
    KinographRuntime *runtime = NULL;
    KinographDevice *device = NULL;
    KinographModel *model = NULL;
    KinographRequest *request = NULL;
    KinographError *error = NULL;
    int done = went_well(kinograph_runtime_new(&runtime, &error), &error) && list_devices(runtime)
               && (device = open_device(runtime, settings)) != NULL
               && (model = load_model(device, settings->package)) != NULL
               && (request = make_request(settings)) != NULL;
    if (done) {
        signal(SIGINT, on_interrupt);
        done = generate(model, request, settings->output);
        signal(SIGINT, SIG_DFL);
    }
    /* In any order, and null is fine: what was made with an object keeps what it needs. */
    kinograph_request_free(request);
    kinograph_model_free(model);
    kinograph_device_free(device);
    kinograph_runtime_free(runtime);
    return done;
}

int main(int argc, char **argv)
{
    struct settings settings = {.device = "cpu"};
    if (kinograph_abi_version() != KINOGRAPH_ABI_VERSION) {
        fprintf(stderr, "the library has binary interface %u, this program needs %u\n",
                (unsigned)kinograph_abi_version(), (unsigned)KINOGRAPH_ABI_VERSION);
        return EXIT_FAILURE;
    }
    if (!read_settings(argc, argv, &settings)) {
        fprintf(stderr, "usage: %s [-d DEVICE] [-t THREADS] [-x NAME=VALUE] [-m PACKAGE] [-f FRAMES] [-s STEPS] "
                        "PROMPT OUT.png\n", argv[0]);
        return EXIT_FAILURE;
    }
    return run(&settings) ? EXIT_SUCCESS : EXIT_FAILURE;
}
