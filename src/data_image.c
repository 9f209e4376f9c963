/* data_image.c - the reader of images: PNG through libpng, JPEG through libjpeg, cut into patches. */
#include "data_readers.h"

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>

enum { MAX_PIXELS = 1 << 27, MAX_SCANS = 500 };

/* An image, 8 bits a channel: pixels is [height][width][3], malloc'ed. */
struct image {
    uint32_t width, height;
    unsigned char *pixels;
};

/* Makes room for the pixels, if they are wanted. */
static enum vqs_status size_image(const char *path, struct image *image, bool pixels, struct vqs_error *err) {
    const uint64_t n = (uint64_t)image->width * image->height;
    if (n == 0 || n > MAX_PIXELS) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: an image of %" PRIu32 " x %" PRIu32 "; expected 1 to %d pixels", path,
                        image->width, image->height, MAX_PIXELS);
    }
    if (pixels && !(image->pixels = malloc(3 * n))) {
        return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory for an image of %" PRIu64 " pixels", path, n);
    }
    return VQS_OK;
}

/* ---- PNG ------------------------------------------------------------------------------------------------------- */

static enum vqs_status decode_png(const char *path, FILE *file, bool pixels, struct image *image,
                                  struct vqs_error *err) {
    png_image png = {.version = PNG_IMAGE_VERSION};
    const png_color black = {0};
    enum vqs_status status = VQS_OK;
    if (png_image_begin_read_from_stdio(&png, file)) {
        image->width = png.width;
        image->height = png.height;
        png.format = PNG_FORMAT_RGB;
        status = size_image(path, image, pixels, err);
        if (!status && pixels) {
            png_image_finish_read(&png, &black, image->pixels, 0, NULL);
        }
    }
    if (!status && PNG_IMAGE_FAILED(png)) {
        status = vqs_fail(err, VQS_ERR_DATA, "%s: offset %ld: %s; expected a whole PNG image", path, ftell(file),
                          png.message);
    }
    png_image_free(&png);
    return status;
}

/* ---- JPEG: libjpeg returns from errors by longjmp -------------------------------------------------------------- */

struct jpeg {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr manager;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    char reason[JMSG_LENGTH_MAX];
};

static void jpeg_failed(j_common_ptr info) {
    struct jpeg *jpeg = info->client_data;
    info->err->format_message(info, jpeg->reason);
    longjmp(jpeg->failed, 1);
}

/* A warning is damage: what is missing would be made up. */
static void jpeg_message(j_common_ptr info, int level) {
    if (level < 0) {
        jpeg_failed(info);
    }
}

/* A small file may ask for scans without end. */
static void jpeg_progress(j_common_ptr info) {
    struct jpeg *jpeg = info->client_data;
    if (jpeg->info.input_scan_number > MAX_SCANS) {
        snprintf(jpeg->reason, sizeof jpeg->reason, "more than %d scans", MAX_SCANS);
        longjmp(jpeg->failed, 1);
    }
}

static enum vqs_status read_jpeg(struct jpeg *jpeg, const char *path, FILE *file, bool pixels, struct image *image,
                                 struct vqs_error *err) {
    if (setjmp(jpeg->failed)) {
        return vqs_fail(err, VQS_ERR_DATA, "%s: offset %ld: %s; expected a whole JPEG image", path, ftell(file),
                        jpeg->reason);
    }
    jpeg_create_decompress(&jpeg->info);
    jpeg->info.progress = &jpeg->progress;
    jpeg_stdio_src(&jpeg->info, file);
    jpeg_read_header(&jpeg->info, TRUE);
    image->width = jpeg->info.image_width;
    image->height = jpeg->info.image_height;
    enum vqs_status status = size_image(path, image, pixels, err);
    if (status || !pixels) {
        return status;
    }
    jpeg->info.out_color_space = JCS_RGB;
    jpeg->info.dct_method = JDCT_ISLOW; /* the same bits in every version of the library */
    jpeg_start_decompress(&jpeg->info);
    while (jpeg->info.output_scanline < jpeg->info.output_height) {
        JSAMPROW row = image->pixels + 3 * (size_t)image->width * jpeg->info.output_scanline;
        jpeg_read_scanlines(&jpeg->info, &row, 1);
    }
    jpeg_finish_decompress(&jpeg->info);
    return VQS_OK;
}

static enum vqs_status decode_jpeg(const char *path, FILE *file, bool pixels, struct image *image,
                                   struct vqs_error *err) {
    struct jpeg jpeg = {.progress.progress_monitor = jpeg_progress};
    jpeg.info.err = jpeg_std_error(&jpeg.manager);
    jpeg.info.client_data = &jpeg;
    jpeg.manager.error_exit = jpeg_failed;
    jpeg.manager.emit_message = jpeg_message;
    const enum vqs_status status = read_jpeg(&jpeg, path, file, pixels, image, err);
    jpeg_destroy_decompress(&jpeg.info);
    return status;
}

/* ---- either ---------------------------------------------------------------------------------------------------- */

/* Width and height, and the pixels if they are wanted; NULL after an error. */
static enum vqs_status decode(const char *path, bool pixels, struct image *image, struct vqs_error *err) {
    unsigned char magic[8] = {0};
    enum vqs_status status = vqs_data_stat(path, NULL, err);
    FILE *file = status ? NULL : fopen(path, "rb");
    image->pixels = NULL;
    if (!status && !file) {
        status = vqs_fail(err, VQS_ERR_DATA, "%s: cannot open: %s; expected an image", path, strerror(errno));
    }
    if (status) {
        return status;
    }
    const size_t got = fread(magic, 1, sizeof magic, file);
    rewind(file);
    if (got == sizeof magic && !png_sig_cmp(magic, 0, sizeof magic)) {
        status = decode_png(path, file, pixels, image, err);
    } else if (magic[0] == 0xff && magic[1] == 0xd8) {
        status = decode_jpeg(path, file, pixels, image, err);
    } else {
        status = vqs_fail(err, VQS_ERR_DATA, "%s: offset 0: neither a PNG nor a JPEG image", path);
    }
    fclose(file);
    if (status) {
        free(image->pixels);
        image->pixels = NULL;
    }
    return status;
}

/* ---- patches --------------------------------------------------------------------------------------------------- */

struct patches {
    struct vqs_file_list files;
    uint64_t *first;  /* [files.n + 1]: the first patch of each image */
    uint32_t *across; /* [files.n]: patches side by side */
    size_t size, stride;
    bool grey;
    size_t at; /* the image in hand, if it has pixels */
    struct image image;
};

static void images_close(struct vqs_source *source) {
    struct patches *p = source->state;
    if (p) {
        vqs_file_list_destroy(&p->files);
        free(p->first);
        free(p->across);
        free(p->image.pixels);
        free(p);
    }
}

/* How many patches lie side by side in so many pixels. */
static uint64_t count_along(const struct patches *p, size_t pixels) {
    return (pixels - p->size) / p->stride + 1;
}

static enum vqs_status count_patches(struct patches *p, struct vqs_error *err) {
    for (size_t f = 0; f < p->files.n; f++) {
        struct image image;
        enum vqs_status status = decode(p->files.paths[f], false, &image, err);
        if (status) {
            return status;
        }
        if (image.width < p->size || image.height < p->size) {
            return vqs_fail(err, VQS_ERR_DATA,
                            "%s: %" PRIu32 " x %" PRIu32 " pixels are less than a patch of %zu x %zu",
                            p->files.paths[f], image.width, image.height, p->size, p->size);
        }
        p->across[f] = (uint32_t)count_along(p, image.width);
        p->first[f + 1] = p->first[f] + p->across[f] * count_along(p, image.height);
    }
    return VQS_OK;
}

static enum vqs_status images_open(const struct vqs_settings *s, struct vqs_source *source, struct vqs_error *err) {
    struct patches *p = source->state = calloc(1, sizeof *p);
    if (!p) {
        return vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory to read it", s->path);
    }
    *p = (struct patches){
        .size = (size_t)s->patch, .stride = (size_t)s->patch_stride, .grey = s->colour == VQS_COLOUR_GREY};
    enum vqs_status status = vqs_file_list_make(s->path, vqs_source_endings(s), &p->files, err);
    if (!status && (!(p->first = calloc(p->files.n + 1, sizeof *p->first)) ||
                    !(p->across = calloc(p->files.n, sizeof *p->across)))) {
        status = vqs_fail(err, VQS_ERR_MEMORY, "%s: no memory for %zu images", s->path, p->files.n);
    }
    if (!status) {
        status = count_patches(p, err);
    }
    if (status) {
        return status;
    }
    source->n = p->first[p->files.n];
    for (size_t f = 0; f < p->files.n; f++) { /* rows of patches above, and patches to the left */
        const uint64_t reach = (p->size - 1) / p->stride * (p->across[f] + UINT64_C(1));
        source->reach = reach > source->reach ? reach : source->reach;
    }
    source->D = s->patch * s->patch * (p->grey ? 1 : 3);
    snprintf(source->text, sizeof source->text, "%zu image%s, patches of %d x %d x %d, %d apart", p->files.n,
             p->files.n == 1 ? "" : "s", s->patch, s->patch, p->grey ? 1 : 3, s->patch_stride);
    return VQS_OK;
}

static void cut_patch(const struct patches *p, uint64_t number, float *out) {
    const uint64_t across = count_along(p, p->image.width);
    const size_t left = (size_t)(number % across) * p->stride, top = (size_t)(number / across) * p->stride;
    for (size_t y = 0; y < p->size; y++) {
        const unsigned char *from = p->image.pixels + 3 * ((top + y) * p->image.width + left);
        for (size_t x = 0; x < p->size; x++, from += 3) {
            const unsigned grey = (19595u * from[0] + 38470u * from[1] + 7471u * from[2] + 0x8000u) >> 16;
            for (int c = 0; c < (p->grey ? 1 : 3); c++) {
                *out++ = (float)(p->grey ? grey : from[c]) / 255;
            }
        }
    }
}

static enum vqs_status images_read(struct vqs_source *source, uint64_t first, size_t n, float *rows,
                                   struct vqs_error *err) {
    struct patches *p = source->state;
    for (size_t i = 0; i < n; i++) {
        const size_t f = vqs_file_list_find(p->first, p->files.n, first + i);
        if (!p->image.pixels || p->at != f) {
            free(p->image.pixels);
            enum vqs_status status = decode(p->files.paths[f], true, &p->image, err);
            if (status) {
                return status;
            }
            p->at = f;
            if (p->image.width < p->size || p->image.height < p->size ||
                count_along(p, p->image.width) * count_along(p, p->image.height) != p->first[f + 1] - p->first[f]) {
                return vqs_fail(err, VQS_ERR_DATA, "%s: the file has changed while it is read", p->files.paths[f]);
            }
        }
        cut_patch(p, first + i - p->first[f], rows + i * (size_t)source->D);
    }
    return VQS_OK;
}

static struct vqs_place images_locate(const struct vqs_source *source, uint64_t sample) {
    const struct patches *p = source->state;
    const size_t f = vqs_file_list_find(p->first, p->files.n, sample);
    const uint64_t number = sample - p->first[f];
    return (struct vqs_place){(uint32_t)f, (uint32_t)(number / p->across[f]), (uint32_t)(number % p->across[f])};
}

const struct vqs_source_reader vqs_source_images = {images_open, images_read, images_close, images_locate};
